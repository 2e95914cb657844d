"""What the front door is built from: everything a route may touch, handed in, so that importing does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final
from uuid import UUID

from redis import Redis
from sqlalchemy import Engine

from api.buckets import impatient
from api.outlook import Outlooks
from api.streams import Streams
from api.waiting import Waiting
from shared.config import Settings
from shared.crowds import Crowds
from shared.doorbell import Doorbell
from shared.keyring import Keyring
from shared.psp.factory import psp_for
from shared.psp.port import Account, Psp
from shared.psp.record import Records
from shared.psp.traffic import records
from shared.psp.traffic.guarded import guarding
from shared.psp.traffic.terms import terms_of
from shared.psp.traffic.turns import Turns
from shared.settle import Terms
from shared.store import admission, status
from shared.store.admission import Candidate, Holder
from shared.store.status import Status
from shared.together import Together
from shared.vault import Vault
from shared.velocity import Velocity, limit_of

MOST_AT_ONCE: Final = 64
"""Past some twenty a batch costs a call no less, and the first of it waits longer for the last."""


@dataclass(frozen=True)
class Parts:
    """The parts of one API process."""

    settings: Settings
    engine: Engine
    redis: Redis  # The volatile Redis: sealed cards, rate limits and poll counts.
    keyring: Keyring
    clock: Callable[[], datetime]
    own_for_reading: Engine | None = None
    """Connections for polls and keys alone; None: they share those of *engine*."""

    @property
    def reading(self) -> Engine:
        """What polls read on, and who may make them: whatever all else waits for, a lock or a place, they do not."""
        return self.own_for_reading or self.engine

    @cached_property
    def vault(self) -> Vault:
        """Where fresh cards wait."""
        return Vault(self.redis, self.keyring, self.settings.vault_ttl_s)

    @cached_property
    def velocity(self) -> Velocity:
        """How often cards were declined, and for whom."""
        return Velocity(self.redis, limit_of(self.settings))

    @cached_property
    def psp_for(self) -> Callable[[Account], Psp]:
        """The PSP of an account, behind the gate that the whole installation calls it through."""
        return guarding(psp_for, Turns(self.redis, terms_of(self.settings)))

    @cached_property
    def records(self) -> Records:
        """How a tenant's accounts did of late."""
        return records.Records(self.redis, terms_of(self.settings)).of

    @cached_property
    def doorbell(self) -> Doorbell:
        """Rings for the engine room; reaches for the broker when it is first rung."""
        return Doorbell(self.settings.broker_url.get_secret_value())

    @cached_property
    def admissions(self) -> Together[UUID, Candidate, Holder | None]:
        """Where the orders of a tenant that come at the same moment are written down in one statement."""
        return Together(lambda _, candidates: admission.admit_at_once(self.engine, candidates), at_most=MOST_AT_ONCE)

    @cached_property
    def statuses(self) -> Together[UUID, str, Status | None]:
        """Where the polls of a tenant that come at the same moment are answered from one statement."""
        return Together(lambda tenant, numbers: status.read(self.reading, tenant, numbers), at_most=MOST_AT_ONCE)

    @cached_property
    def crowds(self) -> Crowds:
        """Which tenants send far more than others, as this process sees it."""
        return Crowds(least=self.settings.crowd_orders)

    @cached_property
    def waiting(self) -> Waiting:
        """Who waits for an order to move."""
        return Waiting(self.reading)

    @cached_property
    def streams(self) -> Streams:
        """Whose streams end when their key is revoked."""
        return Streams(self.redis)

    @cached_property
    def outlooks(self) -> Outlooks:
        """How long orders that wait have still to wait."""
        return Outlooks(impatient(self.redis))

    @cached_property
    def terms(self) -> Terms:
        """What settling needs to know."""
        return Terms(self.keyring, timedelta(seconds=self.settings.challenge_life_s))
