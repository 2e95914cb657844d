"""The first PSP cut off after each charge, five hundred times, with a second one at hand: nobody ever pays twice.

`C2A_TEST_FAILOVERS=50 deploy/test bench -- -k failover` runs fewer. Twenty run with every change
(tests/integration/test_failover_needs_proof.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from shared.config import Settings
from tests.support.cut_charges import CUTS, cut_after_each_charge
from tests.support.psp import sandbox
from tests.support.two_psps import TwoPsps, two_psps

TIMES: Final = int(os.environ.get("C2A_TEST_FAILOVERS", "500"))
pytestmark = pytest.mark.timeout(1_800)
NO_LIMIT: Final = {"declines_per_customer": 10_000, "declines_per_address": 10_000}
"""One customer's cards are declined a hundred times here, and nobody tests cards."""


@pytest.fixture
def both(settings: Settings, vault_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoPsps]:
    """A tenant with accounts at two PSPs of this test's own."""
    folder = tmp_path_factory.mktemp("two-psps")
    with (
        sandbox(folder / "first.jsonl") as first,
        sandbox(folder / "second.jsonl") as second,
        two_psps(settings.model_copy(update=NO_LIMIT), vault_url, first, second) as made,
    ):
        yield made


def test_never_two_live_captures_and_the_second_is_never_called_while_the_first_is_unknown(
    both: TwoPsps, say: Callable[[str], None]
) -> None:
    began = time.monotonic()

    figures = cut_after_each_charge(both, TIMES)

    say(f"{figures.orders} orders in {time.monotonic() - began:.0f} s, charges asked: {dict(figures.calls)}")
    for end, count in sorted(figures.ends.items()):
        say(f"  {end}: {count}")
    # 0 events in N trials bound the rate at 3 / N with 95 % confidence.
    say(f"0 broken promises bound their rate at {3 / max(1, figures.orders):.2%}" if not figures.broken else "BROKEN")
    assert figures.broken == []
    assert figures.orders == TIMES
    assert len(figures.ends) == min(TIMES, len(CUTS))
