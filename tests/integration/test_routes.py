"""Who is asked to take a payment is chosen by what the tenant agreed and what is known, and the attempt keeps why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.states import OrderState
from shared.psp.port import AccountTerms, Channel
from shared.psp.record import Record
from shared.psp.router import Why
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.wire import Document, channel, fresh_card
from workers.pay import pay


def route_of(both: TwoPsps, number: str) -> Document:
    """Why the order's last attempt went where it went."""
    rows = both.room.sql(
        "SELECT route FROM payment_attempts WHERE tracking_number = :n ORDER BY attempt_no DESC LIMIT 1", n=number
    )
    [(route,)] = rows
    assert isinstance(route, dict)
    return route


def paid_at(both: TwoPsps, payment: Document | None = None, **more: Any) -> str:
    """Who took the payment of a new order."""
    number = both.room.locked(payment, **more)
    pay(both.room.run, number)
    assert both.room.state(number) is OrderState.CAPTURED
    [provider] = both.live(number)
    return provider


def test_equal_accounts_are_asked_in_the_tenants_order(both: TwoPsps) -> None:
    assert paid_at(both) == FIRST


@pytest.mark.parametrize(
    "first",
    [
        {"terms": AccountTerms(currencies=frozenset({"USD"}))},
        {"channels": frozenset({Channel.SEPA})},
        {"enabled": False},
        {"adapter": "of another time"},
        {"terms": AccountTerms(fee_bps=300)},
        {"terms": AccountTerms(home_currencies=frozenset({"USD"}))},
    ],
    ids=["currency", "channel", "disabled", "no adapter", "dearer", "at home elsewhere"],
)
def test_what_the_tenant_agreed_decides_who_is_asked(both: TwoPsps, first: dict[str, Any]) -> None:
    both.keep(FIRST, **first)

    assert paid_at(both) == SECOND


def test_how_they_did_of_late_decides_who_is_asked(both: TwoPsps) -> None:
    records = {FIRST: Record(200, 120, 900.0), SECOND: Record(200, 196, 300.0)}
    number = both.room.locked()

    assert pay(replace(both.room.run, records=lambda _: records), number)

    assert both.live(number) == [SECOND]


def test_an_attempt_keeps_the_scores_of_all_and_who_was_left_out_as_they_stood(both: TwoPsps) -> None:
    both.keep(FIRST, terms=AccountTerms(currencies=frozenset({"USD"})))
    records = {SECOND: Record(40, 39, 250.0)}
    number = both.room.locked()

    pay(replace(both.room.run, records=lambda _: records), number)
    both.keep(FIRST)  # What changes later changes nothing of what was kept.

    route = route_of(both, number)
    assert route["chosen"] == SECOND
    assert route["leftOut"] == [{"provider": FIRST, "why": Why.CURRENCY.value}]
    [ranked] = route["ranked"]
    assert (ranked["calls"], ranked["successes"], ranked["meanMs"]) == (40, 39, 250)
    assert 0 < ranked["score"] <= 1


def test_a_request_that_is_repeated_keeps_why_it_was_made(both: TwoPsps) -> None:
    number = both.room.locked()
    both.room.dies_while_charging(number, after_the_charge=False)
    before = route_of(both, number)
    both.keep(FIRST, terms=AccountTerms(fee_bps=900))
    both.room.until_lease_ended(number)

    assert pay(both.room.run, number)

    assert route_of(both, number) == before
    assert both.live(number) == [FIRST]


def forced(both: TwoPsps, provider: str) -> Document:
    return fresh_card(providerIdentifier=provider)


def test_a_forced_psp_is_asked_however_much_better_another_is(both: TwoPsps) -> None:
    assert paid_at(both, forced(both, SECOND)) == SECOND


@pytest.mark.parametrize(
    "broken",
    [
        lambda both: both.keep(SECOND, enabled=False),
        lambda both: both.keep(SECOND, channels=frozenset({Channel.SEPA})),
        lambda both: both.keep(SECOND, terms=AccountTerms(currencies=frozenset({"USD", "SEK"}))),
    ],
    ids=["disabled", "without the channel", "without the currency"],
)
def test_a_forced_psp_that_may_not_be_asked_is_refused_at_admission(
    both: TwoPsps, broken: Callable[[TwoPsps], None]
) -> None:
    broken(both)

    answer = both.room.seller.post(both.room.seller.request(forced(both, SECOND)))

    assert answer.status_code == 409
    assert answer.get_json()["status"]["messageCode"] == "PROVIDER_NOT_AVAILABLE"
    assert "providerIdentifier" in answer.get_json()["message"]


def test_an_account_that_takes_the_currency_among_others_is_not_refused(both: TwoPsps) -> None:
    both.keep(SECOND, terms=AccountTerms(currencies=frozenset({"SEK", "EUR"})))

    assert paid_at(both, forced(both, SECOND)) == SECOND


def test_a_currency_that_no_account_takes_is_refused_at_admission(both: TwoPsps) -> None:
    for provider in (FIRST, SECOND):
        both.keep(provider, terms=AccountTerms(currencies=frozenset({"USD"})))

    answer = both.room.seller.post(both.room.seller.request(channel("PayPal")))

    assert (answer.status_code, answer.get_json()["status"]["messageCode"]) == (409, "PROVIDER_NOT_AVAILABLE")
