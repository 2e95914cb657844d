"""Unknown is never failed: a charge whose answer is lost, late, wrong or nonsense, where its PSP can be asked (C2, C9).

One that cannot be asked tells what became of it: test_adyen_unclear.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from shared.domain.outcomes import Absent, Captured, Unanswered
from tests.contract.subject import Subject, a_request, query_of

WRITTEN: Final[Mapping[str, Sequence[str]]] = {
    "sandbox": (
        "http500After", "timeoutAfter", "dropAfter", "otherAmount", "otherCurrency", "otherReference", "malformed",
        "huge", "dribble",
    ),
    "stripe": (
        "dropAfter", "timeoutAfter", "dribble", "otherAmount", "otherReceived", "otherCurrency", "otherReference",
        "otherKey", "unknownStatus", "malformed", "truncated", "deep", "list", "huge",
    ),
}  # fmt: skip
"""Troubles of a charge that the PSP has made."""
NOT_WRITTEN: Final[Mapping[str, Sequence[str]]] = {
    "sandbox": ("http500", "timeoutBefore", "drop", "http409"),
    "stripe": ("drop", "timeoutBefore", "http409", "http503", "lockTimeout", "proxy"),
}
"""Troubles of one that it has not."""


def each(troubles: Mapping[str, Sequence[str]]) -> list[Any]:
    return [pytest.param((name, kind), id=f"{name}-{kind}") for name, kinds in troubles.items() for kind in kinds]


@pytest.fixture
def troubled(request: pytest.FixtureRequest) -> Subject:
    """An adapter whose PSP will have one of its troubles with the next charge."""
    name, kind = request.param
    found: Subject = request.getfixturevalue(f"{name}_subject")
    found.goes_wrong(kind)
    return found


@pytest.mark.parametrize("troubled", each(WRITTEN), indirect=True)
def test_a_charge_whose_answer_does_not_count_is_unanswered_and_found_by_look_up(troubled: Subject) -> None:
    request = a_request()
    assert isinstance(troubled.psp.charge(request), Unanswered)
    captured = troubled.psp.look_up(query_of(request))
    assert isinstance(captured, Captured)
    assert captured.money == request.money
    assert troubled.psp.charge(request) == captured
    assert len(troubled.live_captures()) == 1


@pytest.mark.parametrize("troubled", each(NOT_WRITTEN), indirect=True)
def test_a_charge_that_was_never_made_is_unanswered_and_may_be_sent_again(troubled: Subject) -> None:
    request = a_request()
    assert isinstance(troubled.psp.charge(request), Unanswered)
    assert troubled.psp.look_up(query_of(request)) == Absent()
    assert isinstance(troubled.psp.charge(request), Captured)
    assert len(troubled.live_captures()) == 1
