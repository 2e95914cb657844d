"""Moves an order; every move is one compare-and-set that also writes its event.

A statement of `moving` is the only one in the system that changes an order's state. It names the state it moves from
and the fence its caller holds; whoever comes second changes nothing and gets None. The event row, the end of the
lease and, for a failed order, the release of its offer are parts of the same statement, so no crash can part them.
Each is built and compiled once a process: to build one anew took three times the processor time of running it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from psycopg.types.json import Jsonb
from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Interval,
    bindparam,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)

from shared.domain.states import CODE_OF, TERMINAL, OrderEvent, OrderState, next_state
from shared.patience import CRASHES_TO_PARK
from shared.store import news
from shared.store.direct import At, Direct
from shared.store.orders import COLUMNS, NUMBERED, SEEN, Order, found, seen
from shared.store.tables import offer_holds, order_events, orders


def advance(
    at: At,
    order: Order,
    event: OrderEvent,
    *,
    actor: str,
    due_in: timedelta | None = None,
    deadline_in: timedelta | None = None,
    attempt_no: int | None = None,
    **values: Any,
) -> Order | None:
    """Move *order* by *event*; None if someone else moved it first.

    *due_in* is when somebody must look at it next (required unless the move ends it), *deadline_in* when the new
    state ends by itself. Both are added to the database's clock. Raises IllegalMove for a move outside the table.
    """
    to = next_state(order.state, event)
    assert to in TERMINAL or due_in is not None, "a live order is always due"
    given = {f"to_{name}": Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
    timing = {"due_in": due_in, "deadline_in": deadline_in, "attempt_no": attempt_no}
    return move(_moving(event, to, frozenset(values)), at, order, actor=actor, given=timing | given)


def move(
    moving: Direct,
    at: At,
    order: Order,
    *,
    actor: str,
    due_in: timedelta | None = None,
    given: Mapping[str, Any],
) -> Order | None:
    """Run a statement of `moving` for *order*, with the values it was built for; None if it did not move.

    Where the public hears another word for its state now, whoever waits for it is told (news.py).
    """
    values = {"actor": actor, "due_in": due_in, "deadline_in": None, "attempt_no": None, **given, **seen(order)}
    moved = found(moving.one_or_none(at, values))
    if moved is not None and CODE_OF[moved.state] is not CODE_OF[order.state]:
        news.tell(at, moved.tracking_number)
    return moved


_AT_REST: Final[dict[str, Any]] = {
    "lease_owner": null(),
    "lease_until": null(),
    "lease_limit": null(),
    "redirect": null(),
    "waits_for": null(),
    "rings": 0,
}
"""What every move resets unless it says otherwise: nobody works on the order, it stands in no row, nobody was rung."""
_ATTEMPT: Final[Any] = bindparam("attempt_no", type_=order_events.c.attempt_no.type)


@dataclass(frozen=True, slots=True)
class Hop:
    """One move of a statement that makes it: what happened, and where the order stands then."""

    event: OrderEvent
    to: OrderState
    actor: str | None = None
    """Who did it, where it is another than the statement's."""
    is_of_attempt: bool = True
    """Whether it belongs to the attempt that the statement names, if it names one."""


@cache
def _moving(event: OrderEvent, to: OrderState, names: frozenset[str]) -> Direct:
    """At most one for each event, each state it leads to and each of the few sets of *names* our callers give."""
    return moving(Hop(event, to), sets={name: bindparam(f"to_{name}", type_=orders.c[name].type) for name in names})


def moving(
    *hops: Hop,
    where: ColumnElement[bool] | None = None,
    only_if: ColumnElement[bool] = true(),  # noqa: B008 - an immutable expression
    sets: Mapping[str, Any] = {},
    also: Callable[[CTE], CTE] | None = None,
) -> Direct:
    """The statement that makes the next moves of the order as it was seen, or of the one *where* names, if *only_if*
    holds; it answers the order as it is then.

    Two moves may share one, where the worker that makes the first would make the second at once: each has its event
    and its version, and a commit is saved. *sets*: what else it writes into the order; *also*: what it writes
    elsewhere, of an order that moved.
    """
    to = hops[-1].to
    ends = to in TERMINAL
    moved = (
        update(orders)
        .where(SEEN if where is None else where, only_if)
        .values(
            {
                "state": to.value,
                "version": orders.c.version + len(hops),
                "changed_at": func.now(),
                "finished_at": func.now() if ends else null(),
                "due_at": null() if ends else func.now() + in_time("due_in"),
                "deadline_at": func.now() + in_time("deadline_in"),  # NULL of NULL.
                **_AT_REST,
                **sets,
            }
        )
        .returning(*COLUMNS)
        .cte("moved")
    )
    result = select(*moved.c).add_cte(_told(moved, hops))
    if to is OrderState.FAILED:
        result = result.add_cte(_released(moved))
    if also is not None:
        result = result.add_cte(also(moved))
    return Direct(result)


def in_time(name: str) -> ColumnElement[Any]:
    """A span of time that a statement is given under *name*."""
    return bindparam(name, type_=Interval).cast(Interval)


def _told(moved: CTE, hops: Sequence[Hop]) -> CTE:
    """A row for each event."""
    columns = ["tenant_id", "tracking_number", "version", "event", "state", "actor", "attempt_no"]
    rows = [
        select(
            moved.c.tenant_id,
            moved.c.tracking_number,
            moved.c.version - later,
            literal(hop.event.value),
            literal(hop.to.value),
            bindparam("actor", type_=order_events.c.actor.type) if hop.actor is None else literal(hop.actor),
            _ATTEMPT if hop.is_of_attempt else null().cast(_ATTEMPT.type),
        )
        for later, hop in zip(range(len(hops) - 1, -1, -1), hops, strict=True)
    ]
    return insert(order_events).from_select(columns, union_all(*rows) if len(rows) > 1 else rows[0]).cte("told")


def _released(moved: CTE) -> CTE:
    """The offer of a failed order may be ordered again; a hold ends in no other way.

    Only of an order that *moved*: PostgreSQL runs a data-modifying CTE whatever its siblings found, and who comes too
    late to fail an order must not take the offer from under it.
    """
    return (
        delete(offer_holds)
        .where(
            offer_holds.c.tenant_id == moved.c.tenant_id,
            offer_holds.c.offer_identifier == moved.c.offer_identifier,
            offer_holds.c.tracking_number == moved.c.tracking_number,
        )
        .cte("released")
    )


NOTHING_STORED: Final = Hop(OrderEvent.STORING_SKIPPED, OrderState.DONE, actor="tokenize", is_of_attempt=False)
_END: Final = moving(
    NOTHING_STORED,
    where=NUMBERED & (orders.c.state == OrderState.CAPTURED.value),
    only_if=(orders.c.rings == 0)
    & ~orders.c.parked
    & or_(~orders.c.keeps_method, orders.c.stored_method_urn.is_not(None)),  # As Order.stores_method says.
)


def ended_with_nothing_to_store(at: At, tracking_number: str) -> Order | None:
    """End a captured order that stores no method, in one statement and without reading it first.

    None if it is anything else: not captured, to store its method, or suspected of taking its workers down.
    """
    ended = found(_END.one_or_none(at, {"number": tracking_number, "deadline_in": None}))
    if ended is not None:
        news.tell(at, tracking_number)
    return ended


_CRASHED: Final = orders.c.crashes + 1
_BEGIN_AGAIN: Final = Direct(
    update(orders)
    .where(SEEN)
    .values(crashes=_CRASHED, parked=orders.c.parked | (_CRASHED >= CRASHES_TO_PARK))
    .returning(*COLUMNS)
)


def begin_again(at: At, order: Order) -> Order | None:
    """Count one more worker that did not end its step with *order*, and park it at the last it may take (design: 5).

    None if *order* moved on since it was read: then somebody did end it.
    """
    return found(_BEGIN_AGAIN.one_or_none(at, seen(order)))


def _is(order: Order) -> list[Any]:
    return [
        orders.c.tracking_number == order.tracking_number,
        orders.c.tenant_id == order.tenant_id,
        orders.c.state == order.state,
        orders.c.fence == order.fence,
    ]


def look_again(
    conn: Connection,
    order: Order,
    *,
    due_in: timedelta,
    only_if: ColumnElement[bool] = true(),  # noqa: B008 - an immutable expression
) -> bool:
    """Set when somebody must look at *order* next, if it still stands where its reader saw it, is not finished and
    *only_if* holds; whether it did."""
    set_to = (
        update(orders)
        .where(*_is(order), orders.c.finished_at.is_(None), only_if)
        .values(due_at=func.now() + literal(due_in, Interval), rings=order.rings + 1)
        .returning(orders.c.version)
    )
    return conn.execute(set_to).one_or_none() is not None


def stand_in_row(conn: Connection, order: Order, provider: str, *, due_in: timedelta) -> bool:
    """Have *order* wait for its place at *provider*, if it still stands where its reader saw it; whether it does.

    No back-off grows with it: whoever has a place is rung for when it comes up, however often it was before.
    """
    placed = (
        update(orders)
        .where(*_is(order), orders.c.finished_at.is_(None))
        .values(due_at=func.now() + literal(due_in, Interval), waits_for=provider, rings=0)
        .returning(orders.c.version)
    )
    return conn.execute(placed).one_or_none() is not None


NOBODY_RANG: Final = orders.c.rings == 0
"""Nobody has asked for the order to be looked at since it came to where it stands."""
