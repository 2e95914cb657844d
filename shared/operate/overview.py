"""How does a tenant's shop stand at this moment? What an operator looks at first, in one value.

Told from the rows, which are the queue of record, and from the gates that calls to PSPs go through. The Redis that
keeps those may be away: then nobody knows how PSPs do, and all else is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Connection

from shared.domain.states import OrderState
from shared.operate.queues import Kind, kinds_of
from shared.operate.search import search
from shared.psp.traffic.lane import PspLane
from shared.psp.traffic.records import Records, Standing
from shared.store import accounts, open_money, recent_orders, waiting_rows
from shared.store.accounts import Listed
from shared.store.open_money import OpenSum
from shared.store.order_search import Found, Wanted
from shared.store.recent_orders import Slot, Times

log = structlog.get_logger(__name__)

SLOT_S: Final = 5
SLOTS: Final = 60
"""Five minutes in bars of five seconds: what happens now is seen at its edge, and what came before beside it."""
RATE_OVER: Final = 12
"""Slots that a rate is taken over: a minute."""
STUCK_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class PspState:
    """One account and how its calls go; *standing* None: nobody can tell now."""

    account: Listed
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Overview:
    """A tenant's shop at one moment."""

    now: datetime
    slots: tuple[Slot, ...]
    """The last SLOTS of them, the one that has just begun left out."""
    kinds: tuple[Kind, ...]
    times: Mapping[OrderState, Times]
    psps: tuple[PspState, ...]
    money: tuple[OpenSum, ...]
    stuck: tuple[Found, ...]
    more_stuck: bool

    @property
    def accepted_per_s(self) -> float:
        """Orders accepted a second, over the last minute."""
        return sum(slot.accepted for slot in self.slots[-RATE_OVER:]) / (RATE_OVER * SLOT_S)

    @property
    def live(self) -> int:
        """Orders that have not ended."""
        return sum(kind.rows.waiting for kind in self.kinds if kind.is_order)

    @property
    def parked(self) -> int:
        """Of those, how many nobody takes before an operator says so."""
        return sum(kind.rows.parked for kind in self.kinds)


def look(conn: Connection, tenant_id: UUID, records: Records) -> Overview:
    """The shop of *tenant_id* now; *conn* sees its rows alone, or what waits is told of all tenants."""
    now = waiting_rows.clock(conn)
    since = _slot_begins(now) - timedelta(seconds=SLOTS * SLOT_S)
    found = recent_orders.by_slot(conn, tenant_id, since=since, slot_s=SLOT_S)
    stuck = search(conn, Wanted(tenant_id=tenant_id, stuck=True), now=now, limit=STUCK_SHOWN)
    return Overview(
        now=now,
        slots=tuple(found.get(slot, Slot(slot)) for slot in range(SLOTS)),
        kinds=tuple(kinds_of(conn)),
        times=recent_orders.times(conn, tenant_id, since=since),
        psps=_psps(tenant_id, accounts.listed(conn, tenant_id), records),
        money=tuple(open_money.sums(conn, tenant_id)),
        stuck=stuck.orders,
        more_stuck=stuck.next is not None,
    )


def _slot_begins(now: datetime) -> datetime:
    return datetime.fromtimestamp(now.timestamp() // SLOT_S * SLOT_S, now.tzinfo)


def _psps(tenant_id: UUID, listed: Sequence[Listed], records: Records) -> tuple[PspState, ...]:
    try:
        return tuple(PspState(one, records.standing(_lane(tenant_id, one))) for one in listed)
    except RedisError as error:
        log.warning("overview.psps_not_read", error=type(error).__name__)
        return tuple(PspState(one, None) for one in listed)


def _lane(tenant_id: UUID, one: Listed) -> PspLane:
    """Its name is what counts; what its adapter knows of the PSP's limit would need its credentials opened."""
    return PspLane(str(tenant_id), one.provider, one.terms.calls_per_s)
