"""Every setting of the system, its default and the reason for its number.

Read once, from the environment, by the door of each process (api.main, workers.main, c2a); everything below is
built from arguments. The three addresses carry the names operators expect (DATABASE_URL, BROKER_URL, VAULT_URL);
all else starts with C2A_.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.tenant_events import MOST_KEPT_DAYS

_SHORTEST_MONTH_DAYS: Final = 28


class Mode(StrEnum):
    """Development may use a generated keyring and plain HTTP; production may not."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(
        env_prefix="C2A_",
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
        str_strip_whitespace=True,  # A secret that was written as a line ends with it.
    )

    database_url: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1:5432/c2a"), validation_alias="DATABASE_URL"
    )
    """PostgreSQL 15 to 18, as postgresql://user:password@host:port/name."""
    broker_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), validation_alias="BROKER_URL")
    """Redis (AOF, noeviction) or RabbitMQ."""
    vault_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6380/0"), validation_alias="VAULT_URL")
    """A Redis of its own that persists nothing: it holds sealed cards for minutes, rate limits and poll counts."""

    mode: Mode = Mode.DEVELOPMENT
    public_url: str = "http://127.0.0.1:8080"
    """Where shoppers and storefronts reach us: minted into followUpUrl and the PSP's return address."""
    proxies: int = Field(default=0, ge=0, le=9)
    """How many proxies of yours stand one behind the other before the API, each adding to X-Forwarded-For: the console
    counts tries to log in by the address that the outermost saw. 0: that header is whatever a caller wrote."""
    keyring: Path | None = None
    """The file of sealing keys (`c2a keyring create`), followed as it changes; none, here or in keyring_document:
    development only, with a key that dies with the process."""
    keyring_document: SecretStr | None = None
    """What such a file holds, where secrets come by the environment; keys then rotate by a restart."""
    log_level: str = "INFO"

    pool_size: int = 8
    """Database connections a process keeps: commits of 8 wait side by side, more would only queue in PostgreSQL."""
    poll_pool_size: int = 5
    """Those an API process keeps besides, for polls and keys alone: however the others are taken, who asks where an
    order stands is answered. One answers some thousand polls a second; three may be with what is read for who waits."""
    database_wait_s: float = 1.0
    """How long a request waits for a connection before it answers 503 (contract: within 2 s)."""
    database_answer_s: float = 1.5
    """How long a request waits for PostgreSQL's greeting, or for an answer, before it says 503 (contract: within 2 s);
    a lost SYN is sent again after 1 s."""
    statement_timeout_ms: int = 5_000
    """No statement of ours takes a second; one that takes five is stuck."""
    vault_ttl_s: int = 900
    """How long a sealed card may wait for its payment (design: vault TTL 15 min)."""
    offer_life_s: int = 900
    """How long a resolved offer may be ordered, unless the tenant says otherwise (contract section 4)."""
    admission_patience_s: int = 3_600
    """A backlog does not expire an accepted order, but after an hour unlocked it fails with OFFER_EXPIRED."""
    payment_patience_s: int = 86_400
    """An order whose PSP takes no request waits on: a typed card as long as the vault keeps it, all else for a day,
    longer than a PSP is away and not so long that a charge would be a surprise. Then it is cancelled."""
    challenge_life_s: int = 900
    """How long a shopper may take over a challenge; then the PSP is asked, told to cancel, and only then we fail it."""
    crowd_orders: int = Field(default=5, ge=0)
    """More orders of one tenant than that within some 10 s, as one process sees them, and five times what is usual
    among the others, wait in queues of their own (shared/crowds.py); 0: all wait in the same. So few stand before
    everybody else once only, and a worker of 4 places has gone through them in the time of two payments. Beside a
    tenant at fifty times their share 5 moved the others' 95th percentile less than 20 did; and whom it takes for a
    crowd loses nothing by it, as places that nobody else needs are a crowd's as well."""
    declines_per_customer: int = 10
    """Declined cards after which a customer may try no further one (card testing): a shopper has a few cards and
    mistypes a few times; who tests stolen ones has hundreds."""
    declines_per_address: int = 30
    """The same for an address, behind which an office or a mobile network's many shoppers may be."""
    declines_window_s: int = 3_600
    """How long after the first decline they are counted together, and so the longest anybody is kept out."""
    breaker_calls: int = Field(default=20, ge=1)
    """So many calls to an account must have ended within breaker_window_s before its breaker may open, at half of them
    failed: with fewer, one bad minute of one shopper's line would close a shop's PSP."""
    breaker_window_s: float = Field(default=60.0, gt=0)
    """Long enough to hold so many calls of a small shop, short enough that a PSP that fell is noticed while it lies.
    The router's record of an account is fifteen times as long."""
    breaker_open_s: float = Field(default=30.0, gt=0)
    """How long an open breaker keeps new payments away before one of them may try: most restarts and switch-overs of a
    PSP are over by then. Where money is in doubt somebody may try every 5 s."""
    psp_calls_at_once: int = Field(default=220, ge=1)
    """Calls to one account that a process has in hand, waiting for their slot or out. A PSP that hangs holds each for
    up to 15 s: a worker's pool needs more threads than this, or one account's trouble is everybody's."""
    lease_s: int = 4
    """A step's claim on an order; renewed by its process every lease_s / 3, never past lease_limit_s. What a killed
    worker held is taken over 2.7 to 4 s later and at the rescuer's next look: half of it within 5 s."""
    lease_limit_s: int = 30
    """Twice the longest PSP call (15 s): what still runs then is lost."""
    first_patience_s: int = 10
    """A fresh order whose message has not been worked on for this long is rung for again."""
    rescue_period_s: float = 1.0
    """How often the rescuer looks for overdue rows: one read of a partial index where there are none."""
    keys_kept_days: int = Field(default=31, ge=31)
    """How long an idempotency key is kept, and longer while its order is live; callers were promised 31 days."""
    orders_kept_months: int = Field(default=18, ge=0, le=1_200)
    """How long after the end of its month an order is kept; 0: for ever. A direct debit may be taken back for 13
    months, and whoever disputes it comes later still. A month goes as a whole, unless something in it is not at its
    end. `c2a doctor --window` must not look back further: what it holds PSPs' books against is gone then."""
    psp_events_kept_days: int = Field(default=90, ge=0)
    """How long an event of a PSP is known after it had its effect; 0: for ever. PSPs repeat one for some days; Adyen's
    may be sent again by hand for longer. One that comes again after that meets an order that is at its end."""
    offers_kept_days: int = Field(default=31, ge=0)
    """How long an offer is kept after its end, and longer while an order of it is live; 0: for ever. Most are looked at
    and never ordered, so nothing else grows as fast. For so long a late order hears OFFER_EXPIRED, then
    OFFER_NOT_FOUND; what was ordered stands in the order itself."""
    deliveries_kept_days: int = Field(default=31, ge=2, le=MOST_KEPT_DAYS)
    """How long an event that its endpoint did not take is kept, to be sent again: as long as an idempotency key, and
    never for less than the 31 hours it is tried."""
    delivered_kept_days: int = Field(default=7, ge=1)
    """How long one is kept that was taken: who lost a week's events asks for them within the week."""
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    """Where this program tells its metrics, at /metrics and without a key; none: nowhere, and it counts for itself."""
    metrics_host: str = "127.0.0.1"
    """The address of that port: one that only what scrapes can reach."""
    metrics_dir: Path | None = None
    """Where its processes count together, a folder of this program alone; none: one that goes with it."""
    demo_key: SecretStr | None = None
    """A tenant's secret key, with which the shop page at /demo sells (api/demo/door.py); none: there is no page.
    Refused in production, as is the next."""
    demo_status_key: SecretStr | None = None
    """A publishable key of the same tenant: the page gives it to whoever visits it."""
    failpoints: str = ""
    """Where this process is to die (shared/failpoints.py): for tests, refused in production."""
    key_cache_s: float = Field(default=2.0, ge=0, le=3_600)
    """How long a process may believe what it read of an API key or a tenant. Revoking a key does not wait for it."""

    @model_validator(mode="after")
    def _an_order_outlives_its_key(self) -> Settings:
        if self.orders_kept_months and self.keys_kept_days >= _SHORTEST_MONTH_DAYS * self.orders_kept_months:
            raise ValueError("orders_kept_months: an order is to outlive its key (keys_kept_days)")
        return self

    @model_validator(mode="after")
    def _what_was_not_taken_is_kept_the_longest(self) -> Settings:
        if self.delivered_kept_days > self.deliveries_kept_days:
            raise ValueError("delivered_kept_days: at most deliveries_kept_days")
        return self

    @model_validator(mode="after")
    def _no_demo_in_production(self) -> Settings:
        if self.mode is Mode.PRODUCTION and (self.demo_key or self.demo_status_key):
            raise ValueError("demo_key: the shop page is not for production")
        return self
