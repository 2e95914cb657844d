"""Who asks for an action, and why: without both nothing is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

LONGEST_WHO: Final = 200
LONGEST_WHY: Final = 1_000
"""A sentence or a ticket's address; more belongs there."""


class NotAsked(ValueError):
    """An action came without who or why; the message says which."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and why. *action_id* names the action: asked for twice under one, it is done once.

    Raises NotAsked.
    """

    who: str
    why: str
    action_id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        for name, text, longest in (("who", self.who, LONGEST_WHO), ("why", self.why, LONGEST_WHY)):
            if not text.strip():
                raise NotAsked(f"{name}: say it")
            if len(text) > longest or not text.isprintable():
                raise NotAsked(f"{name}: at most {longest} printable characters")
