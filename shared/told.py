"""How what a PSP event told waits in the inbox: in our own closed shapes, sealed, because it may name a token.

It opens only for its own tenant and event. A shape we do not know is a bug or a row of a newer version: it is
refused by name, never guessed at.
"""

from __future__ import annotations

import json
from typing import Any, Final, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from shared.domain.outcomes import LookUpOutcome
from shared.keyring import Keyring

_SHAPES: Final[dict[str, TypeAdapter[Any]]] = {shape.__name__: TypeAdapter(shape) for shape in get_args(LookUpOutcome)}


class UnreadableTold(ValueError):
    """A row of the inbox holds a shape this version does not know."""


def seal_told(keyring: Keyring, tenant_id: UUID, event_id: str, outcome: LookUpOutcome | None) -> bytes:
    """*outcome* as the inbox may hold it."""
    shape = type(outcome).__name__
    says = None if outcome is None else _SHAPES[shape].dump_python(outcome, mode="json")
    return keyring.seal(json.dumps({"shape": shape, "says": says}).encode(), bound_to=bound_to(tenant_id, event_id))


def open_told(keyring: Keyring, tenant_id: UUID, event_id: str, sealed: bytes) -> LookUpOutcome:
    """What an event told of a charge. Raises UnreadableTold, or CannotOpen for a row that was moved."""
    document = json.loads(keyring.open(sealed, bound_to=bound_to(tenant_id, event_id)))
    adapter = _SHAPES.get(document["shape"])
    if adapter is None:
        raise UnreadableTold("unknown shape")
    try:
        outcome: LookUpOutcome = adapter.validate_python(document["says"])
    except ValidationError:
        raise UnreadableTold("the shape does not fit") from None  # The error would quote what it holds.
    return outcome


def bound_to(tenant_id: UUID, event_id: str) -> str:
    """Where what an event told opens."""
    return f"event:{tenant_id}:{event_id}"
