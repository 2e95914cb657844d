"""The Stripe adapter at localstripe: a server that was written for Stripe's own library, by people who do not know us.

What it cannot play (idempotency keys, search, webhooks of payments, pages for shoppers, other channels) is played by
our strict fake.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.outcomes import Captured, Challenged, Declined, DeclineReason, KeptMethod, Returned, Unanswered
from shared.psp.http import Http
from shared.psp.port import ChargePage, Psp
from shared.psp.stripe import StripePsp
from tests.contract.subject import a_request, card, give_back, name_of, query_of
from tests.support.localstripe import Localstripe, localstripe


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Localstripe]:
    with localstripe(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


@pytest.fixture
def psp(server: Localstripe, http: Http) -> Psp:
    server.forget_all()
    return StripePsp(server.account(), http)


def test_a_good_card_is_captured_found_and_listed(psp: Psp) -> None:
    request = a_request()
    captured = psp.charge(request)
    assert isinstance(captured, Captured)
    assert captured.money == request.money
    assert psp.look_up(query_of(request, captured.reference)) == captured
    page = psp.charges_since(datetime.now(UTC) - timedelta(minutes=1))
    assert isinstance(page, ChargePage)
    (record,) = page.charges
    assert (record.psp_key, record.reference, record.outcome) == (request.psp_key, captured.reference, captured)


def test_a_card_that_is_kept_with_its_charge_pays_again_until_it_is_forgotten(psp: Psp) -> None:
    captured = psp.charge(a_request(keep_method=True))
    assert isinstance(captured, Captured)
    assert captured.kept is not None
    assert captured.kept.masked_number == "411111******1111"
    assert isinstance(psp.charge(a_request(token=captured.kept.token)), Captured)
    assert psp.forget_token(captured.kept.token)
    assert psp.forget_token(captured.kept.token)


def test_a_card_is_kept_without_a_charge_and_a_refused_one_is_not(psp: Psp, server: Localstripe) -> None:
    kept = psp.keep_card(card(), customer_urn="cu.00.482", psp_key="k1")
    assert isinstance(kept, KeptMethod)
    customer, _, method = kept.token.partition("/")
    assert server.get(f"/v1/payment_methods/{method}")["customer"] == customer
    refused = psp.keep_card(card("4000000000000002"), customer_urn="cu.00.482", psp_key="k2")
    assert refused == Declined(DeclineReason.GENERIC)


def test_a_refused_card_is_declined(psp: Psp) -> None:
    declined = psp.charge(a_request("4000000000000341"))
    assert isinstance(declined, Declined)
    assert (declined.reason, declined.soft) == (DeclineReason.GENERIC, False)


@pytest.mark.parametrize("success", [True, False])
def test_a_3ds_challenge_ends_as_its_shopper_ends_it(psp: Psp, server: Localstripe, success: bool) -> None:
    request = a_request("4000002760003184")
    challenged = psp.charge(request)
    assert isinstance(challenged, Challenged)
    assert challenged.challenge.three_d_identifier == name_of(challenged)
    query = query_of(request, name_of(challenged))
    assert psp.look_up(query) == challenged
    server.authenticate(name_of(challenged), success=success)
    failed = Declined(DeclineReason.AUTHENTICATION_FAILED, name_of(challenged))
    assert psp.look_up(query) == (Captured(name_of(challenged), request.money) if success else failed)


def test_an_open_challenge_is_cancelled_and_a_capture_refunded(psp: Psp) -> None:
    challenged = psp.charge(a_request("4000002760003184"))
    assert isinstance(challenged, Challenged)
    assert psp.void(name_of(challenged), psp_key="v") == Returned(name_of(challenged), refunded=False)
    request = a_request()
    captured = psp.charge(request)
    assert isinstance(captured, Captured)
    assert give_back(psp, captured.reference, request.money, psp_key="b") == Returned(captured.reference, refunded=True)
    assert psp.look_up(query_of(request, captured.reference)) == Returned(captured.reference, refunded=True)


def test_what_it_has_no_search_for_is_unanswered_and_never_absent(psp: Psp) -> None:
    assert isinstance(psp.look_up(query_of(a_request())), Unanswered)
