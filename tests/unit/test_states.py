"""The order's life is one table, and the table is whole."""

from __future__ import annotations

import pytest

from shared.domain.states import (
    CODE_OF,
    TERMINAL,
    TRANSITIONS,
    CheckoutCode,
    IllegalMove,
    OrderEvent,
    OrderState,
    may,
    next_state,
)
from shared.messages import CHAIN_FROM, QUEUE_OF, STEP_FOR, Step


def test_every_state_has_a_public_code() -> None:
    assert set(CODE_OF) == set(OrderState)


def test_only_terminal_states_have_terminal_codes() -> None:
    final = {state for state, code in CODE_OF.items() if code in (CheckoutCode.DONE, CheckoutCode.FAILED)}
    assert final == TERMINAL


def test_a_finished_order_never_moves_again() -> None:
    assert not [move for move in TRANSITIONS if move[0] in TERMINAL]


@pytest.mark.parametrize("state", sorted(set(OrderState) - TERMINAL))
def test_every_live_state_can_reach_an_end(state: OrderState) -> None:
    """Every 202 ends: from wherever an order stands there is a way to done or failed."""
    reached = {state}
    while grown := {to for (source, _), to in TRANSITIONS.items() if source in reached} - reached:
        reached |= grown
    assert reached & TERMINAL


def test_money_that_was_captured_is_never_followed_by_failed() -> None:
    """A captured order is sold: no event un-sells it, whatever becomes of its card. An operator may call it off; even
    then it does not fail before its PSP proved that the money went back."""
    by_event = {event: to for (source, event), to in TRANSITIONS.items() if source is OrderState.CAPTURED}
    assert by_event.pop(OrderEvent.CALLED_OFF) is OrderState.CONFIRMING
    assert set(by_event.values()) == {OrderState.DONE}


def test_a_capture_is_welcome_wherever_a_psp_may_have_been_called() -> None:
    called = {OrderState.PAYING, OrderState.CONFIRMING, OrderState.CHALLENGE, OrderState.OFFER_LOCKED}
    assert all(may(state, OrderEvent.PAYMENT_CAPTURED) for state in called)


def test_a_move_outside_the_table_is_refused_by_name() -> None:
    with pytest.raises(IllegalMove, match="offer_held has no move out of done"):
        next_state(OrderState.DONE, OrderEvent.OFFER_HELD)


def test_every_event_but_the_first_moves_something() -> None:
    assert {event for _, event in TRANSITIONS} == set(OrderEvent) - {OrderEvent.ADMITTED}


def test_every_live_state_has_a_step_that_can_be_rung_for() -> None:
    assert set(STEP_FOR) == set(OrderState) - TERMINAL


def test_every_step_has_a_queue_and_a_chain_that_begins_with_it() -> None:
    assert set(QUEUE_OF) == set(Step)
    assert all(CHAIN_FROM[step][0] is step for step in Step)
