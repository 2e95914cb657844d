"""No interleaving of two workers, a PSP, webhooks, time and faults breaks a promise of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from shared.domain.states import OrderState
from shared.store.attempts import AttemptState
from tests.model import sound
from tests.model.bugs import Setting
from tests.model.payment import TWO_CAPTURES, broken
from tests.model.world import Attempt, Charge, World

FLOOR: Final = 120_000
"""States over both memories of the PSP. A run that saw fewer was cut short, and says nothing."""


@pytest.mark.parametrize("name", sound.NAMES)
def test_no_promise_is_broken_in_any_state(name: str, say: Callable[[str], None]) -> None:
    """Every promise holds in every reachable state, and from each a good end can be reached without luck."""
    report, _ = sound.explored(name)
    say(f"{name}: {report}")
    assert report.found is None, str(report.found)


def test_the_run_was_large_enough(say: Callable[[str], None]) -> None:
    states = sum(sound.explored(name)[0].states for name in sound.BOTH_MEMORIES)
    say(f"payment, both memories: {states:,} states, floor {FLOOR:,}")
    assert states >= FLOOR


def test_two_live_captures_are_seen_unless_one_is_on_its_way_back() -> None:
    """No planted bug gets that far before another promise breaks, so the promise itself is tried by hand."""
    own = Attempt(AttemptState.CAPTURED, charge=Charge.CAPTURED)
    late = Attempt(AttemptState.ABSENT, charge=Charge.CAPTURED)
    done = World(faults=0, state=OrderState.DONE, attempts=(own, late))
    assert broken(done, Setting()) == TWO_CAPTURES
    assert not broken(done._replace(attempts=(own, late._replace(outcome=AttemptState.RETURNING))), Setting())
