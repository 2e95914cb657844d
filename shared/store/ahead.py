"""Writes an attempt ahead: committed before its PSP is called, by the statement that claims its order.

So a worker that dies in the call leaves a trace of it, and none that did not get the order leaves one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Final

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb
from sqlalchemy import CTE, ColumnElement, FromClause, bindparam, case, func, literal, null, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from shared.store.attempts import Attempt, AttemptState
from shared.store.tables import payment_attempts

_ONE_PER_KEY: Final = "payment_attempts_one_per_key"


class KeyTaken(RuntimeError):
    """Another order's attempt has this key at this PSP: the transaction is lost, the order needs a key of its own."""


@contextmanager
def a_key_of_its_own(attempt: Attempt) -> Iterator[None]:
    """Says KeyTaken if the key of *attempt*, which is written ahead in the block, is another order's."""
    try:
        yield
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation) and error.orig.diag.constraint_name == _ONE_PER_KEY:
            raise KeyTaken(f"attempt {attempt.attempt_no} at {attempt.provider}") from error
        raise


_WRITTEN: Final = [
    field.name
    for field in fields(Attempt)
    if field.name not in {"tenant_id", "tracking_number", "started_at", "asked_at"}
]


def values_ahead(attempt: Attempt, route: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `written_ahead` is given for *attempt*.

    *route*: why its PSP was chosen (shared/psp/router.py); None where nobody chose: it is asked again, and its key is
    as old as it was.
    """
    values = {f"ahead_{name}": getattr(attempt, name) for name in _WRITTEN}
    return values | {"attempt_no": attempt.attempt_no, "ahead_route": None if route is None else Jsonb(route)}


def written_ahead(of: FromClause) -> CTE:
    """Records that an attempt is about to be made, or made again under its old key; each time is one to reckon from.

    *of*: the order, if it may be. A part of the statement that claims it.
    """
    given = {name: _given(name) for name in [*_WRITTEN, "route"]}
    writing = insert(payment_attempts).from_select(
        ["tenant_id", "tracking_number", *given], select(of.c.tenant_id, of.c.tracking_number, *given.values())
    )
    is_new = writing.excluded.route.is_not(None)  # Chosen anew, after proof that it holds nothing; else sent again.
    return writing.on_conflict_do_update(
        index_elements=["tenant_id", "tracking_number", "attempt_no"],
        set_={
            "route": func.coalesce(writing.excluded.route, payment_attempts.c.route),
            "outcome": AttemptState.OPEN.value,
            "reason": null(),
            "looks": case((is_new, literal(0)), else_=payment_attempts.c.looks),
            "settled_at": null(),
            "asked_at": func.now(),
            "started_at": case((is_new, func.now()), else_=payment_attempts.c.started_at),
        },
        where=or_(*(payment_attempts.c.outcome == one.value for one in (AttemptState.OPEN, AttemptState.ABSENT))),
    ).cte("ahead")


def _given(name: str) -> ColumnElement[Any]:
    type_ = payment_attempts.c[name].type
    return bindparam(f"ahead_{name}", type_=type_).cast(type_)
