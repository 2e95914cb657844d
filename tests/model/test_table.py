"""The model moves orders by the code's own table and by nothing else, and the table has no row without a use."""

from __future__ import annotations

from typing import Final, get_args

import pytest

from shared.domain.outcomes import LookUpOutcome, PaymentOutcome, ReturnOutcome
from shared.domain.states import TRANSITIONS, IllegalMove
from shared.domain.states import OrderEvent as E
from shared.domain.states import OrderState as S
from tests.model import sound
from tests.model.settling import advanced
from tests.model.world import News, World

NEVER_TAKEN: Final = {
    (S.ADMITTED, E.CARD_LOST): "nobody asks for the card before the offer is held",
    (S.PAYING, E.CARD_LOST): "an order that is being paid has an open attempt, and then only the PSP's word ends it",
    (S.PAYING, E.CANCELLED): "it has an open attempt, too",
    (S.PAYING, E.CHALLENGE_EXPIRED): "nobody but us gives money back in the model; a merchant may, at the PSP",
    (S.CONFIRMING, E.PAYMENT_UNANSWERED): "one more silence moves nothing: the order is looked at again later",
}
"""Rows that no step of the protocol reaches, each with the reason."""


def test_every_move_of_the_model_is_a_row_of_the_table() -> None:
    taken = {row for name in sound.NAMES for row in sound.explored(name)[1]}
    assert taken <= set(TRANSITIONS)


def test_every_row_of_the_table_is_taken_or_has_its_reason_why_not() -> None:
    taken = {row for name in sound.NAMES for row in sound.explored(name)[1]}
    assert set(TRANSITIONS) - taken == set(NEVER_TAKEN)


def test_the_model_refuses_a_move_that_the_table_does_not_have() -> None:
    with pytest.raises(IllegalMove):
        advanced(World(faults=0, state=S.DONE), E.PAYMENT_STARTED)


def test_the_model_knows_every_shape_of_answer_and_no_other() -> None:
    shapes = {shape.__name__ for union in (PaymentOutcome, LookUpOutcome, ReturnOutcome) for shape in get_args(union)}
    assert {news.value for news in News} - {News.NONE.value} == shapes
