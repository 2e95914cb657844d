"""What the engine room works with: built once a process, after its fork, from the settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from uuid import UUID

import structlog
from sqlalchemy import Engine, literal, select
from sqlalchemy.exc import SQLAlchemyError

from shared import failpoints, keyrings, vault
from shared.config import Settings
from shared.depth import Depths
from shared.doorbell import Doorbell
from shared.keyring import Keyring
from shared.psp.factory import psp_for
from shared.psp.port import Account, Psp
from shared.psp.record import Records
from shared.psp.router import Candidate
from shared.psp.traffic import records
from shared.psp.traffic.guarded import guarding
from shared.psp.traffic.lane import Errand, Later, PspLane
from shared.psp.traffic.terms import terms_of
from shared.psp.traffic.turns import Turn, Turns
from shared.routing import candidates_of
from shared.settle import Terms
from shared.store import accounts
from shared.store.engine import create_engine, statements
from shared.store.leases import LeaseTerms
from shared.store.orders import Order
from shared.store.row_security import Role
from shared.vault import Vault
from shared.velocity import Velocity, limit_of
from workers.heartbeat import Heartbeat
from workers.outages import Outages

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Runtime:
    """The parts of one worker process."""

    settings: Settings
    engine: Engine
    keyring: Keyring
    vault: Vault
    doorbell: Doorbell
    heartbeat: Heartbeat
    turns: Turns
    psp_for: Callable[[Account], Psp]
    """A PSP behind its gate: every call of every step takes its turn there."""
    records: Records
    """How a tenant's accounts did of late."""

    @cached_property
    def depths(self) -> Depths:
        """How deep the queues are; for the rescuer's thread alone."""
        return Depths(self.settings.broker_url.get_secret_value())

    @cached_property
    def owner(self) -> str:
        """Who holds our leases, for whoever reads the row."""
        return f"{socket.gethostname()}:{os.getpid()}"

    @cached_property
    def velocity(self) -> Velocity:
        """How often cards were declined, and for whom; in the Redis of the vault."""
        return Velocity(self.vault.redis, limit_of(self.settings))

    @property
    def lease(self) -> LeaseTerms:
        """How long our claims hold."""
        return self.heartbeat.terms

    @cached_property
    def terms(self) -> Terms:
        """What settling needs to know."""
        return Terms(self.keyring, timedelta(seconds=self.settings.challenge_life_s))

    def turn(self, account: Account, errand: Errand, *, card: bool, keeps: bool) -> Turn | Later:
        """A turn to charge at the PSP of *account*, a typed *card* or not, and to keep the method or not; or when to
        come back for it. Waits for one that is near."""
        can = self.psp_for(account).capabilities
        return self.turns.turn(PspLane.of(account, can).taking(can.calls_of(card=card, keeps=keeps)), errand)

    def warm_up(self) -> None:
        """Open what the first order would otherwise wait for; what is away now is reached when it is needed."""
        try:
            with statements(self.engine) as conn:
                conn.execute(select(literal(1)))
        except SQLAlchemyError as error:
            log.warning("warm_up.database_away", error=type(error).__name__)

    def forget_spent_card(self, order: Order) -> None:
        """Let go of the card of an order that can no longer need it, if it came with one; call it after the commit."""
        if order.carries_card and order.needs_no_card:
            self.vault.forget(order.tenant_id, order.tracking_number)

    def candidates(self, enabled: Sequence[Account]) -> list[Candidate]:
        """The *enabled* PSP accounts of a tenant, as candidates for its payments, in its own order."""
        return candidates_of(enabled, self.psp_for, self.records(enabled))

    def account_at(self, tenant_id: UUID, provider: str) -> Account:
        """The account money of an earlier attempt is at, even if it was disabled since."""
        with statements(self.engine) as conn:
            account = accounts.get(conn, self.keyring, tenant_id, provider)
        assert account is not None, "an account that was charged through is disabled, never deleted"
        return account


def build(settings: Settings, psp_for: Callable[[Account], Psp] = psp_for) -> Runtime:
    """The parts of this process; touches no network yet."""
    failpoints.arm(settings.failpoints, settings.mode)
    engine = create_engine(settings, role=Role.ENGINE_ROOM)
    keyring = keyrings.of(settings)
    cards = Vault(vault.connect(settings.vault_url.get_secret_value()), keyring, settings.vault_ttl_s)
    return assembled(settings, engine, keyring, cards, Doorbell(settings.broker_url.get_secret_value()), psp_for)


def assembled(
    settings: Settings,
    engine: Engine,
    keyring: Keyring,
    cards: Vault,
    doorbell: Doorbell,
    psp_for: Callable[[Account], Psp] = psp_for,
) -> Runtime:
    """A process's parts, of those that reach out."""
    lease = LeaseTerms(timedelta(seconds=settings.lease_s), timedelta(seconds=settings.lease_limit_s))
    turns = Turns(cards.redis, terms_of(settings), Outages(engine).over)
    return Runtime(
        settings=settings,
        engine=engine,
        keyring=keyring,
        vault=cards,
        doorbell=doorbell,
        heartbeat=Heartbeat(engine, lease),
        turns=turns,
        psp_for=guarding(psp_for, turns),
        records=records.Records(cards.redis, terms_of(settings)).of,
    )
