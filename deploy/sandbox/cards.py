"""Which test card, or which amount, makes the sandbox do what.

One table: the code reads it, README.md prints it, and a test holds the two together. Numbers that PSPs publish are
used where they exist. The amounts (77,000.01 and up) drive what has no card: tokens and the other channels; no price
in a shop falls on one of them by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from shared.domain.cards import is_past, passes_luhn
from shared.domain.outcomes import DeclineReason as No


class Trouble(StrEnum):
    """How a call can go wrong. The names are those of POST /faults; "After" means: the ledger was written first."""

    HTTP_500 = "http500"
    HTTP_500_AFTER = "http500After"
    HTTP_429 = "http429"
    HTTP_409 = "http409"
    DROP = "drop"
    DROP_AFTER = "dropAfter"
    TIMEOUT_BEFORE = "timeoutBefore"
    TIMEOUT_AFTER = "timeoutAfter"
    SLOW = "slow"
    DECLINE = "decline"
    DECLINE_SOFT = "declineSoft"
    OTHER_AMOUNT = "otherAmount"
    OTHER_CURRENCY = "otherCurrency"
    OTHER_REFERENCE = "otherReference"
    MALFORMED = "malformed"
    HUGE = "huge"
    DRIBBLE = "dribble"


class Script(StrEnum):
    """How a challenge goes on."""

    SHOPPER = "shopper"  # Whoever opens the page decides.
    ISSUER_DECLINES = "issuer_declines"  # The shopper passes, the issuer says no all the same.
    ABANDONED = "abandoned"  # Nobody ever acts; the page takes no decision but "cancel".
    PASSES_ALONE = "passes_alone"  # Approved after autoSeconds without a browser, for load.
    FAILS_ALONE = "fails_alone"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What becomes of a charge made with a test card or amount."""

    name: str
    meaning: str
    cards: tuple[str, ...] = ()
    amount: int | None = None  # Minor units of any currency.
    decline: No | None = None
    soft: bool = False
    keepable: bool = True  # Whether POST /v1/tokens takes the card.
    script: Script | None = None
    settles: str | None = None  # Pending first; "captured" or "declined" after settleSeconds.
    trouble: Trouble | None = None


SUCCESS: Final = Behaviour(
    "success",
    "captured (so is every other number with a good check digit)",
    (
        "4111111111111111", "4242424242424242", "5555555555554444", "2223003122003222", "378282246310005",
        "6011111111111117", "3056930009020004", "3566002020360505", "6200000000000005",
    ),
)  # fmt: skip


def _refused(name: str, meaning: str, cards: tuple[str, ...], amount: int, why: No, *, soft: bool = False) -> Behaviour:
    return Behaviour(name, meaning, cards, amount, decline=why, soft=soft, keepable=False)


def _troubled(trouble: Trouble, meaning: str, card: str, amount: int) -> Behaviour:
    return Behaviour(trouble.value, meaning, (card,), amount, trouble=trouble)


BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    SUCCESS,
    _refused("generic_decline", "declined", ("4000000000000002",), 7700001, No.GENERIC),
    _refused("insufficient_funds", "declined", ("4000000000009995",), 7700002, No.INSUFFICIENT_FUNDS),
    _refused("expired_card", "declined", ("4000000000000069",), 7700003, No.EXPIRED_CARD),
    _refused("incorrect_cvc", "declined", ("4000000000000127",), 7700004, No.INCORRECT_CVC),
    _refused("lost_or_stolen", "declined", ("4000000000009987", "4000000000009979"), 7700005, No.LOST_OR_STOLEN),
    _refused("suspected_fraud", "declined", ("4100000000000019",), 7700006, No.SUSPECTED_FRAUD),
    _refused("limit_exceeded", "declined", ("4000000000006975",), 7700007, No.LIMIT_EXCEEDED),
    _refused("do_not_honor", "declined, soft", ("4000007700000018",), 7700008, No.DO_NOT_HONOR, soft=True),
    _refused("issuer_unavailable", "declined, soft", ("4000007700000026",), 7700009, No.ISSUER_UNAVAILABLE, soft=True),
    Behaviour(
        "declines_when_charged", "can be kept; every charge is declined", ("4000000000000341",), 7700010, No.GENERIC
    ),
    Behaviour(
        "3ds", "challenge; the page decides", ("4000002760003184", "4000000000003220"), 7700011, script=Script.SHOPPER
    ),
    Behaviour(
        "3ds_then_declined", "challenge; approved, the issuer still declines", ("4000008400001629",), 7700012,
        script=Script.ISSUER_DECLINES,
    ),
    Behaviour(
        "3ds_abandoned", "challenge; nobody ever acts", ("4000007700000034",), 7700013, script=Script.ABANDONED
    ),
    Behaviour(
        "3ds_passes_alone", "challenge; approved after autoSeconds, no browser needed", ("4000007700000042",), 7700014,
        script=Script.PASSES_ALONE,
    ),
    Behaviour(
        "3ds_fails_alone", "challenge; failed after autoSeconds, no browser needed", ("4000007700000059",), 7700015,
        script=Script.FAILS_ALONE,
    ),
    Behaviour(
        "pending_then_captured", "pending; captured after settleSeconds", ("4000007700000067",), 7700016,
        settles="captured",
    ),
    Behaviour(
        "pending_then_declined", "pending; declined after settleSeconds", ("4000007700000075",), 7700017,
        settles="declined",
    ),
    _troubled(Trouble.HTTP_500, "500, nothing written", "4000000000000119", 7700021),
    _troubled(Trouble.HTTP_500_AFTER, "charge written, then 500", "4000007700000083", 7700022),
    _troubled(Trouble.TIMEOUT_BEFORE, "nothing written, hangs hangSeconds", "4000007700000091", 7700023),
    _troubled(Trouble.TIMEOUT_AFTER, "charge written, then hangs hangSeconds", "4000007700000109", 7700024),
    _troubled(Trouble.HTTP_429, "429, nothing started", "4000007700000117", 7700025),
    _troubled(Trouble.SLOW, "captured after slowSeconds", "4000007700000125", 7700026),
    _troubled(Trouble.DROP, "connection closed, nothing written", "4000007700000133", 7700027),
    _troubled(Trouble.DROP_AFTER, "charge written, connection closed", "4000007700000141", 7700028),
    _troubled(Trouble.HTTP_409, "409 in_progress, nothing written", "4000007700000158", 7700029),
    _troubled(Trouble.OTHER_AMOUNT, "charge right, the answer names another amount", "4000007700000166", 7700030),
    _troubled(Trouble.OTHER_CURRENCY, "charge right, the answer names another currency", "4000007700000174", 7700031),
    _troubled(Trouble.OTHER_REFERENCE, "charge right, the answer names another order", "4000007700000182", 7700032),
    _troubled(Trouble.MALFORMED, "charge written, the answer is not JSON", "4000007700000190", 7700033),
    _troubled(Trouble.HUGE, "charge written, the answer is 2 MiB", "4000007700000208", 7700034),
    _troubled(Trouble.DRIBBLE, "charge written, the answer comes a byte at a time", "4000007700000216", 7700035),
)  # fmt: skip

CANARY_BIN: Final = "40000099"
"""Numbers that begin so do what their ninth and tenth digit say, so that a test may pay with cards nobody else has."""
_FIRST_AMOUNT: Final = 7_700_000

BY_NAME: Final = {behaviour.name: behaviour for behaviour in BEHAVIOURS}
REFUSALS: Final = {
    Trouble.DECLINE: BY_NAME["generic_decline"],
    Trouble.DECLINE_SOFT: BY_NAME["do_not_honor"],
}
"""What a charge meets whatever its card would do."""
_BY_CARD: Final = {number: behaviour for behaviour in BEHAVIOURS for number in behaviour.cards}
_BY_AMOUNT: Final = {behaviour.amount: behaviour for behaviour in BEHAVIOURS if behaviour.amount is not None}
_MISTYPED: Final = Behaviour("invalid_card", "the check digit is wrong", decline=No.INVALID_CARD, keepable=False)
BY_NAME[_MISTYPED.name] = _MISTYPED


def of_card(number: str, expire_year: str, expire_month: str, *, today: date) -> Behaviour:
    """What a typed card does: its row, else a refusal for what is plainly wrong with it, else success."""
    if not passes_luhn(number):
        return _MISTYPED
    if is_past(expire_year, expire_month, today=today):
        return BY_NAME["expired_card"]
    if number.startswith(CANARY_BIN):
        return of_amount(_FIRST_AMOUNT + int(number[8:10])) or SUCCESS
    return _BY_CARD.get(number, SUCCESS)


def code_of(behaviour: Behaviour) -> int:
    """The ninth and tenth digit of the numbers of CANARY_BIN that do *behaviour*; 0 is success."""
    return behaviour.amount - _FIRST_AMOUNT if behaviour.amount else 0


def of_amount(amount_minor: int) -> Behaviour | None:
    """What an amount does; None for every ordinary one."""
    return _BY_AMOUNT.get(amount_minor)
