"""How an answer becomes a value, and what is said of one that cannot.

A value that does not fit is never quoted: pydantic's own error is dropped, as it can show what it read.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.client.answers import CheckoutResult, Method, Offer
from shared.client.errors import NotUnderstood
from shared.client.turns import Heard

M = TypeVar("M", bound=BaseModel)


def result_of(heard: Heard, *, is_of_submit: bool = False) -> CheckoutResult:
    """Where an order stands. Raises NotUnderstood."""
    from_headers = {
        "isOfSubmit": is_of_submit,
        "etag": heard.headers.get("etag"),
        "isReplayed": heard.headers.get("idempotent-replayed") == "true",
    }
    return _read(CheckoutResult, {**heard.document, **from_headers}, "order", heard)


def offer_of(heard: Heard) -> Offer:
    """A resolved offer. Raises NotUnderstood."""
    return _read(Offer, heard.document.get("offer"), "offer", heard)


def method_of(heard: Heard) -> Method:
    """A stored method. Raises NotUnderstood."""
    return _read(Method, heard.document.get("result"), "payment method", heard)


def methods_of(heard: Heard) -> list[Method]:
    """A customer's stored methods. Raises NotUnderstood."""
    listed = heard.document.get("result")
    if not isinstance(listed, list):
        raise NotUnderstood("payment methods", heard.status)
    return [_read(Method, one, "payment method", heard) for one in listed]


def _read(model: type[M], document: Any, what: str, heard: Heard) -> M:
    try:
        return model.model_validate(document)
    except ValidationError:
        pass  # Raised below: an error raised in here would carry this one along.
    raise NotUnderstood(what, heard.status)
