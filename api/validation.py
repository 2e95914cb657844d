"""How a parsed document becomes a request, or a refusal that names the fields at fault and no value.

Messages are built from where an error is and of which type it is, never from pydantic's own text: that text can
show what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from api.long_names import canonical
from shared.domain.refusals import InvalidCard, InvalidRequest, Refusal

M = TypeVar("M", bound=BaseModel)

MOST_PATHS: Final = 10
"""Enough to mend a client by; a hundred bad items would only repeat themselves."""

_WORDS: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "has characters that are not allowed",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "too_short": "must not be empty",
    "too_long": "has too many entries",
    "greater_than_equal": "is out of range",
    "less_than_equal": "is out of range",
    "enum": "is not one of the allowed values",
    "literal_error": "is not one of the allowed values",
    "ip_address": "is not an IP address",
    "invalid_card": "cannot be right",
    "unexpected": "must not be sent here",
}


def read(model: type[M], document: Any) -> M:
    """*document* as a *model*; raises InvalidCard when only the card is wrong, else InvalidRequest."""
    try:
        return model.model_validate(canonical(model, document))
    except ValidationError as error:
        raise _refusal(error) from None  # The cause would carry the input into a traceback.


def _refusal(error: ValidationError) -> Refusal:
    errors = error.errors(include_url=False, include_input=False)
    paths = list(dict.fromkeys(line for detail in errors for line in _lines(detail)))
    kind = InvalidCard if all(detail["type"] == "invalid_card" for detail in errors) else InvalidRequest
    return kind("; ".join(paths[:MOST_PATHS]))


def _lines(detail: Any) -> Iterator[str]:
    """ "path: what is wrong" for each field an error is about."""
    words = _WORDS.get(detail["type"], "is not valid")
    for field in detail.get("ctx", {}).get("fields", ("",)):
        yield f"{_path([*detail['loc'], *filter(None, [field])])}: {words}"


def _path(parts: Sequence[int | str]) -> str:
    """order.items[0].quantity; "body" for the document itself."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.lstrip(".") or "body"
