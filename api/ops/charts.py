"""The geometry of the charts: numbers to rectangles, drawn by templates as SVG, so that a page needs no script to show
them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.store.recent_orders import Slot

HEIGHT: Final = 100.0
PITCH: Final = 10.0
"""Of one slot; its bar leaves a fifth of it free. The picture is stretched to its frame."""
BAR: Final = 8.0
SHORTEST_MS: Final = 1.0
LONGEST_MS: Final = 600_000.0
"""What the ends of a bar of time mean: a millisecond, which nothing of ours is below, and ten minutes."""


@dataclass(frozen=True, slots=True)
class Block:
    """One rectangle, and what it counts."""

    kind: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars; *top* is what the height of the picture counts."""

    blocks: tuple[Block, ...]
    width: float
    top: int


def stacked(slots: Sequence[Slot]) -> Bars:
    """The orders of each slot by what became of them: done below, then those on their way, then failed ones."""
    top = _round(max((slot.accepted for slot in slots), default=0))
    blocks: list[Block] = []
    for at, slot in enumerate(slots):
        base = HEIGHT
        for kind, count in (("done", slot.done), ("live", slot.live), ("failed", slot.failed)):
            height = HEIGHT * count / top
            base -= height
            if count:
                blocks.append(Block(kind, at * PITCH, round(base, 2), round(height, 2)))
    return Bars(tuple(blocks), len(slots) * PITCH, top)


def share(part: float, whole: float) -> float:
    """How many per cent of *whole* a bar of *part* fills."""
    return 0.0 if whole <= 0 else round(100 * min(1.0, part / whole), 1)


def on_time_scale(ms: float) -> float:
    """How many per cent a bar of *ms* fills on a logarithmic scale: ten times as long is as much further, always."""
    within = min(max(ms, SHORTEST_MS), LONGEST_MS)
    return round(100 * math.log(within / SHORTEST_MS) / math.log(LONGEST_MS / SHORTEST_MS), 1)


def _round(count: int) -> int:
    """The next number at or above *count* that reads well on an axis: 1, 2 or 5 and noughts; at least 5."""
    power = int(f"1{'0' * (len(str(max(count, 1))) - 1)}")
    return max(5, next(step * power for step in (1, 2, 5, 10) if step * power >= count))
