"""Steps, deaths, news, waits, buttons and an operator in any order, on the real thing: the code keeps what the model
says (E6).

tests/model tries the protocol in every interleaving; here Hypothesis tries the code that is meant to be it, with one
order at a real PSP. After each thing that happens the order's record must be one that the table of moves could have
made, and the PSP must not hold two charges that live. In the end the world heals, time goes by, and the order must come
to an end that the PSP's money agrees with.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.domain.outcomes import Captured, Challenged, Declined, LookUpOutcome, PaymentOutcome, Pending, Returned
from shared.domain.states import OrderState
from shared.messages import STEP_FOR, Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.operate.replay import replay
from shared.psp.port import ChargeRequest
from shared.store import order_stories
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from tests.support.desks import desk_beside
from tests.support.engine_room import EngineRoom, Killed, _Charging, mortal
from tests.support.psp import Sandbox, until
from tests.support.wire import fresh_card
from workers.pay import pay
from workers.walk import STEPS

EXAMPLES: Final = 60
SETTLES_S: Final = 0.1
"""How long the PSP leaves a charge pending: no wait of ours makes its clock go faster."""
STEPS_EACH: Final = 25
"""Enough for an order to be cancelled, passed, looked up and given back in one life."""
CARDS: Final = {
    "good": "4111111111111111",
    "declined": "4000000000000002",
    "challenged": "4000002760003184",
    "challenged, then declined": "4000008400001629",
    "pending": "4000007700000067",
    "500, nothing written": "4000000000000119",
    "500, written": "4000007700000083",
    "cut off, nothing written": "4000007700000133",
    "cut off, written": "4000007700000141",
    "another amount": "4000007700000166",
    "no JSON": "4000007700000190",
}
WAITS: Final = [timedelta(seconds=1), timedelta(seconds=40), timedelta(minutes=3), timedelta(minutes=30)]
TOLD: Final = (Captured, Declined, Challenged, Pending, Returned)
"""What PSPs send news of."""
OPEN_MONEY: Final = frozenset(
    {AttemptState.RETURNING, AttemptState.OPEN, AttemptState.CHALLENGED, AttemptState.PENDING}
)
MOMENTS: Final = {
    "orders": ("lease_until", "lease_limit", "due_at", "deadline_at"),
    "payment_attempts": ("started_at", "asked_at", "due_at"),
    "refunds": ("asked_at", "key_since", "due_at"),
}
"""What time goes by for."""
ROUNDS: Final = 40
"""Of waits and steps until an order has ended; five takeovers and five looks are the most that any needs."""


class AnOrder(RuleBasedStateMachine):
    """One order, and everything that may happen to it."""

    room: ClassVar[EngineRoom]
    sandbox: ClassVar[Sandbox]

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[tuple[Attempt, LookUpOutcome]] = []
        """What the PSP said of attempts at some time, and may say late, twice, or after what it said later."""
        self.number = ""

    @initialize(card=st.sampled_from(sorted(CARDS)), keeps=st.booleans())
    def ordered(self, card: str, *, keeps: bool) -> None:
        """A new order, paid with a card that means trouble or none."""
        self.room.run.vault.redis.flushdb()  # Neither breaker nor declines of the orders before.
        more = {"storeMethodSuccessPayment": "always"} if keeps else {}
        self.number = self.room.admitted(fresh_card(CARDS[card], **more), correlationId=uuid.uuid4().hex)

    @rule(step=st.sampled_from(list(STEPS)))
    def a_message_comes(self, step: Step) -> None:
        """Of whatever step, however often."""
        STEPS[step](self.room.run, self.number)

    @rule(after_the_charge=st.booleans())
    def a_worker_dies_while_it_pays(self, *, after_the_charge: bool) -> None:
        """Before or after its PSP took the request."""

        def charge(request: ChargeRequest) -> PaymentOutcome:
            if after_the_charge:
                self.room.psp.charge(request)
            raise Killed

        with suppress(Killed), mortal(self.room.run) as worker:
            pay(replace(worker, psp_for=lambda _: _Charging(self.room.psp, charge)), self.number)

    @rule(by=st.sampled_from(WAITS))
    def time_goes_by(self, by: timedelta) -> None:
        """Leases end, looks are due, challenges expire, and silence becomes proof."""
        self.room.forget_traffic()
        for table, moments in MOMENTS.items():
            earlier = ", ".join(f"{moment} = {moment} - cast(:by AS interval)" for moment in moments)
            self.room.sql(f"UPDATE {table} SET {earlier} WHERE tracking_number = :n", by=by, n=self.number)

    @rule()
    def the_psp_writes_a_letter(self) -> None:
        """What it says now; it may come at any time from here on."""
        for attempt in self.room.attempts(self.number):
            said = self.room.psp.look_up(attempt.query)
            if isinstance(said, TOLD):
                self.letters.append((attempt, said))

    @precondition(lambda self: self.letters)
    @rule(which=st.integers(0, 50))
    def a_letter_comes(self, which: int) -> None:
        """Late, twice, or after one that was written later."""
        attempt, said = self.letters[which % len(self.letters)]
        self.room.tell(attempt, said, actor="webhook")

    @rule(decision=st.sampled_from(["approve", "decline", "cancel"]))
    def the_shopper_presses(self, decision: str) -> None:
        """A button of the page they were sent to."""
        redirect = self.room.order(self.number).redirect
        if redirect is not None:
            self.sandbox.click(redirect["redirectUrl"], decision)

    @rule(action=st.sampled_from([actions.retry, actions.cancel, actions.unpark]))
    def the_operator_acts(self, action: Callable[..., Any]) -> None:
        """Done or refused, as the order stands."""
        action(desk_beside(self.room.run), self.room.seller.shop.tenant_id, self.number, asked())

    @rule(amount=st.sampled_from([1, 500, None]))
    def the_operator_refunds(self, amount: int | None) -> None:
        """A part, or all that is left."""
        desk, tenant_id = desk_beside(self.room.run), self.room.seller.shop.tenant_id
        actions.refund(desk, tenant_id, self.number, asked(), amount)

    @invariant()
    def its_record_is_one_the_table_could_have_made(self) -> None:
        """Move by move, to where the row stands."""
        if not self.number:
            return
        order = self.room.order(self.number)
        with statements(self.room.run.engine) as conn:
            moves = order_stories.moves(conn, order.tenant_id, order.tracking_number)
        assert list(replay(moves, state=order.state, version=order.version)) == []

    @invariant()
    def the_psp_holds_one_charge_at_most(self) -> None:
        """I1: nobody is charged twice, not for a moment."""
        assert len(self.money()) <= 1

    def charges(self) -> list[dict[str, Any]]:
        """The PSP's records of this order, under whatever key they were asked for; its reference is no other's."""
        if not self.number:
            return []
        reference = self.room.order(self.number).merchant_reference
        return [row for row in self.sandbox.charges(self.room.account) if row["merchantReference"] == reference]

    def money(self) -> list[int]:
        """What the PSP holds of it, in minor units, charge by charge."""
        held = [row["amountMinor"] - row["refundedMinor"] for row in self.charges() if row["state"] == "captured"]
        return [amount for amount in held if amount]

    def teardown(self) -> None:
        """All is well again and time goes by: the order ends, and its money agrees."""
        if not self.number:
            return
        until(lambda: all(row["state"] != "pending" for row in self.charges()), seconds=10)
        for _ in range(ROUNDS):
            if self.is_at_rest():
                break
            self.time_goes_by(timedelta(minutes=10))
            self.the_operator_acts(actions.unpark)
            for step in (STEP_FOR.get(self.room.state(self.number)), Step.RETURN_MONEY):
                if step is not None:
                    self.a_message_comes(step)
        assert self.is_at_rest(), (self.room.order(self.number), self.room.attempts(self.number))
        order, money = self.room.order(self.number), self.money()
        given = self.room.sql(
            "SELECT coalesce(sum(amount_minor), 0) FROM refunds WHERE tracking_number = :n AND state = 'given'",
            n=self.number,
        )[0][0]
        if order.state is OrderState.DONE:
            assert sum(money) == 1499 - given
        else:
            assert (money, given) == ([], 0)
        self.its_record_is_one_the_table_could_have_made()

    def is_at_rest(self) -> bool:
        """Whether it has ended, and no money is under way."""
        refunds = self.room.sql("SELECT 1 FROM refunds WHERE tracking_number = :n AND state = 'asked'", n=self.number)
        is_open = any(attempt.outcome in OPEN_MONEY for attempt in self.room.attempts(self.number))
        return self.room.order(self.number).is_finished and not is_open and not refunds


def asked() -> Asked:
    """An operator's reason, each time a new one."""
    return Asked("Ana", "to see what comes of it")


def test_whatever_happens_in_whatever_order_the_order_ends_as_its_money_does(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    AnOrder.room, AnOrder.sandbox = room, shared_psp
    shared_psp.set_faults(settleSeconds=SETTLES_S)
    effort = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS_EACH,
        deadline=None,
        phases=[Phase.reuse, Phase.generate],  # To make what fails smaller takes longer than a test has.
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(AnOrder, settings=effort)
