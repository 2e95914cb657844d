"""A payment whose worker died or whose PSP fell silent goes on: same key, one charge, and no guess."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from shared.config import Settings
from shared.domain.outcomes import KeptMethod
from shared.domain.states import OrderState
from shared.patience import CRASHES_TO_PARK, FIRST_LOOK, JITTER, PSP_AWAY
from shared.psp.port import Channel
from shared.store import methods
from shared.store.attempts import AttemptState
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.lanes import opens
from tests.support.psp import Sandbox, until
from tests.support.vaulted import card_of
from tests.support.wire import Document, channel, fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.runtime import Runtime
from workers.tokenize import tokenize

ASKED_EVERY_S: Final = 15


def ledger(psp: Sandbox, room: EngineRoom, number: str) -> list[Document]:
    return [row for row in psp.charges(room.account) if row["merchantReference"] == number]


def age(room: EngineRoom, number: str, by: timedelta) -> None:
    """Let the PSP have been asked for the attempt *by* earlier."""
    room.sql(
        "UPDATE payment_attempts SET asked_at = asked_at - cast(:by AS interval) WHERE tracking_number = :number",
        by=by,
        number=number,
    )


@pytest.mark.parametrize("after_the_charge", [False, True], ids=["before the call", "after the charge"])
def test_a_worker_that_died_is_succeeded_under_the_same_key(
    room: EngineRoom, shared_psp: Sandbox, after_the_charge: bool
) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=after_the_charge)
    key = room.attempt(number).psp_key
    room.lease_ends_in(number, timedelta(minutes=1))
    assert not pay(room.run, number), "its lease still runs"
    assert room.events(number)[-1] == "payment_started"

    room.lease_ends_in(number, timedelta(0))
    assert pay(room.run, number)

    assert room.events(number)[-2:] == ["payment_resumed", "payment_captured"]
    assert room.order(number).crashes == 1
    [charge] = ledger(shared_psp, room, number)
    assert (charge["idempotencyKey"], charge["state"], charge["amountMinor"]) == (key, "captured", 1499)


def test_a_poison_order_with_nothing_asked_of_a_psp_is_given_up(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    room.sql(
        "UPDATE orders SET crashes = :crashes WHERE tracking_number = :number", crashes=CRASHES_TO_PARK, number=number
    )

    assert not pay(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert ledger(shared_psp, room, number) == []


def test_a_poison_order_with_an_attempt_out_is_looked_up_and_not_charged_again(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    room.sql(
        "UPDATE orders SET crashes = :crashes WHERE tracking_number = :number", crashes=CRASHES_TO_PARK, number=number
    )
    room.until_lease_ended(number)

    assert not pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    look_up(room.run, number)

    assert room.state(number) is OrderState.CAPTURED
    assert len(ledger(shared_psp, room, number)) == 1


def test_silence_is_looked_up_ever_more_slowly_and_never_taken_for_a_no(room: EngineRoom, shared_psp: Sandbox) -> None:
    """First within 2 s, then after 5, 15, 60 s, then every five minutes (design), give or take a fifth at random: those
    that fell silent together are not looked up together for ever."""
    number = room.locked()
    shared_psp.set_faults(down="503")

    steps: list[Callable[[Runtime, str], object]] = [pay, *[look_up] * 8]
    first, *later = [room.pause_after(step, number) for step in steps]

    assert first[0] <= FIRST_LOOK.total_seconds() <= first[1]
    for (least, most), right in zip(later, (5, 15, 60, *[300] * 5), strict=True):
        assert least <= right * JITTER[1]
        assert most >= right * JITTER[0]
    alike = later[3:]
    assert max(least for least, _ in alike) > min(most for _, most in alike), "five times the same pause"
    assert room.state(number) is OrderState.CONFIRMING
    assert room.attempt(number).outcome is AttemptState.OPEN


@pytest.mark.parametrize(("since_s", "is_proof"), [(0, False), (50, False), (61, True)])
def test_no_such_charge_proves_nothing_until_no_request_can_still_be_on_its_way(
    room: EngineRoom, shared_psp: Sandbox, since_s: int, is_proof: bool
) -> None:
    """Lease limit (30 s) and the PSP's longest processing (30 s) after the attempt began."""
    number = room.locked(fresh_card("4000007700000133"))  # The connection drops, nothing is written.
    assert not pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    age(room, number, timedelta(seconds=since_s))

    look_up(room.run, number)

    assert room.attempt(number).outcome is (AttemptState.ABSENT if is_proof else AttemptState.OPEN)
    assert room.state(number) is (OrderState.OFFER_LOCKED if is_proof else OrderState.CONFIRMING)


@pytest.mark.parametrize(("since_s", "pause_s"), [(0, ASKED_EVERY_S), (20, ASKED_EVERY_S), (50, 10)])
def test_while_no_such_charge_is_no_proof_it_is_asked_every_15_s_until_it_is(
    room: EngineRoom, shared_psp: Sandbox, since_s: int, pause_s: int
) -> None:
    """Not ever more slowly: the PSP answers, and a minute after the request its answer is the truth."""
    number = room.locked(fresh_card("4000007700000133"))  # The connection drops, nothing is written.
    began = time.monotonic()
    assert not pay(room.run, number)
    age(room, number, timedelta(seconds=since_s))

    for _ in range(3):
        least, most = room.pause_after(look_up, number)
        assert least <= pause_s
        taken = 0 if pause_s == ASKED_EVERY_S else time.monotonic() - began
        assert most >= pause_s - taken - 0.1, "what the steps above took is part of the minute"
    assert room.attempt(number).looks == 0


def test_what_was_proven_never_made_is_made_again_under_its_own_key(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked(fresh_card("4000007700000133"))
    pay(room.run, number)
    key = room.attempt(number).psp_key
    age(room, number, timedelta(seconds=61))
    look_up(room.run, number)

    assert pay(room.run, number)

    assert [row["idempotencyKey"] for row in ledger(shared_psp, room, number)] == [key]
    assert room.state(number) is OrderState.CAPTURED


@pytest.mark.parametrize(
    ("first_sent", "may_repeat"),
    [
        (timedelta(hours=23, minutes=59), True),
        (timedelta(hours=23, minutes=59, seconds=45), False),
        (timedelta(hours=25), False),
    ],
    ids=["within the key's life", "it may end within the call", "past it"],
)
def test_a_request_whose_key_the_psp_may_have_forgotten_is_asked_about_and_never_sent_again(
    room: EngineRoom, shared_psp: Sandbox, first_sent: timedelta, may_repeat: bool
) -> None:
    """Fault C3: sent again it would be charged again."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    room.sql(
        "UPDATE payment_attempts SET started_at = started_at - cast(:by AS interval) WHERE tracking_number = :number",
        by=first_sent,
        number=number,
    )
    room.until_lease_ended(number)
    if not may_repeat:
        shared_psp.set_faults(keyLifetimeSeconds=0)

    assert pay(room.run, number) == may_repeat
    look_up(room.run, number)

    assert room.state(number) is OrderState.CAPTURED
    assert len(ledger(shared_psp, room, number)) == 1


@pytest.mark.parametrize("is_repeat", [False, True])
def test_a_request_that_the_psp_finds_invalid_says_nothing_of_the_one_before_it(
    room: EngineRoom, shared_psp: Sandbox, is_repeat: bool
) -> None:
    """A no without a charge ends an order that was asked for once; after a captured request it is a repeat's own."""
    number = room.locked()
    if is_repeat:
        room.dies_while_charging(number, after_the_charge=True)
        room.until_lease_ended(number)
    misconfigured = room.run.settings.model_copy(update={"public_url": "javascript:"})

    assert not pay(replace(room.run, settings=misconfigured), number)

    assert room.state(number) is (OrderState.CONFIRMING if is_repeat else OrderState.FAILED)
    look_up(room.run, number)
    assert room.state(number) is (OrderState.CAPTURED if is_repeat else OrderState.FAILED)


def test_a_psp_that_was_not_even_reached_is_asked_again_soon(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    with room.unreachable():
        least, most = room.pause_after(pay, number)
    assert room.state(number) is OrderState.OFFER_LOCKED
    assert least <= PSP_AWAY.total_seconds() <= most
    assert not pay(room.run, number), "it is not its time yet, whoever rings"
    assert room.state(number) is OrderState.OFFER_LOCKED

    room.comes_up(number)
    assert pay(room.run, number)
    assert len(ledger(shared_psp, room, number)) == 1


def test_a_card_that_is_gone_ends_the_order_only_if_nothing_was_asked(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    room.run.vault.forget(room.seller.shop.tenant_id, number)

    assert not pay(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CARD_DATA_UNAVAILABLE")
    assert ledger(shared_psp, room, number) == []


def forgotten_by_a_failover(room: EngineRoom) -> str:
    """An order that was charged, and whose database knows nothing of it any more; its card was let go of."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    room.sql("DELETE FROM payment_attempts WHERE tracking_number = :n", n=number)
    room.sql(
        "UPDATE orders SET state = 'offer_locked', fence = 0, lease_until = NULL, lease_limit = NULL,"
        " lease_owner = NULL WHERE tracking_number = :n",
        n=number,
    )
    room.run.vault.forget(room.seller.shop.tenant_id, number)
    return number


def test_a_charge_that_only_the_psp_remembers_counts_though_the_card_is_gone(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = forgotten_by_a_failover(room)

    assert not pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    look_up(room.run, number)

    assert room.state(number) is OrderState.CAPTURED
    assert len(ledger(shared_psp, room, number)) == 1


def test_a_psp_that_does_not_say_whether_it_knows_a_charge_is_asked_again(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = forgotten_by_a_failover(room)
    shared_psp.set_faults(down="closed")

    assert not pay(room.run, number)

    assert room.state(number) is OrderState.OFFER_LOCKED


@pytest.fixture
def away(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant whose PSP's breaker stays open for five minutes once it opens."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1, breaker_open_s=300.0) as made:
        yield made


def test_a_psp_that_is_away_is_waited_for_where_it_may_know_a_charge(away: EngineRoom) -> None:
    """Nobody can be asked, and that is no word of it: the order would fail that was charged."""
    number = forgotten_by_a_failover(away)
    opens(away.run.turns, away.lane)
    until(lambda: away.run.records([away.account])[away.account.provider].is_away)  # What was read before is believed.

    assert not pay(away.run, number)

    assert away.state(number) is OrderState.OFFER_LOCKED


@pytest.mark.parametrize("was_charged", [False, True])
def test_with_an_attempt_out_a_card_that_is_gone_leaves_the_verdict_to_look_ups(
    room: EngineRoom, shared_psp: Sandbox, was_charged: bool
) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=was_charged)
    room.run.vault.forget(room.seller.shop.tenant_id, number)
    room.until_lease_ended(number)

    assert not pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    look_up(room.run, number)
    if was_charged:
        assert room.state(number) is OrderState.CAPTURED
        return
    assert room.state(number) is OrderState.CONFIRMING, "it may still be on its way"
    age(room, number, timedelta(seconds=61))
    look_up(room.run, number)
    assert not pay(room.run, number)
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CARD_DATA_UNAVAILABLE")
    assert ledger(shared_psp, room, number) == []


def a_stored_mandate(room: EngineRoom) -> str:
    """The URN of a SEPA method of the shopper."""
    kept = KeptMethod("tok_mandate", None, None, None, None)
    who = (room.seller.shop.tenant_id, "cu.00.482", Channel.SEPA, room.account.provider)
    with room.run.engine.begin() as conn:
        return methods.store(conn, room.run.keyring, *who, kept, alias=None, tracking_number=None)


def test_a_stored_method_deleted_meanwhile_is_not_made_good_by_a_fresh_debit(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """Without its token the repeat would be another request: only look-ups may go on."""
    urn = a_stored_mandate(room)
    stored = channel("SEPA", useStoredMethod=True, creditCard={"storedMethodUrn": urn})
    number = room.locked(stored)
    room.dies_while_charging(number, after_the_charge=False)
    with room.run.engine.begin() as conn:
        methods.mark_deleted(conn, room.seller.shop.tenant_id, urn)
    room.until_lease_ended(number)

    assert not pay(room.run, number)

    assert room.state(number) is OrderState.CONFIRMING
    assert ledger(shared_psp, room, number) == []


@pytest.mark.parametrize("card", ["4111111111111111", "4000000000000002", "4000002760003184", "4000007700000067"])
def test_the_card_leaves_the_vault_once_no_further_attempt_can_need_it(room: EngineRoom, card: str) -> None:
    """Captured, declined for good, challenged, or pending (design, what protects the money)."""
    number = room.locked(fresh_card(card))
    tenant = room.seller.shop.tenant_id
    assert card_of(room.run.vault, tenant, number) is not None

    pay(room.run, number)

    assert card_of(room.run.vault, tenant, number) is None


@pytest.mark.parametrize("card", ["4000002760003184", "4000007700000067"], ids=["challenged", "pending"])
def test_a_look_up_that_learns_as_much_lets_go_of_the_card(room: EngineRoom, shared_psp: Sandbox, card: str) -> None:
    shared_psp.set_faults(settleSeconds=600, next=[{"kind": "dropAfter"}])
    number = room.locked(fresh_card(card))
    tenant = room.seller.shop.tenant_id
    pay(room.run, number)
    assert card_of(room.run.vault, tenant, number) is not None

    look_up(room.run, number)

    assert card_of(room.run.vault, tenant, number) is None


def test_the_card_stays_while_nobody_knows(room: EngineRoom) -> None:
    number = room.locked(fresh_card("4000000000000119"))

    pay(room.run, number)

    assert room.state(number) is OrderState.CONFIRMING
    assert card_of(room.run.vault, room.seller.shop.tenant_id, number) is not None


def test_a_method_is_stored_once_however_often_its_step_runs(room: EngineRoom) -> None:
    number = room.locked(fresh_card(storeMethodSuccessPayment="always"))
    pay(room.run, number)

    for _ in range(3):
        tokenize(room.run, number)

    assert room.state(number) is OrderState.DONE
    stored = room.sql("SELECT 1 FROM stored_methods WHERE tracking_number = :number", number=number)
    assert len(stored) == 1
    assert room.events(number).count("method_stored") == 1


def test_a_step_that_comes_too_early_or_too_late_changes_nothing(room: EngineRoom) -> None:
    """Messages come doubled and out of order; the row decides."""
    number = room.admitted(channel("PayPal"))
    for step in (pay, look_up, tokenize):
        step(room.run, number)
    assert room.events(number) == ["admitted"]
    assert not pay(room.run, "trk_unknown")
