"""A caller who waits is told what they do not know yet, the newest of it, and never again what they were told."""

from __future__ import annotations

import uuid
from typing import Any, cast

from api.envelope import JSON
from api.held import Held
from shared.domain.states import CODE_OF, OrderState
from shared.store.keys import Caller, KeyRole
from shared.store.status import Status
from shared.store.tenants import TenantSettings

NUMBER = "trk_01M8AVRZ844WW70KKPBGK1BG4K"


def stands(version: int, state: OrderState) -> Status:
    return Status(NUMBER, CODE_OF[state], version, is_final=False, message=None, redirect=None)


def waits() -> Held:
    """An answer that is going to wait; the route has not read the order yet."""
    parts = cast("Any", None)  # What it is answered with; nothing is, here.
    named: dict[str, Any] = {"media_type": JSON, "request_id": "one", "polls": 3}
    caller = Caller(uuid.uuid4(), KeyRole.STOREFRONT, live=False, settings=TenantSettings(), key_id="0" * 16)
    return Held(parts, caller, NUMBER, 15.0, is_stream=False, known=Status.fresh(NUMBER), **named)


def test_news_that_came_before_the_order_was_read_and_tells_what_was_read_is_none() -> None:
    held = waits()
    held.hear(stands(4, OrderState.CHALLENGE))
    held.known = stands(4, OrderState.CHALLENGE)
    assert held.news is None


def test_news_that_came_before_the_order_was_read_and_tells_more_is_told() -> None:
    held = waits()
    held.hear(stands(5, OrderState.CAPTURED))
    held.known = stands(4, OrderState.CHALLENGE)
    assert held.news == stands(5, OrderState.CAPTURED)


def test_of_two_who_read_it_the_newer_is_told_whichever_comes_last() -> None:
    held = waits()
    held.known = stands(4, OrderState.CHALLENGE)
    told: list[Held] = []
    held.on_news = told.append
    held.hear(stands(7, OrderState.PAYING))
    held.hear(stands(5, OrderState.CONFIRMING))
    assert (held.news, told) == (stands(7, OrderState.PAYING), [held])


def test_what_was_told_is_no_news() -> None:
    held = waits()
    held.known = stands(4, OrderState.CHALLENGE)
    held.hear(stands(5, OrderState.CAPTURED))
    held.known = stands(5, OrderState.CAPTURED)
    assert held.news is None
    held.hear(stands(6, OrderState.CAPTURED))
    assert held.news is None, "its public face is the same"


def test_the_count_of_polls_begins_again_when_the_shopper_is_back_and_not_before() -> None:
    held = waits()
    held.learns(stands(4, OrderState.CHALLENGE))
    assert held.polls == 3
    held.learns(stands(5, OrderState.CONFIRMING))
    assert held.polls == 0
