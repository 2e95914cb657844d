"""The Python client at the real API: what a storefront gets from it when all is well, and when it is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from shared.client import (
    Card,
    Channel,
    Checkout,
    KeyAtFault,
    KeyReused,
    Line,
    NoAnswer,
    OfferAtFault,
    Order,
    OrderUnknown,
    Payment,
    PaymentAtFault,
    RequestAtFault,
    StillRunning,
    Terms,
)
from shared.store.keys import KeyRole
from shared.store.tenants import TenantSettings
from tests.support import cut_answers, outage
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import new_customer
from tests.support.wire import GOOD_CARD

PRICE = 1499
BUNDLE = "it.00.42"
CONTEXT = {"interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}


@pytest.fixture
def checkout(stack: Stack) -> Iterator[Checkout]:
    with Checkout(stack.base_url, tenant=stack.tenant, key=stack.api_key) as made:
        yield made


def a_card(number: str = GOOD_CARD) -> Card:
    return Card("Jane Doe", number, "2029", "12", "123")


def an_order(checkout: Checkout, customer: str | None = None) -> Order:
    whose = customer or new_customer()
    return Order(checkout.resolve(whose, **CONTEXT).offer_identifier, whose, [Line(BUNDLE)])


def test_an_order_is_offered_submitted_and_waited_for(checkout: Checkout, psp: PspSide) -> None:
    customer = new_customer()
    offer = checkout.resolve(customer, **CONTEXT)
    order = Order(offer.offer_identifier, customer, [Line(BUNDLE)], ip_address="203.0.113.9")

    accepted = checkout.submit(order, Payment(a_card()))
    end = checkout.wait(accepted)

    assert {item.item_identifier: item.price.money.amount_minor for item in offer.items()}[BUNDLE] == PRICE
    assert not accepted.is_replayed
    assert end.is_done
    assert checkout.status(accepted.tracking_number).is_done
    assert psp.money(order.correlation_id) == [(PRICE, "EUR")]


def test_a_showcase_shows_and_is_not_sold(checkout: Checkout) -> None:
    shown = checkout.showcase(storefrontUrn="st.00.001")

    with pytest.raises(OfferAtFault) as raised:
        checkout.submit(Order(shown.offer_identifier, new_customer(), [Line(BUNDLE)]), Payment(a_card()))
    assert raised.value.code == "OFFER_NOT_PURCHASABLE"


def test_a_declined_card_ends_the_order_and_says_why(checkout: Checkout) -> None:
    end = checkout.wait(checkout.submit(an_order(checkout), Payment(a_card("4000000000009995"))))

    assert end.is_final
    assert not end.is_done
    assert end.message == "CARD_DECLINED: insufficient_funds"


def test_a_challenge_comes_back_with_the_page_and_is_waited_out_afterwards(checkout: Checkout, psp: PspSide) -> None:
    order = an_order(checkout)
    challenged = checkout.wait(checkout.submit(order, Payment(a_card("4000002760003184"))))
    assert challenged.needs_shopper
    assert challenged.redirect_instructions is not None
    page = challenged.redirect_instructions.redirect_url
    assert page is not None

    with pytest.raises(StillRunning):  # Nobody pressed a button yet, and the page is known already.
        checkout.wait(challenged, within_s=2)
    psp.come_back(psp.decide(page, "approve"))

    assert checkout.wait(challenged).is_done
    assert psp.money(order.correlation_id) == [(PRICE, "EUR")]


def test_another_channel_is_a_redirect_too(checkout: Checkout) -> None:
    assert checkout.wait(checkout.submit(an_order(checkout), Payment(channel=Channel.PAYPAL))).needs_shopper


def test_an_order_whose_answers_got_lost_is_made_once(stack: Stack, psp: PspSide) -> None:
    with (
        cut_answers.before(stack.base_url) as cutter,
        Checkout(cutter.url, tenant=stack.tenant, key=stack.api_key) as checkout,
    ):
        order = an_order(checkout)
        cutter.lose_next(2)

        accepted = checkout.submit(order, Payment(a_card()))

        assert cutter.lost == 2
        assert accepted.is_replayed
        cutter.lose_next(2)
        assert checkout.wait(accepted).is_done
    assert psp.money(order.correlation_id) == [(PRICE, "EUR")]


def test_an_order_nobody_answered_is_submitted_again_later_under_its_key(stack: Stack, psp: PspSide) -> None:
    terms = Terms(tries=2)
    with (
        cut_answers.before(stack.base_url) as cutter,
        Checkout(cutter.url, tenant=stack.tenant, key=stack.api_key, terms=terms) as checkout,
    ):
        order = an_order(checkout)
        cutter.lose_next(2)
        with pytest.raises(NoAnswer) as raised:
            checkout.submit(order, Payment(a_card()))

        assert raised.value.key == order.correlation_id
        assert raised.value.may_have_happened
        accepted = checkout.submit(order, Payment(a_card()))
        assert accepted.is_replayed
        assert checkout.wait(accepted).is_done
    assert len(psp.money(order.correlation_id)) == 1


def test_a_card_whose_storing_was_not_answered_is_not_stored_twice(stack: Stack) -> None:
    customer = new_customer()
    with (
        cut_answers.before(stack.base_url) as cutter,
        Checkout(cutter.url, tenant=stack.tenant, key=stack.api_key) as checkout,
    ):
        cutter.lose_next()
        with pytest.raises(NoAnswer):
            checkout.add_method(customer, Payment(a_card()))

        assert len(checkout.methods(customer)) == 1


def test_an_api_without_its_vault_is_waited_for(stack: Stack, checkout: Checkout, well: None, psp: PspSide) -> None:
    order = an_order(checkout)
    with outage.silent(stack, "redis-vault"):
        submitting: list[str] = []
        asking = threading.Thread(
            target=lambda: submitting.append(checkout.submit(order, Payment(a_card())).tracking_number)
        )
        asking.start()
        asking.join(4)  # Longer than a refusal takes: it was told to come back at least once.
        assert submitting == []
    asking.join(60)

    assert checkout.wait(submitting[0]).is_done
    assert len(psp.money(order.correlation_id)) == 1


def test_who_calls_too_often_comes_back_when_told(stack: Stack, rows: StackRows) -> None:
    tenant = rows.new_tenant(TenantSettings(changes_per_minute=60, changes_burst=1))
    with Checkout(stack.base_url, tenant=str(tenant), key=rows.new_key(KeyRole.STOREFRONT, tenant)) as checkout:
        codes = set()
        for _ in range(3):  # One is allowed at once; the others have to wait for a second each.
            with pytest.raises(OfferAtFault) as raised:
                checkout.submit(Order("of_none", new_customer(), [Line(BUNDLE)]), Payment(channel=Channel.PAYPAL))
            codes.add(raised.value.code)

    assert codes == {"OFFER_NOT_FOUND"}


def test_another_order_under_a_used_key_is_refused_and_says_where_it_differs(checkout: Checkout) -> None:
    order = an_order(checkout)
    checkout.submit(order, Payment(a_card()))

    with pytest.raises(KeyReused) as raised:
        checkout.submit(order, Payment(a_card("4242424242424242")))

    assert raised.value.fields == ("paymentMethod.creditCard.cardNumber",)
    assert "4242424242424242" not in str(raised.value)


def test_what_is_wrong_is_told_by_type_code_and_field(stack: Stack, checkout: Checkout) -> None:
    order = an_order(checkout)
    with pytest.raises(PaymentAtFault) as raised:
        checkout.submit(order, Payment(a_card("4111111111111112")))
    assert (raised.value.code, raised.value.fields) == ("INVALID_CARD", ("paymentMethod.creditCard.cardNumber",))
    with pytest.raises(RequestAtFault) as malformed:
        checkout.submit_document({"order": {}})
    assert "order.offerIdentifier" in malformed.value.fields
    with pytest.raises(OrderUnknown):
        checkout.wait("trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA")
    with (
        Checkout(stack.base_url, tenant=stack.tenant, key="sk_dev_none") as stranger,
        pytest.raises(KeyAtFault) as unknown,
    ):
        stranger.resolve(new_customer(), **CONTEXT)
    assert unknown.value.code == "UNAUTHORIZED"


def test_a_stored_card_is_listed_paid_with_and_forgotten(checkout: Checkout) -> None:
    customer = new_customer()
    stored = checkout.add_method(customer, Payment(a_card()))

    assert [one.masked_card_number for one in checkout.methods(customer)] == ["411111******1111"]
    payment = Payment(stored_method_urn=stored.payment_method_urn)
    assert checkout.wait(checkout.submit(an_order(checkout, customer), payment)).is_done
    checkout.delete_method(stored.payment_method_urn)
    with pytest.raises(PaymentAtFault):
        checkout.delete_method(stored.payment_method_urn)


def test_a_card_that_is_kept_is_there_after_its_order(checkout: Checkout) -> None:
    customer = new_customer()
    assert checkout.wait(checkout.submit(an_order(checkout, customer), Payment(a_card(), keep=True))).is_done

    assert [one.card_type for one in checkout.methods(customer)] == ["VISA"]
