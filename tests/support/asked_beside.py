"""What a PSP is asked by nobody of ours: a request sent twice, one of a worker long dead, a stranger's."""

from __future__ import annotations

from typing import Final

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import Captured
from shared.psp.port import Channel, ChargeRequest
from shared.store.attempts import Attempt
from tests.support.engine_room import EngineRoom
from tests.support.vaulted import card_of
from tests.support.wire import GOOD_CARD

_CARD: Final = Card("Jane Doe", GOOD_CARD, "2029", "12", "123")


def request_under(psp_key: str, merchant_reference: str, money: Money, card: Card | None = _CARD) -> ChargeRequest:
    """A charge of *card* under any key."""
    return ChargeRequest(
        psp_key=psp_key,
        merchant_reference=merchant_reference,
        money=money,
        channel=Channel.CREDIT_CARD,
        customer_urn="cu.00.482",
        return_url="http://127.0.0.1/return",
        card=card,
    )


def request_of(attempt: Attempt, card: Card | None = _CARD) -> ChargeRequest:
    """The request of *attempt*, once more."""
    return request_under(attempt.psp_key, attempt.merchant_reference, attempt.money, card)


def charge_at_psp(room: EngineRoom, attempt: Attempt) -> Captured:
    """A real capture of the order's card under the key of *attempt*."""
    made = room.psp.charge(request_of(attempt, card_of(room.run.vault, attempt.tenant_id, attempt.tracking_number)))
    assert isinstance(made, Captured)
    return made
