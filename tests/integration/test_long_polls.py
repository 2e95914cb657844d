"""A poller who prefers to wait is answered when its order moves, or when it has waited; nobody else pays for it."""

from __future__ import annotations

import json
import resource
import signal
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import Engine, text

from deploy.stack.waiting import until
from shared.config import Settings
from shared.domain.states import OrderEvent, OrderState
from shared.store import moves
from shared.store.engine import create_engine
from tests.support import lateness
from tests.support.front_door import a_shop
from tests.support.order_rows import an_order
from tests.support.own_postgres import own_postgres
from tests.support.poller import Poller, captured, end, polling
from tests.support.served import Served, serving

PROCESSING: Final = "CHECK_OUT_PROCESSING"
DONE: Final = "CHECK_OUT_DONE"
AT_ONCE_S: Final = 1.2
"""Less than a look takes to find what nobody told (1.5 s); on a machine with work for seven the news takes so long."""
LOST_COSTS_S: Final = 3.0
"""The promised two seconds, and what such a machine adds."""
FILES: Final = 160
HELD_OF_ONE: Final = FILES * 3 // 4 * 3 // 4
"""A process that may open so many files has places for three quarters of that, and one tenant may have as much of
them (api/places.py)."""


def test_who_waits_is_answered_when_the_order_moves(served: Served, engine: Engine) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        ask_and_wait(served, poller, order.tracking_number, Prefer="wait=20")
        assert poller.hears_nothing_for(0.5)
        with lateness.watched() as late:
            end(engine, order)
            moved = time.monotonic()
            told = poller.answer()
            took = time.monotonic() - moved

        assert (told.status, told.code) == (200, DONE)
        assert took - late.seconds < AT_ONCE_S
        assert told.document == {
            "trackingNumber": order.tracking_number,
            "status": {"messageCode": DONE},
            "followUpInstructions": {"canFollowUp": False},
        }
        assert told.headers["preference-applied"] == "wait=20"
        assert told.headers["cache-control"] == "private, max-age=3600"
        assert told.headers["content-type"] == "application/json"
        assert {"etag", "x-request-id", "ratelimit", "date", "vary"} <= told.headers.keys()
        assert "retry-after" not in told.headers


def test_who_waited_long_enough_is_told_that_nothing_happened_and_may_ask_again_on_the_same_connection(
    served: Served, engine: Engine
) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        poller.ask(order.tracking_number, Prefer="wait=1")
        told = poller.answer()

        assert (told.status, told.code) == (200, PROCESSING)
        assert 1.0 <= told.seconds < 3.0
        assert told.headers["retry-after"] == str(told.document["followUpInstructions"]["retryAfterSeconds"])
        assert told.headers["cache-control"] == "no-store"
        assert told.headers["connection"] == "keep-alive"

        poller.ask(order.tracking_number, Prefer="wait=1", If_None_Match=told.headers["etag"])
        again = poller.answer()

        assert (again.status, again.body) == (304, b"")
        assert again.seconds >= 1.0
        poller.ask(order.tracking_number)
        assert poller.answer().document["followUpInstructions"]["currentRetryAttempt"] == 3


@pytest.mark.parametrize("way", [{}, {"Accept": "application/clientOutput+Json"}], ids=["quick", "by Flask"])
def test_an_answer_that_waited_tells_which_poll_it_answers_and_none_after_a_redirect(
    served: Served, engine: Engine, way: dict[str, str]
) -> None:
    order = an_order(engine, OrderState.PAYING, tenant_id=served.shop.tenant_id)
    with polling(served) as poller:
        poller.ask(order.tracking_number)
        assert counted(poller.answer().document) == (1, 29)

        ask_and_wait(served, poller, order.tracking_number, Prefer="wait=20", **way)
        assert poller.hears_nothing_for(0.3)
        challenged = moves.advance(engine, order, OrderEvent.SHOPPER_CHALLENGED, actor="pay", due_in=orders_soon())
        assert counted(poller.answer().document) == (2, 28)

        ask_and_wait(served, poller, order.tracking_number, Prefer="wait=20", **way)
        assert poller.hears_nothing_for(0.3)
        assert challenged is not None
        moves.advance(engine, challenged, OrderEvent.PAYMENT_UNANSWERED, actor="settle", due_in=orders_soon())
        told = poller.answer()

        assert (told.code, counted(told.document)) == (PROCESSING, (0, 30))


def test_who_knows_less_than_there_is_does_not_wait(served: Served, engine: Engine) -> None:
    running, over = captured(engine, served), captured(engine, served)
    end(engine, over)
    with polling(served) as poller:
        for number, header in ((over.tracking_number, '"x"'), (running.tracking_number, '"of another time"')):
            with lateness.watched() as late:
                poller.ask(number, Prefer="wait=30", If_None_Match=header)
                told = poller.answer()

            assert told.status == 200
            assert told.seconds - late.seconds < AT_ONCE_S


@pytest.mark.parametrize("prefer", ["wait=0", "respond-async", "wait=soon", "wait=-1", "waiting=5"])
def test_what_is_no_preference_to_wait_is_answered_at_once(served: Served, engine: Engine, prefer: str) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        poller.ask(order.tracking_number, Prefer=prefer)
        told = poller.answer()

        assert (told.status, told.code) == (200, PROCESSING)
        assert "preference-applied" not in told.headers


def test_a_longer_wait_than_we_hold_is_applied_as_the_longest(served: Served, engine: Engine) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        ask_and_wait(served, poller, order.tracking_number, Prefer='respond-async, wait="86400"')
        assert poller.hears_nothing_for(0.3)
        end(engine, order)

        assert poller.answer().headers["preference-applied"] == "wait=30"


def test_an_unknown_order_is_not_waited_for(served: Served, engine: Engine) -> None:
    theirs = an_order(engine, OrderState.CAPTURED)
    with polling(served) as poller, lateness.watched() as late:
        poller.ask(theirs.tracking_number, Prefer="wait=30")
        told = poller.answer()

    assert (told.status, told.code) == (404, "ORDERED_ITEM_NOT_FOUND")
    assert told.seconds - late.seconds < AT_ONCE_S


@pytest.mark.parametrize("asks", [{"Prefer": "wait=2"}, {"Accept": "text/event-stream"}], ids=str)
def test_who_asks_for_the_head_alone_waits_for_nothing_and_may_go_on(
    served: Served, engine: Engine, asks: dict[str, str]
) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        poller.ask(order.tracking_number, "HEAD", **asks)
        status, headers = poller.answer_head()
        end(engine, order)
        poller.ask(order.tracking_number)

        assert poller.answer().code == DONE
        assert (status, headers["connection"]) == (200, "keep-alive")
        assert "preference-applied" not in headers
        assert headers["content-type"] == asks.get("Accept", "application/json")
        assert ("content-length" in headers) == ("Prefer" in asks), "a stream has none"


def test_a_move_the_public_does_not_see_wakes_nobody(served: Served, engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED, tenant_id=served.shop.tenant_id)
    with polling(served) as poller:
        ask_and_wait(served, poller, order.tracking_number, Prefer="wait=3")
        assert poller.hears_nothing_for(0.3)
        paid = moves.advance(engine, order, OrderEvent.NOTHING_TO_PAY, actor="pay", due_in=orders_soon())
        assert paid is not None

        assert poller.answer().seconds >= 3.0


def test_news_that_is_lost_costs_two_seconds(served: Served, engine: Engine) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        ask_and_wait(served, poller, order.tracking_number, Prefer="wait=30")
        assert poller.hears_nothing_for(0.3)
        with lateness.watched() as late:
            end_unheard(engine, order.tracking_number)
            moved = time.monotonic()
            told = poller.answer()
            took = time.monotonic() - moved

        assert told.code == DONE
        assert took - late.seconds < LOST_COSTS_S


def test_a_restart_of_the_database_costs_who_waits_nothing(vault_url: str, broker_url: str, tmp_path: Path) -> None:
    with own_postgres() as postgres:
        settings = Settings.model_validate(
            {"DATABASE_URL": postgres.url, "VAULT_URL": vault_url, "BROKER_URL": broker_url}
        )
        engine = create_engine(settings)
        with serving(settings, engine, tmp_path) as served, polling(served) as poller:
            order = captured(engine, served)
            ask_and_wait(served, poller, order.tracking_number, Prefer="wait=30")
            assert poller.hears_nothing_for(0.3)
            postgres.crash()
            postgres.start()
            engine.dispose()
            with lateness.watched() as late:
                end(engine, order)
                moved = time.monotonic()
                told = poller.answer()
                took = time.monotonic() - moved

            assert told.code == DONE
            assert took - late.seconds < LOST_COSTS_S
        engine.dispose()


def test_a_stream_tells_each_change_and_ends_with_the_last(served: Served, engine: Engine) -> None:
    order = an_order(engine, OrderState.PAYING, tenant_id=served.shop.tenant_id)
    with polling(served) as poller:
        poller.ask(order.tracking_number, Accept="text/event-stream")
        status, headers = poller.answer_head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert (headers["cache-control"], headers["connection"]) == ("no-store", "close")
        assert "content-length" not in headers
        first = poller.event()
        assert (code_of(first), first["retry"], counted(json.loads(first["data"]))) == (PROCESSING, "2000", (1, 29))

        challenged = moves.advance(
            engine, order, OrderEvent.SHOPPER_CHALLENGED, actor="pay", due_in=orders_soon(), redirect={"redirectUrl": "https://x"}
        )  # fmt: skip
        second = poller.event()
        assert (code_of(second), counted(json.loads(second["data"]))) == ("CHECK_OUT_3DS_REQUIRED", (1, 29))
        assert challenged is not None
        failed = moves.advance(
            engine, challenged, OrderEvent.CHALLENGE_EXPIRED, actor="settle", failure="CHALLENGE_EXPIRED"
        )
        assert failed is not None
        last = poller.event()
        assert code_of(last) == "CHECK_OUT_FAILED"
        assert poller.event() == {}

    with polling(served) as poller:
        poller.ask(order.tracking_number, Accept="text/event-stream", Last_Event_ID=last["id"])
        assert poller.answer_head()[0] == 204


def test_who_hangs_up_is_forgotten_at_once(served: Served, engine: Engine) -> None:
    order = captured(engine, served)
    with polling(served) as poller:
        asked = ask_and_wait(served, poller, order.tracking_number, Prefer="wait=30")
        assert poller.hears_nothing_for(0.3)
    until(lambda: b'"how": "gone"' in lines_of(served, asked), "it is forgotten", within_s=10)


def test_however_many_answers_one_tenant_has_held_anothers_is_held_as_well(mortal: Served, engine: Engine) -> None:
    other = replace(mortal, shop=a_shop(engine))
    number, theirs = captured(engine, mortal).tracking_number, captured(engine, other).tracking_number
    [process] = psutil.Process(mortal.process.pid).children()
    process.rlimit(resource.RLIMIT_NOFILE, (FILES, process.rlimit(resource.RLIMIT_NOFILE)[1]))
    with ExitStack() as connections:
        for _ in range(HELD_OF_ONE):
            poller = connections.enter_context(polling(mortal))
            poller.ask(number, Accept="text/event-stream")
            assert "content-length" not in poller.answer_head()[1], "it is a stream"
        refused, waits = (connections.enter_context(polling(one)) for one in (mortal, other))
        refused.ask(number, Prefer="wait=2")
        told = refused.answer()
        waits.ask(theirs, Prefer="wait=2")
        waited = waits.answer()

    assert (told.code, "preference-applied" in told.headers) == (PROCESSING, False)
    assert (waited.code, waited.headers["preference-applied"]) == (PROCESSING, "wait=2")
    assert waited.seconds >= 2.0


def test_at_the_end_of_the_process_whoever_waits_is_answered_within_its_grace(mortal: Served, engine: Engine) -> None:
    order = captured(engine, mortal)
    with polling(mortal) as poller, polling(mortal) as reader:
        ask_and_wait(mortal, poller, order.tracking_number, Prefer="wait=30")
        reader.ask(order.tracking_number, Accept="text/event-stream")
        reader.answer_head()
        assert code_of(reader.event()) == PROCESSING
        assert poller.hears_nothing_for(0.3)
        with lateness.watched() as late:
            asked = time.monotonic()
            mortal.process.send_signal(signal.SIGTERM)
            told = poller.answer()
            while reader.event():
                pass
            code = mortal.process.wait(20)
            took = time.monotonic() - asked

        assert (told.status, told.code) == (200, PROCESSING)
        assert told.headers["connection"] == "close"
        assert code == 0
        assert took - late.seconds < 8


def ask_and_wait(served: Served, poller: Poller, number: str, **headers: str) -> bytes:
    """Ask, and wait until the process has read the order and holds the answer: what moves now, *poller* waits for. The
    request's id."""
    request_id = f"asked-{uuid4().hex}"
    poller.ask(number, x_request_id=request_id, **headers)
    is_held = b'"event": "request"'
    until(lambda: is_held in lines_of(served, request_id.encode()), "its poll is held", within_s=20)
    return request_id.encode()


def code_of(event: dict[str, str]) -> str:
    """status.messageCode of an event."""
    return str(json.loads(event["data"])["status"]["messageCode"])


def counted(document: dict[str, Any]) -> tuple[int, int]:
    """Which poll a document answers, and how many its caller is told to expect yet."""
    follow_up = document["followUpInstructions"]
    return follow_up["currentRetryAttempt"], follow_up["remainingRetryCount"]


def orders_soon() -> timedelta:
    """When somebody must look at a live order next."""
    return timedelta(minutes=5)


def end_unheard(engine: Engine, number: str) -> None:
    """Let an order be done without a word to anybody, as a process does that dies between its commit and the news."""
    with engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE orders SET state = 'done', version = version + 1, finished_at = now(), due_at = NULL"
                " WHERE tracking_number = :number"
            ),
            {"number": number},
        )


def lines_of(served: Served, request_id: bytes) -> bytes:
    """What the log says of a request."""
    return b"\n".join(line for line in served.log.read_bytes().splitlines() if request_id in line)
