"""An endpoint whose secret does not open is told of and left alone as one that takes nothing; keys that are away for a
while cost its events nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from shared import keyring
from shared.doctor import checks
from shared.domain.tenant_events import PAUSED_AFTER, RETRIES, SUSPECT_AFTER
from shared.keyring import Keyring
from shared.store import endpoints
from shared.store.deliveries import CLAIMED_FOR, MOST_TRIES
from tests.integration.tenant_events.test_not_taken import found
from tests.support.event_receiver import Receivers
from tests.support.key_services import SomeKms
from tests.support.listening import Listener, a_tenant, goes_on, listens, teller, until_heard
from tests.support.psp import until
from workers.runtime import Runtime
from workers.telling import Teller


@contextmanager
def listening_under(ring: Keyring, run: Runtime, receivers: Receivers) -> Iterator[Listener]:
    """A tenant whose endpoint's secret *ring* sealed; removed at the end, for nobody else has that ring."""
    made = listens(run.engine, ring, a_tenant(run.engine), receivers.storefront())
    yield made
    with run.engine.begin() as conn:
        endpoints.remove(conn, made.tenant_id, made.endpoint_id)


def test_an_endpoint_whose_secret_is_lost_is_alarmed_of_and_paused_and_hears_all_after_a_rotation(
    run: Runtime, receivers: Receivers, one: Teller
) -> None:
    with listening_under(keyring.fresh(), run, receivers) as listener:
        for _ in range(SUSPECT_AFTER):
            listener.done()
        until(lambda: goes_on(one) and listener.endpoint().failures == SUSPECT_AFTER)
        assert {log.answer for log in listener.log()} == {"its secret does not open: c2a endpoints rotate"}
        assert listener.at.heard == []

        listener.let_pass(timedelta(minutes=16))
        assert found(run, listener, checks.ENDPOINT_SILENT) == [listener.endpoint_id]
        listener.let_pass(PAUSED_AFTER)
        until(lambda: goes_on(one) and listener.endpoint().state == "paused")
        assert listener.endpoint().paused_why == "failing"

        with run.engine.begin() as conn:
            which = (listener.tenant_id, listener.endpoint_id)
            secret = endpoints.rotate(conn, run.keyring, *which, overlap=timedelta(hours=24))
            endpoints.resume(conn, *which)
        listener.at.answers(secrets=[secret])
        heard = until_heard(one, listener, SUSPECT_AFTER)

        assert all(each.verified_by == [0] for each in heard)
        assert found(run, listener, checks.ENDPOINT_SILENT) == []


def test_while_keys_are_away_nothing_is_held_against_an_endpoint_or_its_events(
    run: Runtime, receivers: Receivers
) -> None:
    kms = SomeKms()
    ring = Keyring(kms, bytes(32))
    with listening_under(ring, run, receivers) as listener, teller(replace(run, keyring=ring)) as one:
        listener.at.answers(statuses=[500])
        listener.done()
        with kms.away():
            for _ in range(len(RETRIES) + 1):
                until(lambda: goes_on(one) and is_left_to_its_claim(listener))
                listener.let_pass(CLAIMED_FOR)
        assert (listener.endpoint().failures, listener.at.heard) == (0, [])

        until(lambda: goes_on(one) and listener.endpoint().failures == 1)
        assert [log.state for log in listener.log()] == ["waiting"], "it was sent once, and is not given up"
        listener.let_pass(RETRIES[-1])
        until_heard(one, listener, 2)


def is_left_to_its_claim(listener: Listener) -> bool:
    [row] = listener.sql("SELECT claimed_until > now(), tries FROM event_deliveries WHERE tenant_id = :tenant") or [()]
    return tuple(row) == (True, 0)


def test_an_event_that_was_claimed_as_often_as_can_be_counted_is_sent(listener: Listener, one: Teller) -> None:
    """A claim that cannot count would fail for every tenant."""
    listener.done()
    one.read()
    listener.sql("UPDATE event_deliveries SET tries = :most WHERE tenant_id = :tenant", most=MOST_TRIES)

    until_heard(one, listener, 1)

    assert [(log.state, log.tries) for log in listener.log()] == [("delivered", MOST_TRIES)]
