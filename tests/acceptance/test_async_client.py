"""The client on asyncio: the same promises, many orders at once, on one thread."""

from __future__ import annotations

import asyncio
import inspect

from shared.client import AsyncCheckout, Card, Checkout, Line, Order, Payment
from tests.support import cut_answers
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.storefront import new_customer
from tests.support.wire import GOOD_CARD

CONTEXT = {"interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}
AT_ONCE = 10


def a_card(number: str = GOOD_CARD) -> Card:
    return Card("Jane Doe", number, "2029", "12", "123")


async def an_order(checkout: AsyncCheckout) -> Order:
    customer = new_customer()
    offer = await checkout.resolve(customer, **CONTEXT)
    return Order(offer.offer_identifier, customer, [Line("it.00.42")])


def test_many_orders_are_followed_at_once(stack: Stack, psp: PspSide) -> None:
    async def bought(checkout: AsyncCheckout) -> str:
        order = await an_order(checkout)
        end = await checkout.wait(await checkout.submit(order, Payment(a_card())))
        assert end.is_done
        return order.correlation_id

    async def all_bought() -> list[str]:
        async with AsyncCheckout(stack.base_url, tenant=stack.tenant, key=stack.api_key) as checkout:
            return await asyncio.gather(*(bought(checkout) for _ in range(AT_ONCE)))

    keys = asyncio.run(all_bought())

    assert [psp.money(key) for key in keys] == [[(1499, "EUR")]] * AT_ONCE


def test_a_lost_answer_and_a_challenge_are_what_they_are_to_programs_that_wait(stack: Stack, psp: PspSide) -> None:
    async def bought(url: str, cutter: cut_answers.AnswerCutter) -> None:
        async with AsyncCheckout(url, tenant=stack.tenant, key=stack.api_key) as checkout:
            order = await an_order(checkout)
            cutter.lose_next()
            accepted = await checkout.submit(order, Payment(a_card("4000002760003184")))
            assert accepted.is_replayed
            challenged = await checkout.wait(accepted)
            assert challenged.redirect_instructions is not None
            page = challenged.redirect_instructions.redirect_url
            assert page is not None
            back = await asyncio.to_thread(psp.decide, page, "approve")
            await asyncio.to_thread(psp.come_back, back)
            assert (await checkout.wait(challenged)).is_done
            assert len(psp.money(order.correlation_id)) == 1

    with cut_answers.before(stack.base_url) as cutter:
        asyncio.run(bought(cutter.url, cutter))
        assert cutter.lost == 1


def test_a_card_is_stored_listed_and_forgotten(stack: Stack) -> None:
    async def kept() -> None:
        customer = new_customer()
        async with AsyncCheckout(stack.base_url, tenant=stack.tenant, key=stack.api_key) as checkout:
            stored = await checkout.add_method(customer, Payment(a_card()))
            assert [one.state for one in await checkout.methods(customer)] == ["Active"]
            await checkout.delete_method(stored.payment_method_urn)
            assert (await checkout.showcase(storefrontUrn="st.00.001")).presentation_type == "Showcase"

    asyncio.run(kept())


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, str]:
        named = inspect.getmembers(kind, inspect.isfunction)
        return {name: str(inspect.signature(made)) for name, made in named if not name.startswith("_")}

    assert methods(AsyncCheckout) == methods(Checkout)
