"""The OpenAPI document is one, and says what the contract says."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from api.openapi.document import document
from api.openapi.routes import ROUTES
from api.validation import read

DOCUMENT: Final[dict[str, Any]] = json.loads(document())
EXAMPLES: Final = [
    (told.model, name, example)
    for route in ROUTES
    for told in route.answers.values()
    if told.model
    for name, example in told.examples.items()
]
ASKED: Final = [(route.takes, example) for route in ROUTES if route.takes for example in route.takes_examples.values()]


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_the_document_holds_no_field_set_to_nothing_but_in_examples() -> None:
    assert (
        DOCUMENT["paths"]["/c2a/offer/checkout"]["post"]["responses"]["409"]["content"]["application/json"]["examples"][
            "expired"
        ]["value"]["trackingNumber"]
        is None
    )


@pytest.mark.parametrize(("model", "name", "example"), EXAMPLES)
def test_every_example_answer_is_one_the_models_would_give(
    model: type[BaseModel], name: str, example: dict[str, Any]
) -> None:
    told = model.model_validate(example)

    assert told.model_dump(mode="json", by_alias=True, exclude_unset=True) == _in_seconds(example), name


@pytest.mark.parametrize(("model", "example"), ASKED)
def test_every_example_request_is_one_we_would_take(model: type[BaseModel], example: dict[str, Any]) -> None:
    assert read(model, example)


def test_every_alias_is_in_the_document() -> None:
    shown = {
        field["x-alias"]
        for schema in DOCUMENT["components"]["schemas"].values()
        for field in schema.get("properties", {}).values()
        if "x-alias" in field
    }

    assert shown >= {"ORD", "PMT", "OID", "CLD", "ITM", "CUST", "PURN", "QTY", "TP", "PI", "UM", "CC", "SM"}
    assert shown >= {"CHN", "CN", "EY", "EM", "CVC", "CA", "USM", "SMU", "SMT"}
    assert shown >= {"CU", "PC", "SF", "IT", "CH", "ID", "IM", "CTG", "SFU", "OSI", "PLT"}


def test_every_call_with_a_key_tells_what_the_key_may_cost() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if method != "servers" and operation["security"]:
                assert {"401", "403", "429", "431", "500", "503"} <= set(operation["responses"]), path


def _in_seconds(example: Any) -> Any:
    """*example* with a moment spelled as pydantic spells it."""
    return json.loads(json.dumps(example).replace(".000Z", "Z"))
