"""What happened to one order? Everything its rows know, in one value, for whoever shows or tells it.

Who compares (replay.py) reads it at one moment (engine.py: one_moment), so that an order that moves meanwhile does not
differ from its own record. Nothing is changed, and nobody is asked but the database: what a PSP knows more is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from shared.key_service import KeysAway
from shared.keyring import CannotOpen, Keyring
from shared.operate.case import case_of
from shared.operate.judging import Action, allowed
from shared.operate.psps import Abilities
from shared.store import attempt_stories, inbox_search, operator_actions, order_stories, orders, refunds
from shared.store.attempt_stories import AttemptStory
from shared.store.inbox_search import Event
from shared.store.operator_actions import Acted
from shared.store.order_stories import Lease, Move
from shared.store.orders import Order
from shared.store.refunds import Refund
from shared.told import UnreadableTold, open_told


@dataclass(frozen=True, slots=True)
class Heard:
    """One PSP event, and the name of what it told (shared/domain/outcomes.py); None where it told nothing of a charge,
    or nobody can read it."""

    event: Event
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """One order with all that belongs to it."""

    order: Order
    moves: tuple[Move, ...]
    attempts: tuple[AttemptStory, ...]
    heard: tuple[Heard, ...]
    acted: tuple[Acted, ...]
    refunds: tuple[Refund, ...]
    lease: Lease | None
    holder: str | None
    """Which order holds its offer, if that is sold once."""
    abilities: Abilities
    allowed: Mapping[Action, str | None]
    """What an operator may do now; for the rest, why not."""

    @property
    def moves_before(self) -> int:
        """How many moves were before those that are shown."""
        return self.moves[0].version - 1 if self.moves else 0

    @property
    def holds_offer(self) -> bool:
        """Whether the offer, if it is sold once, is this order's."""
        return self.holder == self.order.tracking_number


def read(conn: Connection, order: Order, ring: Keyring) -> Story:
    """The story of *order* as it stands now."""
    who = (order.tenant_id, order.tracking_number)
    attempts = attempt_stories.of_order(conn, *who)
    case = case_of(conn, order, ring)
    return Story(
        order=order,
        moves=tuple(order_stories.moves(conn, *who)),
        attempts=tuple(attempts),
        heard=tuple(_heard(ring, one) for one in inbox_search.of_attempts(conn, order.tenant_id, attempts)),
        acted=tuple(operator_actions.of_order(conn, *who)),
        refunds=tuple(refunds.of_order(conn, *who)),
        lease=order_stories.lease(conn, order),
        holder=order_stories.holder(conn, order),
        abilities=case.abilities,
        allowed=allowed(case),
    )


def find(conn: Connection, number: str, *, tenant_id: UUID | None = None) -> Order | None:
    """The order of this tracking number, of this tenant where one is named."""
    return orders.get(conn, number) if tenant_id is None else orders.of_tenant(conn, tenant_id, number)


def _heard(ring: Keyring, event: Event) -> Heard:
    try:
        told = None if event.outcome is None else open_told(ring, event.tenant_id, event.event_id, event.outcome)
    except (CannotOpen, KeysAway, UnreadableTold):
        return Heard(event, None)
    return Heard(event, None if told is None else type(told).__name__)
