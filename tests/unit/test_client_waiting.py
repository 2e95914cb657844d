"""How the client follows an order: what it asks, when it asks again, and when it comes back to its caller."""

from __future__ import annotations

from typing import Any

import pytest

from shared.client.answers import CheckoutResult
from shared.client.carrying import request_of
from shared.client.errors import NoAnswer, OrderUnknown, StillRunning
from shared.client.reading import result_of
from shared.client.turns import Heard, Lost
from shared.client.waiting import poll, waited
from tests.support.client_script import NUMBER, PAGE, Played, refusal, standing, unchanged

PROCESSING, CHALLENGED, DONE = "CHECK_OUT_PROCESSING", "CHECK_OUT_3DS_REQUIRED", "CHECK_OUT_DONE"
HELD: dict[str, Any] = {"preference_applied": "wait=30", "etag": 'W/"1"'}


def wait(
    *answers: Heard | Lost, order: CheckoutResult | str = NUMBER, within_s: float = 60, takes_s: float = 0
) -> tuple[CheckoutResult, Played]:
    script = Played(list(answers), takes_s=takes_s)
    return script.play(waited(order, script.terms, within_s=within_s)), script


def test_an_api_that_does_not_hold_is_asked_when_it_says() -> None:
    first = standing(PROCESSING, retry_after="2", etag='W/"1"')

    end, script = wait(first, unchanged(retry_after="5"), standing(DONE))

    assert end.is_done
    assert script.pauses == [2, 5]
    assert [call.headers.get("If-None-Match") for call in script.calls] == [None, 'W/"1"', 'W/"1"']


def test_an_api_that_holds_is_asked_again_as_soon_as_it_answered() -> None:
    end, script = wait(
        standing(PROCESSING, retry_after="2", **HELD), unchanged(retry_after="2", **HELD), standing(DONE), takes_s=20
    )

    assert end.is_done
    assert script.pauses == [0, 0]
    assert [call.hold_s for call in script.calls] == [1, 30, 19]
    asked = [request_of(call, "", {})["headers"] for call in [*script.calls, poll(NUMBER)]]
    assert [headers.get("Prefer") for headers in asked] == ["wait=1", "wait=30", "wait=19", None]


def test_an_api_that_says_it_holds_and_does_not_is_asked_when_it_says() -> None:
    _, script = wait(standing(PROCESSING, **HELD), unchanged(retry_after="2", **HELD), standing(DONE))

    assert script.pauses == [0, 2]


def test_a_challenge_comes_back_and_the_wait_goes_on_after_it() -> None:
    challenge = standing(CHALLENGED, page=PAGE, retry_after="3", etag='W/"4"')

    seen, _ = wait(challenge)
    assert seen.needs_shopper
    assert seen.redirect_instructions is not None
    assert seen.redirect_instructions.redirect_url == PAGE

    end, script = wait(unchanged(retry_after="3"), challenge, standing(PROCESSING), standing(DONE), order=seen)
    assert end.is_done
    assert script.calls[0].headers["If-None-Match"] == 'W/"4"'


def test_a_challenge_that_a_repeated_submit_told_of_is_still_news() -> None:
    """Who waits for what was submitted has not looked where it stood: the first answer may have got lost."""
    accepted = result_of(standing(CHALLENGED, page=PAGE, status=202), is_of_submit=True)

    now, script = wait(standing(CHALLENGED, page=PAGE), order=accepted)

    assert now.needs_shopper
    assert len(script.calls) == 1


def test_another_challenge_comes_back_too() -> None:
    seen = result_of(standing(CHALLENGED, page=PAGE))

    now, _ = wait(standing(CHALLENGED, page=f"{PAGE}1"), order=seen)

    assert now.redirect_instructions != seen.redirect_instructions


def test_a_wait_ends_by_its_deadline_and_tells_where_the_order_stood() -> None:
    script = Played([standing(PROCESSING, retry_after="2")] * 5)
    with pytest.raises(StillRunning) as raised:
        script.play(waited(NUMBER, script.terms, within_s=9))

    assert raised.value.last.code == PROCESSING
    assert script.now <= 1_009


def test_a_question_has_as_long_as_is_left_and_is_held_for_less() -> None:
    """What the API holds to the end comes back in time."""
    _, script = wait(standing(PROCESSING, **HELD), unchanged(**HELD), standing(DONE), within_s=35, takes_s=15)

    assert [call.within_s for call in script.calls] == [35, 20, 5]
    assert [call.hold_s for call in script.calls] == [1, 19, 4]


def test_a_question_that_is_asked_again_is_held_for_no_longer_than_is_left() -> None:
    lost = Lost("ReadError", was_sent=True)

    _, script = wait(standing(PROCESSING, **HELD), lost, standing(DONE), within_s=60, takes_s=20)

    assert [call.hold_s for call in script.calls] == [1, 30, 18]


def test_trouble_on_the_way_is_waited_out_within_the_deadline() -> None:
    trouble: list[Heard | Lost] = [
        Lost("ReadError", was_sent=True),
        refusal(503, "SERVICE_UNAVAILABLE", retry_after="1"),
    ]

    end, _ = wait(*trouble * 10, standing(DONE), within_s=600)

    assert end.is_done


def test_trouble_that_does_not_end_is_told_by_the_deadline() -> None:
    script = Played([Lost("ConnectError", was_sent=False)] * 100)
    with pytest.raises(NoAnswer):
        script.play(waited(NUMBER, script.terms, within_s=30))

    assert script.now <= 1_030


def test_an_unknown_order_is_no_reason_to_wait() -> None:
    with pytest.raises(OrderUnknown):
        wait(refusal(404, "ORDERED_ITEM_NOT_FOUND"))
