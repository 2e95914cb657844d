"""Who knows one order's number knows nothing of another's, not even of one minted in the same millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from ulid import ULID

from shared.ids import first_number_at, new_tracking_number

MANY: Final = 20_000
"""Some of them share a millisecond on any machine that mints one in far less."""
RANDOM_BITS: Final = 80
FAR: Final = 1 << 40
"""Of 20,000 random numbers, some hundreds a millisecond, two of one are nearer than this once in 100,000 runs."""
OFF: Final = 6.5
"""Standard deviations: of 80 fair bits one is further off once in 150 million runs."""


def _minted() -> list[ULID]:
    return [ULID.from_str(new_tracking_number().removeprefix("trk_")) for _ in range(MANY)]


def _random_part(number: ULID) -> int:
    return int(number) % (1 << RANDOM_BITS)


def test_no_two_numbers_of_one_millisecond_are_neighbours() -> None:
    minted = sorted(_minted())
    together = [(one, other) for one, other in pairwise(minted) if one.milliseconds == other.milliseconds]
    assert len(together) > MANY // 100, "numbers of one millisecond are what this is about"
    assert min(_random_part(other) - _random_part(one) for one, other in together) > FAR


def test_every_random_bit_is_set_in_half_of_the_numbers_whatever_millisecond_they_share() -> None:
    parts = [_random_part(number) for number in _minted()]
    counts = [sum(part >> bit & 1 for part in parts) for bit in range(RANDOM_BITS)]
    assert max(abs(count - MANY / 2) for count in counts) < OFF * (MANY / 4) ** 0.5


def test_a_number_tells_nothing_of_the_one_minted_after_it() -> None:
    parts = [_random_part(number) for number in _minted()]
    changed = [(one ^ other).bit_count() for one, other in pairwise(parts)]
    assert abs(sum(changed) / len(changed) - RANDOM_BITS / 2) < OFF * (RANDOM_BITS / 4 / len(changed)) ** 0.5


def test_numbers_sort_by_the_millisecond_they_were_minted_in() -> None:
    before = datetime.now(UTC)
    numbers = [new_tracking_number() for _ in range(MANY)]
    after = datetime.now(UTC) + timedelta(milliseconds=1)
    assert first_number_at(before) <= min(numbers)
    assert max(numbers) < first_number_at(after)
