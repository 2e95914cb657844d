"""Races for one idempotency key, made certain: a trigger holds the first call at its COMMIT for as long as we like.

The trigger is deferred, so it runs when the admitting statement commits, after every row of it was written; it waits
for an advisory lock that the test holds. While it waits, the second call can be seen waiting in pg_stat_activity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from shared.config import Settings
from tests.support import equal_calls
from tests.support.front_door import parts_for
from tests.support.psp import until
from tests.support.selling import Seller, a_seller
from tests.support.storefront import new_correlation
from tests.support.wire import an_item

ROUNDS: Final = 5
"""Here; two hundred of them are tests/stress/test_equal_calls.py."""
HELD: Final = 4_711
"""The advisory lock that stands for "not committed yet"."""

HOLD_COMMITS: Final = f"""
    CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared({HELD}); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON orders
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit();
"""
ENDS: Final = """
    UPDATE offers SET expires_at = '2020-01-01T00:00:00Z',
        snapshot = snapshot || '{"expiresAt": "2020-01-01T00:00:00.000Z"}'
    WHERE offer_identifier = %s
"""
WAITING: Final = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = %s
"""


@pytest.fixture(autouse=True)
def _time_for_a_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test holds the first one: how long a caller may be kept waiting is not the matter here."""
    monkeypatch.setattr("api.admission.AGAIN_WITHIN_S", 30.0)


@pytest.fixture(scope="module")
def observer(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own, which makes the trigger and watches who waits."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(HOLD_COMMITS)
        yield conn


@pytest.fixture(scope="module")
def seller(settings: Settings, engine: Engine, vault_url: str) -> Iterator[Seller]:
    with Redis.from_url(vault_url) as redis:
        made = a_seller(parts_for(settings, engine, redis))
        yield made
        made.parts.doorbell.close()


@contextmanager
def commits_held(observer: psycopg.Connection[Any]) -> Iterator[Callable[[], None]]:
    """No order commits within, until the given function is called."""
    with ExitStack() as held:
        observer.execute("SELECT pg_advisory_lock(%s)", [HELD])
        held.callback(observer.execute, "SELECT pg_advisory_unlock(%s)", [HELD])
        yield held.close


def waiter(observer: psycopg.Connection[Any], on: str) -> int:
    """The server process of the one call that waits *on* something, once it does."""
    found = until(lambda: observer.execute(WAITING, [on]).fetchall())
    [(pid,)] = found
    return int(pid)


class Race:
    """Two equal calls: the first held at its COMMIT, the second seen to wait for it."""

    def __init__(self, seller: Seller, observer: psycopg.Connection[Any], pool: ThreadPoolExecutor) -> None:
        self._seller, self._observer, self._pool = seller, observer, pool
        offer = seller.offer(life=timedelta(minutes=15))
        self.document = seller.request(offer=offer, correlationId=new_correlation())

    def first(self) -> tuple[Future[TestResponse], int]:
        """Send it; it and its server process, once it stands at its COMMIT."""
        running = self._pool.submit(self._seller.post, self.document)
        return running, waiter(self._observer, "advisory")

    def second(self) -> Future[TestResponse]:
        """Send the same again; it, once it waits for the first transaction."""
        running = self._pool.submit(self._seller.post, self.document)
        waiter(self._observer, "transactionid")
        return running

    def offer_expires(self) -> None:
        """Have the offer's end lie in the past, whenever the first call came to its COMMIT."""
        ended = self._observer.execute(ENDS, [self.document["order"]["offerIdentifier"]])
        assert ended.rowcount == 1

    def orders(self) -> int:
        """How many orders came of it."""
        query = "SELECT count(*) FROM orders WHERE correlation_id = %s"
        row = self._observer.execute(query, [self.document["order"]["correlationId"]]).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def race(seller: Seller, observer: psycopg.Connection[Any]) -> Iterator[Race]:
    with ThreadPoolExecutor(4) as pool:
        yield Race(seller, observer, pool)


def admitted(answer: TestResponse) -> str:
    assert answer.status_code == 202, answer.text
    assert "Idempotent-Replayed" not in answer.headers
    return str(answer.get_json()["trackingNumber"])


def replayed(answer: TestResponse) -> str:
    assert answer.status_code == 202, answer.text
    assert answer.headers["Idempotent-Replayed"] == "true"
    return str(answer.get_json()["trackingNumber"])


def test_an_equal_call_waits_for_the_first_commit_and_gets_its_number(
    race: Race, observer: psycopg.Connection[Any]
) -> None:
    with commits_held(observer) as let_go:
        first, _ = race.first()
        second = race.second()
        let_go()

        assert replayed(second.result(10)) == admitted(first.result(10))
    assert race.orders() == 1


def test_it_does_so_even_when_the_offer_expires_in_between(race: Race, observer: psycopg.Connection[Any]) -> None:
    """For the second call the offer is past: only because it waits for the key does it not say OFFER_EXPIRED."""
    with commits_held(observer) as let_go:
        first, _ = race.first()
        race.offer_expires()
        second = race.second()
        let_go()

        assert replayed(second.result(10)) == admitted(first.result(10))
    assert race.orders() == 1


def test_a_first_call_that_rolls_back_leaves_the_way_to_the_second(
    race: Race, observer: psycopg.Connection[Any]
) -> None:
    with commits_held(observer) as let_go:
        first, pid = race.first()
        second = race.second()
        observer.execute("SELECT pg_cancel_backend(%s)", [pid])
        assert first.result(10).status_code == 503
        let_go()

        admitted(second.result(10))
    assert race.orders() == 1


def test_a_refusal_waits_too_and_is_given_only_when_the_first_call_rolled_back(
    race: Race, observer: psycopg.Connection[Any]
) -> None:
    """Expired for the second, and no first any more: now, holding the key, it may say so, and leaves none behind."""
    with commits_held(observer) as let_go:
        first, pid = race.first()
        race.offer_expires()
        second = race.second()
        observer.execute("SELECT pg_cancel_backend(%s)", [pid])
        answer = second.result(10)
        let_go()

    assert (answer.status_code, answer.get_json()["status"]["messageCode"]) == (409, "OFFER_EXPIRED")
    assert first.result(10).status_code == 503
    assert race.orders() == 0
    key = race.document["order"]["correlationId"]
    assert observer.execute("SELECT 1 FROM idempotency_keys WHERE key = %s", [key]).fetchall() == []


def test_a_connection_that_dies_before_its_commit_is_answered_by_the_same_statement_again(
    race: Race, observer: psycopg.Connection[Any]
) -> None:
    with commits_held(observer) as let_go:
        first, pid = race.first()
        observer.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert until(lambda: waiter(observer, "advisory") != pid)
        let_go()

        admitted(first.result(10))
    assert race.orders() == 1


def test_the_dead_first_call_finds_the_order_the_second_made_meanwhile(
    race: Race, observer: psycopg.Connection[Any]
) -> None:
    with commits_held(observer) as let_go:
        first, pid = race.first()
        second = race.second()
        observer.execute("SELECT pg_terminate_backend(%s)", [pid])
        until(lambda: observer.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall() == [])
        let_go()

        answers = [first.result(10), second.result(10)]
    assert len({answer.get_json()["trackingNumber"] for answer in answers}) == 1
    assert sorted("Idempotent-Replayed" in answer.headers for answer in answers) == [False, True]
    assert race.orders() == 1


def test_fifty_equal_calls_at_once_make_one_order_and_fifty_equal_answers(seller: Seller) -> None:
    with ThreadPoolExecutor(equal_calls.CALLS) as crowd:
        for _ in range(ROUNDS):
            equal_calls.assert_one_order(seller, crowd)


def test_a_refusal_leaves_no_key_so_the_mended_order_is_admitted(race: Race, seller: Seller) -> None:
    good = race.document
    bad = {**good, "order": {**good["order"], "items": [an_item("it.unknown")]}}

    assert seller.post(bad).status_code == 409
    admitted(seller.post(good))

    assert race.orders() == 1
