"""Who sends which event next, and what came of it: claimed for a while, sent by nobody twice at once, logged.

A claim ends by itself: whoever died between the receiver's answer and its record leaves an event that is sent again,
under the same id. Of one endpoint and subject only the first event that waits may be claimed, so that they arrive in
order whoever sends them. Endpoints that took nothing of late are asked for apart from the others, one event at a time,
and after pauses: what they cost is not the others' time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Connection,
    Engine,
    Interval,
    bindparam,
    func,
    literal,
    null,
    select,
    text,
    update,
)

from shared.domain.tenant_events import HOLDS, PAUSED_AFTER, RETRIES, SUSPECT_AFTER
from shared.store.direct import Direct
from shared.store.tables import event_deliveries

CLAIMED_FOR: Final = timedelta(seconds=30)
"""A call ends within 10 s (workers/telling.py), and its record has a connection within as long (TURN_WITHIN_S)."""

MOST_TRIES: Final = 2**15 - 1
"""What its column counts to (SmallInteger): one row that is claimed for ever must not fail the claims of all."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event to be sent, with where to and, sealed, what signs it."""

    tenant_id: UUID
    endpoint_id: str
    event_id: str
    kind: str
    body: str
    tries: int
    """Which try this is, from 1; whoever comes later has a higher one."""
    url: str
    secret: bytes
    secret_before: bytes | None
    now: datetime
    """The database's clock at the claim: the time the message is signed with."""


_CLAIM: Final = text("""
    WITH ready AS (
        SELECT tenant_id, endpoint_id, url, secret,
               CASE WHEN secret_before_until > now() THEN secret_before END AS secret_before,
               (SELECT count(*) FROM event_deliveries AS sent
                WHERE sent.tenant_id = endpoint.tenant_id AND sent.endpoint_id = endpoint.endpoint_id
                  AND sent.claimed_until > now()) AS on_their_way
        FROM event_endpoints AS endpoint
        WHERE state = 'active' AND (failures >= :suspect_after) = :suspect
          AND (held_until IS NULL OR held_until <= now())
    ), free AS (
        SELECT ready.*, event_id, due_at FROM ready CROSS JOIN LATERAL (
            SELECT event_id, due_at FROM event_deliveries AS next
            WHERE next.tenant_id = ready.tenant_id AND next.endpoint_id = ready.endpoint_id
              AND next.state = 'waiting' AND next.due_at <= now()
              AND (next.claimed_until IS NULL OR next.claimed_until <= now())
              AND NOT EXISTS (
                  SELECT FROM event_deliveries AS earlier
                  WHERE earlier.tenant_id = next.tenant_id AND earlier.endpoint_id = next.endpoint_id
                    AND earlier.subject = next.subject AND earlier.state = 'waiting'
                    AND (earlier.place, earlier.at, earlier.event_id) < (next.place, next.at, next.event_id))
            ORDER BY next.due_at, next.at LIMIT greatest(CASE WHEN :suspect THEN 1 ELSE :each END - on_their_way, 0)
            FOR UPDATE SKIP LOCKED) AS of_endpoint
    ), chosen AS (
        SELECT * FROM free
        ORDER BY on_their_way + row_number() OVER (PARTITION BY tenant_id, endpoint_id ORDER BY due_at), due_at
        LIMIT :free
    )
    UPDATE event_deliveries AS claimed
    SET claimed_until = now() + :claimed_for, tries = least(claimed.tries + 1, :most_tries)
    FROM chosen
    WHERE claimed.tenant_id = chosen.tenant_id AND claimed.endpoint_id = chosen.endpoint_id
      AND claimed.event_id = chosen.event_id
    RETURNING claimed.tenant_id, claimed.endpoint_id, claimed.event_id, claimed.kind, claimed.body, claimed.tries,
              chosen.url, chosen.secret, chosen.secret_before, clock_timestamp() AS now
""").bindparams(bindparam("claimed_for", type_=Interval))


def claim(conn: Connection, *, suspect: bool, each: int, free: int) -> list[Claimed]:
    """At most *free* events to be sent now, first those of the endpoints with the fewest calls on their way, so that
    slow ones do not keep every thread: *each* at once to one endpoint, or one to a *suspect* one."""
    values = {"suspect": suspect, "each": each, "free": free, "suspect_after": SUSPECT_AFTER}
    rows = conn.execute(_CLAIM, values | {"claimed_for": CLAIMED_FOR, "most_tries": MOST_TRIES})
    return [Claimed(*row) for row in rows]


_MINE: Final = """
    tenant_id = :tenant AND endpoint_id = :endpoint AND event_id = :event AND tries = :tries AND state = 'waiting'
"""
_NOT_TRIED: Final = Direct(text(f"UPDATE event_deliveries SET tries = tries - 1 WHERE {_MINE}"))  # noqa: S608
_TOOK: Final = Direct(
    text(f"""
    WITH well AS (
        UPDATE event_endpoints SET failures = 0, holds = 0, failing_since = NULL, held_until = NULL
        WHERE tenant_id = :tenant AND endpoint_id = :endpoint AND failures > 0
    ), at_last AS (
        -- What was tried while it was away need not wait as long as it would, were it still away.
        UPDATE event_deliveries SET due_at = now()
        WHERE tenant_id = :tenant AND endpoint_id = :endpoint AND event_id <> :event
          AND state = 'waiting' AND due_at > now()
          AND EXISTS (
              SELECT FROM event_endpoints WHERE tenant_id = :tenant AND endpoint_id = :endpoint AND holds > 0))
    UPDATE event_deliveries
    SET state = 'delivered', ended_at = now(), claimed_until = NULL, answer = :answer WHERE {_MINE}
""")  # noqa: S608 - our own text
)
_TOOK_NOT: Final = Direct(
    text(f"""
    WITH failed AS (
        UPDATE event_deliveries
        SET answer = :answer, claimed_until = NULL,
            state = CASE WHEN tries > cardinality(:retries) THEN 'parked' ELSE 'waiting' END,
            ended_at = CASE WHEN tries > cardinality(:retries) THEN now() END,
            due_at = now() + greatest((:retries)[tries], :patience)
        WHERE {_MINE} RETURNING answer, state
    ), ill AS (
        UPDATE event_endpoints
        SET failures = failures + 1, failing_since = coalesce(failing_since, now()),
            holds = holds + (failures + 1 >= :suspect_after AND (held_until IS NULL OR held_until <= now()))::integer,
            held_until = CASE WHEN failures + 1 < :suspect_after THEN NULL
                              WHEN held_until > now() THEN held_until
                              ELSE now() + (:pauses)[least(holds + 1, cardinality(:pauses))] END,
            state = CASE WHEN state = 'active' AND (:gone OR failing_since <= now() - :paused_after)
                         THEN 'paused' ELSE state END,
            paused_why = CASE WHEN state <> 'active' THEN paused_why WHEN :gone THEN 'gone'
                              WHEN failing_since <= now() - :paused_after THEN 'failing' END
        WHERE tenant_id = :tenant AND endpoint_id = :endpoint AND EXISTS (SELECT FROM failed)
        RETURNING state, failures)
    SELECT failed.answer, failed.state, ill.state, ill.failures FROM failed CROSS JOIN ill
""").bindparams(  # noqa: S608 - our own text
        bindparam("retries", type_=ARRAY(Interval)),
        bindparam("pauses", type_=ARRAY(Interval)),
        bindparam("patience", type_=Interval),
        bindparam("paused_after", type_=Interval),
        bindparam("gone", type_=Boolean),
    )
)


def took(at: Engine, claimed: Claimed, answer: str) -> None:
    """Its receiver took it."""
    _TOOK.all(at, _named(claimed) | {"answer": answer})


def not_tried(at: Engine, claimed: Claimed) -> None:
    """It could not be sent for a reason of ours, and that is no try; its claim ends by itself, and then it is."""
    _NOT_TRIED.all(at, _named(claimed))


@dataclass(frozen=True, slots=True)
class Failed:
    """What a try in vain made of its event and its endpoint."""

    answer: str
    event_state: str
    endpoint_state: str
    failures: int


def took_not(
    at: Engine, claimed: Claimed, answer: str, *, patience: timedelta = timedelta(), gone: bool = False
) -> Failed | None:
    """Its receiver did not take it; None if somebody else tried since. *patience*: what it asked for before the next;
    *gone*: it says that nobody will be there any more."""
    values = _named(claimed) | {"answer": answer, "patience": patience, "gone": gone}
    fixed = {"retries": list(RETRIES), "pauses": list(HOLDS), "suspect_after": SUSPECT_AFTER}
    row = _TOOK_NOT.one_or_none(at, values | fixed | {"paused_after": PAUSED_AFTER})
    return None if row is None else Failed(*row)


def _named(claimed: Claimed) -> dict[str, Any]:
    return {
        "tenant": claimed.tenant_id,
        "endpoint": claimed.endpoint_id,
        "event": claimed.event_id,
        "tries": claimed.tries,
    }


_column: Final = event_deliveries.c


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery as it may be shown."""

    event_id: str
    kind: str
    subject: str
    state: str
    tries: int
    answer: str | None
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None


def logged(conn: Connection, tenant_id: UUID, endpoint_id: str, *, state: str | None, limit: int) -> list[Logged]:
    """The last *limit* deliveries to an endpoint, the newest first, of one *state* if named."""
    query = (
        select(*(_column[field.name] for field in fields(Logged)))
        .where(_column.tenant_id == tenant_id, _column.endpoint_id == endpoint_id)
        .order_by(_column.created_at.desc(), _column.event_id)
        .limit(limit)
    )
    return [Logged(*row) for row in conn.execute(query if state is None else query.where(_column.state == state))]


def replay(
    conn: Connection,
    tenant_id: UUID,
    endpoint_id: str,
    *,
    events: Sequence[str] = (),
    since: timedelta | None = None,
    parked: bool = False,
) -> int:
    """Send again, under the same ids and as if for the first time, what is over: these *events*, all made *since* so
    long ago, or all that are *parked*; how many."""
    which = [_column.tenant_id == tenant_id, _column.endpoint_id == endpoint_id, _column.state != "waiting"]
    if parked:
        which.append(_column.state == "parked")
    if events:
        which.append(_column.event_id.in_(events))
    if since is not None:
        which.append(_column.created_at >= func.now() - literal(since, Interval))
    again = {"state": "waiting", "tries": 0, "due_at": func.now(), "ended_at": null(), "answer": null()}
    return len(conn.execute(update(event_deliveries).where(*which).values(again).returning(_column.event_id)).all())


BATCH: Final = 20_000
"""Deliveries forgotten a minute: 333 a second, more than are made."""

_OLD: Final = text("""
    DELETE FROM event_deliveries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM event_deliveries
        WHERE created_at < now() - make_interval(days => :delivered_days)
          AND (state = 'delivered' OR created_at < now() - make_interval(days => :days)) LIMIT :batch))
""")
_UNHEARD: Final = text("DELETE FROM tenant_events WHERE at < now() - make_interval(days => :days)")


def forget_old(conn: Connection, *, days: int, delivered_days: int) -> None:
    """Let go of what is *days* old, or *delivered_days* and taken, and of events whose last endpoint was removed."""
    conn.execute(_OLD, {"days": days, "delivered_days": delivered_days, "batch": BATCH})
    conn.execute(_UNHEARD, {"days": days})
