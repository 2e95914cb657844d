"""What the doctor's tests share: orders in every condition, and what an examination of their tenant finds."""

from __future__ import annotations

from datetime import timedelta
from secrets import token_hex
from typing import Final

from shared.doctor.examination import Scope, examine
from shared.doctor.findings import Check, Finding
from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.states import OrderState
from tests.support.asked_beside import request_under
from tests.support.engine_room import EngineRoom
from tests.support.wire import GOOD_CARD
from workers.pay import pay
from workers.tokenize import tokenize

HOUR: Final = timedelta(hours=1)


AT_ONCE: Final = timedelta(0)
"""For charges whose news would be on the way for a minute."""


HOLD_AGAIN: Final = (
    "INSERT INTO offer_holds SELECT tenant_id, offer_identifier, tracking_number FROM orders WHERE tracking_number = :n"
)


def scope(room: EngineRoom, news_within: timedelta = AT_ONCE, budget_s: float = 60.0) -> Scope:
    """This room's tenant."""
    return Scope(HOUR, budget_s, room.seller.shop.tenant_id, news_within)


def findings(room: EngineRoom, news_within: timedelta = AT_ONCE) -> list[Finding]:
    """What an examination of this room's tenant finds."""
    run = room.run
    return list(examine(run.engine, run.keyring, run.psp_for, scope(room, news_within)).findings)


def found(room: EngineRoom, news_within: timedelta = AT_ONCE) -> list[tuple[Check, str]]:
    """The same, as pairs of check and subject."""
    return [(one.check, one.subject) for one in findings(room, news_within)]


def done(room: EngineRoom) -> str:
    """An order that is done."""
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    return number


def captured(room: EngineRoom) -> str:
    """An order that is paid and whose last step is still to come."""
    number = room.locked()
    assert pay(room.run, number)
    return number


def unclear(room: EngineRoom) -> str:
    """An order whose PSP gave no answer, and charged nothing."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql(
        "UPDATE orders SET state = 'confirming', lease_until = NULL, due_at = now() + interval '5 min'"
        " WHERE tracking_number = :n",
        n=number,
    )
    return number


def failed(room: EngineRoom) -> str:
    """An order that was declined."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql("UPDATE payment_attempts SET outcome = 'declined' WHERE tracking_number = :n", n=number)
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )
    room.sql("DELETE FROM offer_holds WHERE tracking_number = :n", n=number)
    return number


def charge_without_us(room: EngineRoom, card: str = GOOD_CARD, reference: str = "") -> str:
    """A charge at the tenant's account that no attempt of ours stands for; its PSP reference."""
    return _charge(room, token_hex(20), reference or token_hex(8), Money(1499, "EUR"), card)


def charged_again(room: EngineRoom, number: str) -> str:
    """A capture at the PSP under the key of the order's attempt; its PSP reference."""
    attempt = room.attempt(number)
    return _charge(room, attempt.psp_key, attempt.merchant_reference, attempt.money)


def _charge(room: EngineRoom, psp_key: str, merchant_reference: str, money: Money, card: str = GOOD_CARD) -> str:
    typed = Card(number=card, holder_name="Jane Doe", expire_year="2029", expire_month="12", cvc="123")
    made = room.psp.charge(request_under(psp_key, merchant_reference, money, typed))
    return str(getattr(made, "reference", None))
