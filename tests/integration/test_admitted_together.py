"""Orders that come at the same moment are written down by one statement, and each gets what it would get alone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import psycopg
import pytest
from psycopg.errors import LockNotAvailable
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from api.admission import _candidate
from api.schemas.checkout import CheckoutRequest
from api.validation import read
from shared.config import Settings
from shared.ids import new_tracking_number
from shared.store.admission import Candidate, Holder, NotTogether, admit_at_once
from shared.store.engine import create_engine
from shared.store.row_security import Role
from shared.store.tenancy import acting_for
from tests.support import lateness
from tests.support.front_door import parts_for
from tests.support.selling import Seller, a_seller
from tests.support.wire import channel

ROUNDS: Final = 3
"""Of which the best tells how long is waited: a machine that stands still holds up one of them."""


@pytest.fixture(scope="module")
def front_door(settings: Settings) -> Iterator[Engine]:
    made = create_engine(settings.model_copy(update={"pool_size": 1}), role=Role.API)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def seller(settings: Settings, engine: Engine, front_door: Engine, vault_url: str) -> Iterator[Seller]:
    with Redis.from_url(vault_url) as redis:
        made = a_seller(parts_for(settings, front_door, redis), rows=engine)
        yield made
        made.parts.doorbell.close()


@pytest.fixture
def candidate(seller: Seller) -> Iterator[Candidate]:
    document = seller.request(channel("PayPal"), correlationId=uuid.uuid4().hex)
    ask = read(CheckoutRequest, document)
    with acting_for(seller.shop.tenant_id):
        yield _candidate(seller.parts, seller.shop.tenant_id, ask, ask.order.correlation_id)


def another(candidate: Candidate, **changes: Any) -> Candidate:
    """The same order once more, under a key of its own."""
    key = uuid.uuid4().hex
    fresh = {"tracking_number": new_tracking_number(), "key": key, "correlation_id": key}
    return replace(candidate, **(fresh | changes))


def own(candidate: Candidate) -> Holder:
    return Holder(candidate.tracking_number, candidate.digest)


def kept(engine: Engine, candidates: list[Candidate]) -> set[str]:
    """Which of *candidates* are orders, each with its first event."""
    query = text("""
        SELECT tracking_number FROM orders JOIN order_events USING (tenant_id, tracking_number)
        WHERE tracking_number = ANY (:numbers) AND event = 'admitted'
    """)
    with engine.connect() as conn:
        return set(conn.execute(query, {"numbers": [one.tracking_number for one in candidates]}).scalars())


def test_each_is_an_order_of_its_own(engine: Engine, front_door: Engine, candidate: Candidate) -> None:
    together = [another(candidate) for _ in range(20)]

    assert admit_at_once(front_door, together) == [own(one) for one in together]
    assert kept(engine, together) == {one.tracking_number for one in together}


def test_one_that_may_not_be_admitted_takes_none_with_it(
    engine: Engine, front_door: Engine, candidate: Candidate
) -> None:
    wrong = another(candidate, offer="of_unknown")
    too_many = another(candidate, quantities=[999_999])
    good = [another(candidate), another(candidate)]

    told = admit_at_once(front_door, [good[0], wrong, too_many, good[1]])

    assert told == [own(good[0]), None, None, own(good[1])]
    assert kept(engine, [*good, wrong, too_many]) == {one.tracking_number for one in good}


def test_equal_calls_get_one_order(engine: Engine, front_door: Engine, candidate: Candidate) -> None:
    equal = [replace(candidate, tracking_number=new_tracking_number()) for _ in range(3)]

    assert admit_at_once(front_door, equal) == [own(equal[0])] * 3
    assert admit_at_once(front_door, [another(candidate), *reversed(equal)])[1:] == [own(equal[0])] * 3
    assert kept(engine, equal) == {equal[0].tracking_number}


def test_who_acts_for_another_tenant_writes_nothing_for_this_one(
    engine: Engine, front_door: Engine, candidate: Candidate
) -> None:
    """Row security stands behind the statement, whatever tenant it names."""
    strange = [another(candidate), another(candidate)]

    with acting_for(uuid.uuid4()):
        assert admit_at_once(front_door, strange) == [None, None]
    assert kept(engine, strange) == set()


@contextmanager
def key_held(postgres_url: str, candidate: Candidate) -> Iterator[None]:
    """Somebody has claimed the key and does not say yet what became of it."""
    with psycopg.connect(postgres_url) as conn:
        conn.execute(
            "INSERT INTO idempotency_keys (tenant_id, key, tracking_number, digest) VALUES (%s, %s, 'trk_x', 'x')",
            [candidate.tenant_id, candidate.key],
        )
        yield
        conn.rollback()


def seconds_until_refused(front_door: Engine, together: list[Candidate]) -> float:
    """How long the batch waited for a key before it gave up of itself, and not when its statement's time was over."""
    with lateness.watched() as late:
        began = time.monotonic()
        with pytest.raises(NotTogether) as refused:
            admit_at_once(front_door, together)
        took = time.monotonic() - began
    why = refused.value.__cause__
    assert isinstance(why, DBAPIError)
    assert isinstance(why.orig, LockNotAvailable)
    return took - late.seconds


def test_a_key_that_is_held_keeps_no_other_order_waiting(
    engine: Engine, front_door: Engine, candidate: Candidate, postgres_url: str
) -> None:
    held, free = another(candidate), another(candidate)
    with key_held(postgres_url, held):
        assert min(seconds_until_refused(front_door, [held, free]) for _ in range(ROUNDS)) < 1
        assert kept(engine, [held, free]) == set(), "one statement: none of them or all"

        assert admit_at_once(front_door, [free]) == [own(free)]

    assert admit_at_once(front_door, [held]) == [own(held)]


def test_the_patience_of_a_batch_is_gone_with_it(front_door: Engine, candidate: Candidate) -> None:
    admit_at_once(front_door, [another(candidate), another(candidate)])

    with front_door.connect() as conn:
        assert conn.execute(text("SHOW lock_timeout")).scalar_one() == "0"
