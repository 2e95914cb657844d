"""A refund that Stripe gave and its bank sent back is asked for again; until then its money is shown as open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from shared.config import Settings
from shared.domain.states import OrderState
from shared.operate import actions
from shared.psp.port import Account
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from shared.store.open_money import open_money
from shared.store.refunds import RefundState
from tests.support import engine_room, refunding
from tests.support.acting import does, paid
from tests.support.engine_room import EngineRoom
from tests.support.psp import Hook, Receiver, receiver
from tests.support.stripe_fake.books import Books
from tests.support.stripe_fake.errors import Document
from tests.support.stripe_fake.server import StripeFake, stripe_fake
from workers.return_money import return_money


@dataclass(frozen=True, slots=True)
class _Told:
    """The fake, its webhooks sent to the test."""

    fake: StripeFake
    hooks: Receiver

    def account(self) -> Account:
        """A new account there."""
        return self.fake.account(self.hooks.url)


@dataclass(frozen=True, slots=True)
class StripeRoom:
    """One tenant at Stripe; what it tells waits for the test."""

    room: EngineRoom
    fake: StripeFake
    hooks: Receiver

    @property
    def books(self) -> Books:
        """What Stripe has."""
        return self.fake.books_of(self.room.account)

    def fails(self, refund: Document, status: str = "failed") -> list[Hook]:
        """The bank sends a refund back; all that Stripe tells of that, and nothing that it told before."""
        count = 3 if status == "failed" else 2
        with self.fake.lock:
            self.fake.intents.fail(self.books, refund, status)
        told: list[Hook] = []
        while len(told) < count:
            hook = self.hooks.next()
            if hook.event["data"]["object"]["id"] == refund["id"]:
                told.append(hook)
        return told

    def deliver(self, hook: Hook) -> None:
        """Bring one event to the front door."""
        path = f"/api/v1/c2a/psp/stripe/{self.room.account.account_id}/webhook"
        with self.room.seller.app.test_client() as client:
            answer = client.post(path, data=hook.body, headers=hook.headers)
        assert answer.status_code == 200, answer.text

    def latest_refund(self) -> Document:
        """The refund that was made last."""
        return list(self.books.refunds.values())[-1]

    def open_of(self, number: str) -> list[AttemptState]:
        """What of an order is shown as open money."""
        with statements(self.room.run.engine) as conn:
            every = open_money(conn, tenant_id=self.room.seller.shop.tenant_id)
        return [one.outcome for one in every if one.tracking_number == number]

    def returned(self) -> str:
        """A paid order that was called off and whose money went back."""
        number = paid(self.room)
        does(self.room, actions.cancel, number)
        return_money(self.room.run, number)
        assert (self.room.state(number), self.room.attempt(number).outcome) == (
            OrderState.FAILED,
            AttemptState.RETURNED,
        )
        assert self.books.live() == []
        return number


@pytest.fixture
def stripe(settings: Settings, vault_url: str) -> Iterator[StripeRoom]:
    with (
        stripe_fake() as fake,
        receiver() as hooks,
        engine_room.opened(settings, vault_url, _Told(fake, hooks), lease_s=1) as room,
    ):
        yield StripeRoom(room, fake, hooks)


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_failed_after_all_is_open_again_once_and_given_under_another_key(
    stripe: StripeRoom, status: str
) -> None:
    number = stripe.returned()

    for hook in stripe.fails(stripe.latest_refund(), status):
        stripe.deliver(hook)

    attempt = stripe.room.attempt(number)
    assert (attempt.outcome, attempt.refusals) == (AttemptState.RETURNING, 1)
    assert stripe.open_of(number) == [AttemptState.RETURNING]
    assert len(stripe.books.live()) == 1
    return_money(stripe.room.run, number)
    assert stripe.room.attempt(number).outcome is AttemptState.RETURNED
    assert stripe.open_of(number) == []
    assert stripe.books.live() == []
    assert [one["metadata"]["refundKey"] for one in stripe.books.refunds.values()] == [
        f"{attempt.psp_key}-refund",
        f"{attempt.psp_key}-refund-1",
    ]


def test_what_is_told_late_of_a_refund_that_was_asked_for_anew_moves_nothing(stripe: StripeRoom) -> None:
    """The books showed it first."""
    number = stripe.returned()
    late, *_ = stripe.fails(stripe.latest_refund())
    stripe.room.sql(
        "UPDATE payment_attempts SET outcome = 'returning', refusals = 1, due_at = now() WHERE tracking_number = :n",
        n=number,
    )
    return_money(stripe.room.run, number)
    before = stripe.room.attempt(number)
    assert before.outcome is AttemptState.RETURNED

    stripe.deliver(late)

    assert stripe.room.attempt(number) == before


def test_a_refund_that_is_told_of_after_it_failed_is_not_believed_until_stripe_is_asked(stripe: StripeRoom) -> None:
    """The endpoint was away, and what waited for it comes in any order."""
    number = stripe.returned()
    succeeded = stripe.hooks.next()
    while succeeded.event["type"] != "charge.refunded":
        succeeded = stripe.hooks.next()
    for hook in stripe.fails(stripe.latest_refund()):
        stripe.deliver(hook)

    stripe.deliver(succeeded)

    assert stripe.room.attempt(number).outcome is AttemptState.RETURNING
    [(is_due,)] = stripe.room.sql(
        "SELECT due_at <= clock_timestamp() FROM payment_attempts WHERE tracking_number = :n", n=number
    )
    assert is_due
    return_money(stripe.room.run, number)
    assert stripe.room.attempt(number).outcome is AttemptState.RETURNED
    assert stripe.books.live() == []


def test_an_answer_that_came_before_its_refund_failed_is_not_settled_after_that(stripe: StripeRoom) -> None:
    """The worker that asked for it was slower than the bank."""
    number = paid(stripe.room)
    does(stripe.room, actions.cancel, number)
    asked = stripe.room.attempt(number)
    assert asked.psp_reference is not None
    answer = stripe.room.psp.refund(asked.psp_reference, asked.money, psp_key=asked.return_key("refund"))
    for hook in stripe.fails(stripe.latest_refund()):
        stripe.deliver(hook)

    stripe.room.tell(asked, answer, actor="return_money")

    assert stripe.room.attempt(number).outcome is AttemptState.RETURNING
    assert stripe.room.state(number) is OrderState.CONFIRMING


def test_a_part_of_a_done_order_that_failed_is_given_again_and_somebody_elses_is_not(stripe: StripeRoom) -> None:
    number = refunding.done(stripe.room)
    refunding.refund(stripe.room, number, 500)
    return_money(stripe.room.run, number)
    ours = stripe.latest_refund()
    reference = stripe.room.attempt(number).psp_reference
    with stripe.fake.lock:
        theirs = stripe.fake.intents.refund(stripe.books, {"payment_intent": reference, "amount": 500})
    assert refunding.stands(stripe.room, number) == [(500, RefundState.GIVEN)]

    for hook in stripe.fails(theirs):
        stripe.deliver(hook)
    assert refunding.stands(stripe.room, number) == [(500, RefundState.GIVEN)]
    for hook in stripe.fails(ours):
        stripe.deliver(hook)
    assert refunding.stands(stripe.room, number) == [(500, RefundState.ASKED)]

    return_money(stripe.room.run, number)
    assert refunding.stands(stripe.room, number) == [(500, RefundState.GIVEN)]
    [charge] = stripe.books.charges.values()
    assert charge["amount_refunded"] == 500
