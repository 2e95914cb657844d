"""Under which names a field may be sent: long, alias, both (contract sections 2 and 4)."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from api.long_names import canonical
from api.openapi import examples
from api.schemas.checkout import CheckoutRequest
from api.schemas.offers import BundlesRequest, ShowcaseRequest
from api.validation import read
from shared.domain.refusals import InvalidCard, InvalidRequest
from tests.support.requests import CONTEXT, FULL, changed, holder, plain, refusal_of

# The alias column of contract section 2 and the names of section 4, each where it stands.
CHECKOUT_ALIASES: Final = (
    ("order", "ORD"),
    ("paymentMethod", "PMT"),
    ("order.offerIdentifier", "OID"),
    ("order.correlationId", "CLD"),
    ("order.items", "ITM"),
    ("order.customer", "CUST"),
    ("order.items[1].itemIdentifier", "ITM"),
    ("order.items[1].parentItemIdentifier", "PURN"),
    ("order.items[1].quantity", "QTY"),
    ("paymentMethod.paymentChannel", "TP"),
    ("paymentMethod.providerIdentifier", "PI"),
    ("paymentMethod.useStoredMethod", "UM"),
    ("paymentMethod.creditCard", "CC"),
    ("paymentMethod.storeMethodSuccessPayment", "SM"),
    ("paymentMethod.creditCard.cardHolderName", "CHN"),
    ("paymentMethod.creditCard.cardNumber", "CN"),
    ("paymentMethod.creditCard.expireYear", "EY"),
    ("paymentMethod.creditCard.expireMonth", "EM"),
    ("paymentMethod.creditCard.cvc", "CVC"),
    ("paymentMethod.creditCard.cardAlias", "CA"),
    ("paymentMethod.creditCard.useStoredMethod", "USM"),
    ("paymentMethod.creditCard.storedMethodUrn", "SMU"),
)
CONTEXT_ALIASES: Final = (
    ("context.customerUrn", "CU"),
    ("context.promotionCode", "PC"),
    ("context.stepIndex", "SF"),
    ("context.interactionType", "IT"),
    ("context.channel", "CH"),
    ("context.interactionDate", "ID"),
    ("context.interactionMeans", "IM"),
    ("context.customTags", "CTG"),
    ("context.storefrontUrn", "SFU"),
    ("context.originalSubscriptionIdentifier", "OSI"),
    ("context.clientPlatformType", "PLT"),
)
ALIASES: Final = [
    *((CheckoutRequest, FULL, *row) for row in CHECKOUT_ALIASES),
    *((BundlesRequest, CONTEXT, *row) for row in CONTEXT_ALIASES),
    *((ShowcaseRequest, CONTEXT, *row) for row in CONTEXT_ALIASES),
]
every_alias = pytest.mark.parametrize(("model", "document", "path", "alias"), ALIASES)


@every_alias
def test_every_field_may_be_sent_under_its_alias_alone(
    model: type[BaseModel], document: dict[str, Any], path: str, alias: str
) -> None:
    sent = copy.deepcopy(document)
    part, name = holder(sent, path)
    part[alias] = part.pop(name)

    assert plain(read(model, sent)) == plain(read(model, document))


@every_alias
def test_a_name_and_its_alias_with_one_value_say_one_thing(
    model: type[BaseModel], document: dict[str, Any], path: str, alias: str
) -> None:
    sent = copy.deepcopy(document)
    part, name = holder(sent, path)
    part[alias] = copy.deepcopy(part[name])

    assert plain(read(model, sent)) == plain(read(model, document))


@every_alias
def test_a_name_and_its_alias_with_two_values_are_refused_by_the_long_path(
    model: type[BaseModel], document: dict[str, Any], path: str, alias: str
) -> None:
    sent = copy.deepcopy(document)
    part, _ = holder(sent, path)
    part[alias] = "another"

    refusal = refusal_of(sent, model)

    assert isinstance(refusal, InvalidRequest)
    assert refusal.message.startswith(f"{path}: given twice")


@every_alias
@pytest.mark.parametrize("null_comes", ["first", "last"])
def test_null_under_one_name_leaves_what_the_other_says(
    model: type[BaseModel], document: dict[str, Any], path: str, alias: str, null_comes: str
) -> None:
    name = path.rpartition(".")[2]
    for null, said in ((alias, name), (name, alias)):
        sent = copy.deepcopy(document)
        part, _ = holder(sent, path)
        value = part.pop(name)
        part |= {null: None, said: value} if null_comes == "first" else {said: value, null: None}

        assert canonical(model, sent) == canonical(model, document)


def test_one_thing_said_twice_is_the_same_though_its_insides_use_other_names() -> None:
    sent = {**FULL, "ORD": copy.deepcopy(FULL["order"])}
    sent["ORD"]["OID"] = sent["ORD"].pop("offerIdentifier")

    assert read(CheckoutRequest, sent).order.offer_identifier == "of_1"


def test_every_level_in_aliases_is_the_published_short_form() -> None:
    request = read(CheckoutRequest, examples.ALIASES)

    assert request.order.items[0].item_identifier == "bn.00.42"
    assert request.payment_method.keeps_method is False
    assert request.card() is not None


JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PATHS: Final = [name for row in CHECKOUT_ALIASES for name in row]


@given(path=st.sampled_from(PATHS), value=JSON_VALUES)
def test_whatever_stands_in_a_field_is_read_or_refused(path: str, value: Any) -> None:
    try:
        read(CheckoutRequest, changed(path, value))
    except (InvalidRequest, InvalidCard):
        return


@given(document=JSON_VALUES)
def test_whatever_is_sent_instead_is_refused(document: Any) -> None:
    assert isinstance(refusal_of(document), InvalidRequest)
