"""The checker finds every kind of broken promise, and finds nothing in a run that kept them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from deploy.crashtest import gather
from deploy.crashtest.checker import check
from deploy.crashtest.leaks import leaks
from deploy.crashtest.records import Attempt, Call, Card, Charge, Database, Event, Method, Order, Poll, Records

NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
EARLIER: Final = NOON - timedelta(seconds=5)
T: Final = "tenant"
DONE: Final = Order(T, "trk_1", "done", 5, "of_1", "cu.1", "cart-1", 1499, "EUR", keeps_method=True)
FAILED: Final = Order(T, "trk_2", "failed", 4, "of_2", "cu.1", "cart-2", 1499, "EUR", "CARD_DECLINED")
PAID: Final = Charge("sb_1", "acc", "cart-1", "key-1", 1499, "EUR", "captured", 0, NOON)
REFUSED: Final = Charge("sb_2", "acc", "cart-2", "key-2", 1499, "EUR", "declined", 0, NOON)


def story(number: str, *steps: tuple[str, str]) -> list[Event]:
    """The events of an order, a second apart."""
    return [
        Event(number, version, event, state, NOON + timedelta(seconds=version))
        for version, (event, state) in enumerate((("admitted", "admitted"), *steps), start=1)
    ]


HELD: Final = (("offer_held", "offer_locked"), ("payment_started", "paying"))
STORY_1: Final = story("trk_1", *HELD, ("payment_captured", "captured"), ("method_stored", "done"))
STORY_2: Final = story("trk_2", *HELD, ("payment_declined", "failed"))
CLEAN: Final = Records(
    calls=[
        Call(T, "cart-1", "of_1", "cu.1", None),
        Call(T, "cart-1", "of_1", "cu.1", 202, "trk_1", (1499, "EUR")),
        Call(T, "cart-2", "of_2", "cu.1", 202, "trk_2"),
    ],
    polls=[Poll("trk_1", "CHECK_OUT_PROCESSING", 3), Poll("trk_1", "CHECK_OUT_DONE", 5)],
    charges=[PAID, REFUSED],
    database=Database(
        orders=[DONE, FAILED],
        events=[*STORY_1, *STORY_2],
        attempts=[
            Attempt(T, "trk_1", 1, "sandbox", "key-1", "captured", "sb_1"),
            Attempt(T, "trk_2", 1, "sandbox", "key-2", "declined", "sb_2"),
        ],
        methods=[Method(T, "pm.1.1", "trk_1")],
        keys={(T, "cart-1"): "trk_1", (T, "cart-2"): "trk_2"},
        holds={(T, "of_1"): "trk_1"},
        single_use=frozenset({(T, "of_1"), (T, "of_2")}),
        tenant_of_account={"acc": T},
    ),
    cards=[Card(T, "trk_of_nobody", 600.0)],
)


def but(**replaced: Any) -> Records:
    """The clean records with something else in them."""
    return replace(CLEAN, **replaced)


def with_rows(**replaced: Any) -> Records:
    """The clean records with other rows."""
    return but(database=replace(CLEAN.database, **replaced))


def attempts(**replaced: Any) -> list[Attempt]:
    first, second = CLEAN.database.attempts
    return [replace(first, **replaced), second]


def with_third(**replaced: Any) -> list[Event]:
    """The first order's events with another third one, under its own version."""
    return [replace(one, **replaced) if one.version == 3 else one for one in STORY_1]


RESUMED_STEPS: Final = (*HELD, ("payment_resumed", "paying"))
RESUMED: Final = story("trk_2", *RESUMED_STEPS, ("payment_declined", "failed"))
TAKEN_AFTER_A_NO: Final = [
    PAID,
    replace(REFUSED, created_at=EARLIER),
    replace(REFUSED, reference="sb_3", state="voided", created_at=NOON + timedelta(minutes=1)),
]


def test_a_run_that_kept_its_promises_has_no_violation() -> None:
    assert check(CLEAN) == []
    assert check(Records()) == []


@pytest.mark.parametrize(
    ("refunded", "charge"),
    [
        (500, replace(PAID, refunded=500)),
        (1499, replace(PAID, refunded=1499, state="refunded")),
        (1499, replace(PAID, state="voided")),
    ],
    ids=["a part", "all", "all, as a void"],
)
def test_what_an_operator_refunded_is_no_violation(refunded: int, charge: Charge) -> None:
    assert check(replace(with_rows(attempts=attempts(refunded=refunded)), charges=[charge, REFUSED])) == []


@pytest.mark.parametrize(
    ("invariant", "records"),
    [
        ("I1", but(charges=[PAID, replace(PAID, reference="sb_9", key="key-9"), REFUSED])),
        ("I2", with_rows(orders=[replace(DONE, state="captured", version=4), FAILED], events=[*STORY_1[:4], *STORY_2])),
        ("I2", but(calls=[*CLEAN.calls, Call(T, "cart-3", "of_3", "cu.1", 202, "trk_lost")])),
        ("I3", but(charges=[REFUSED])),
        ("I3", but(charges=[replace(PAID, amount=1498), REFUSED])),
        ("I3", but(charges=[replace(PAID, currency="USD"), REFUSED])),
        ("I3", but(charges=[replace(PAID, refunded=1), REFUSED])),
        ("I3", with_rows(attempts=attempts(refunded=500))),
        ("I3", replace(with_rows(attempts=attempts(refunded=500)), charges=[replace(PAID, state="voided"), REFUSED])),
        ("I11", but(charges=[REFUSED])),
        ("I3", but(charges=[PAID, replace(REFUSED, state="captured")])),
        ("I3", but(charges=[PAID, replace(REFUSED, state="challenge")])),
        ("I3", but(calls=[replace(CLEAN.calls[1], owed=(999, "EUR"))])),
        ("I3", but(polls=[Poll("trk_2", "CHECK_OUT_DONE")])),
        ("I4", with_rows(holds={})),
        ("I4", with_rows(holds={**CLEAN.database.holds, (T, "of_2"): "trk_2"})),
        ("I4", with_rows(orders=[replace(DONE, leased=True), FAILED])),
        ("I4", with_rows(orders=[DONE, FAILED, replace(DONE, tracking_number="trk_3", correlation_id="cart-3")])),
        ("I5", but(polls=[Poll("trk_1", "CHECK_OUT_DONE", 5), Poll("trk_1", "CHECK_OUT_PROCESSING", 5)])),
        ("I5", but(polls=[Poll("trk_1", "CHECK_OUT_PROCESSING", 3), Poll("trk_1", "CHECK_OUT_PROCESSING", 2)])),
        ("I8", with_rows(methods=[Method(T, "pm.1.1", "trk_1"), Method(T, "pm.1.2", "trk_1")])),
        ("I8", with_rows(methods=[Method(T, "pm.1.1", "trk_2")])),
        ("I8", with_rows(orders=[replace(DONE, keeps_method=False), FAILED])),
        ("I8", with_rows(orders=[DONE, replace(FAILED, keeps_method=True)], methods=[Method(T, "pm.1.1", "trk_2")])),
        ("I9", with_rows(events=[*STORY_1[:-1], *STORY_2])),
        ("I9", with_rows(events=[*STORY_1, replace(STORY_1[-1], version=6), *STORY_2])),
        ("I9", with_rows(events=[*with_third(event="offer_held"), *STORY_2])),
        ("I9", with_rows(events=[*with_third(state="challenge"), *STORY_2])),
        ("I9", with_rows(orders=[replace(DONE, state="failed"), FAILED])),
        ("I9", with_rows(parked=frozenset({(T, "key-1")}))),
        ("I10", but(calls=[*CLEAN.calls, Call(T, "cart-1", "of_1", "cu.1", 202, "trk_2")])),
        ("I10", with_rows(orders=[replace(DONE, correlation_id=None), FAILED])),
        ("I10", with_rows(orders=[DONE, replace(FAILED, correlation_id="cart-1")])),
        (
            "I11",
            but(charges=[PAID, REFUSED, replace(PAID, reference="sb_9", key="key-9", merchant_reference="cart-9")]),
        ),
        ("I11", with_rows(attempts=attempts(outcome="open"))),
        ("I11", with_rows(attempts=attempts(outcome="returning"))),
        ("I11", with_rows(attempts=attempts(outcome="declined"))),
        ("I11", with_rows(attempts=attempts(reference="sb_other"))),
        ("I12", but(cards=[Card(T, "trk_1", 600.0)])),
        ("I12", but(cards=[Card(T, "trk_9", None)])),
        ("I12", but(cards=[Card(T, "trk_9", 901.0)])),
        (
            "A5",
            replace(
                with_rows(orders=[DONE, replace(FAILED, version=5)], events=[*STORY_1, *RESUMED]),
                charges=TAKEN_AFTER_A_NO,
            ),
        ),
    ],
)
def test_a_broken_promise_is_found(invariant: str, records: Records) -> None:
    assert invariant in {violation.invariant for violation in check(records)}


def test_what_a_shopper_cancels_on_the_page_of_a_resumed_payment_is_no_stale_verdict() -> None:
    steps = (*RESUMED_STEPS, ("shopper_challenged", "challenge"), ("payment_declined", "failed"))
    cancelled = replace(REFUSED, state="voided", created_at=NOON + timedelta(minutes=1))
    records = with_rows(orders=[DONE, replace(FAILED, version=6)], events=[*STORY_1, *story("trk_2", *steps)])
    assert check(replace(records, charges=[PAID, cancelled])) == []


def test_an_order_that_costs_nothing_is_done_without_a_charge() -> None:
    free = [replace(DONE, amount=0), FAILED]
    records = replace(with_rows(orders=free, attempts=CLEAN.database.attempts[1:]), charges=[REFUSED])
    assert check(replace(records, calls=[])) == []


def test_a_charge_of_another_stack_is_none_of_ours() -> None:
    assert check(but(charges=[*CLEAN.charges, replace(PAID, account="acc_other")])) == []


def test_the_ledger_of_the_sandbox_becomes_charges() -> None:
    row = {
        "pspReference": "sb_1",
        "merchantReference": "cart-1",
        "idempotencyKey": "key-1",
        "amountMinor": 1499,
        "currency": "EUR",
        "state": "captured",
        "createdAt": "2026-11-23T12:00:00.000000Z",
        "accountId": "acc",
        "refundedMinor": 0,
    }
    assert gather.charges([row]) == [PAID]


CANARY: Final = "4111117700123455"


@pytest.mark.parametrize(
    "hidden",
    [
        CANARY.encode(),
        CANARY[::-1].encode(),
        CANARY.encode().hex().encode(),
        *(b64encode(b"x" * before + CANARY.encode() + b"tail") for before in range(3)),
    ],
)
def test_a_canary_is_found_in_every_disguise(hidden: bytes) -> None:
    assert [violation.about for violation in leaks({"queue": b'{"body": "' + hidden + b'"}'}, [CANARY])] == ["queue"]
    assert leaks({"queue": hidden}, ["4111117700123463"]) == []
