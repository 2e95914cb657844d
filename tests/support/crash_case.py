"""One crash and its aftermath: a tenant of its own on real servers, its client, its PSP, and what each of them says.

The client's word is written down as it is heard, the PSP's and the database's are read at the end; the checker holds
the three against each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from flask import Flask
from redis import Redis
from sqlalchemy import text

from api.app import create_app
from api.parts import Parts
from deploy.crashtest import gather
from deploy.crashtest.checker import check
from deploy.crashtest.records import Call, Database, Poll, Records, Violation
from shared import keyring
from shared.config import Settings
from shared.doctor.examination import Scope
from shared.domain.offers import Offer
from shared.messages import Step
from shared.psp.port import Account
from shared.store import accounts
from shared.store.engine import statements
from shared.store.inbox import EventName
from tests.support import children, crash_jobs, lanes, planted
from tests.support.children import Child
from tests.support.crash_jobs import Heard
from tests.support.drain import Drain
from tests.support.psp import Hook, Receiver, Sandbox, until
from tests.support.selling import Seller, a_seller
from tests.support.storefront import new_correlation
from tests.support.wire import Document, a_request, an_order
from workers import examiner, runtime
from workers.runtime import Runtime
from workers.walk import STEPS

SUBMIT: Final = "/api/v1/c2a/offer/checkout"
PATIENT_REFUSAL: Final = {"message": "try again", "status": {"messageCode": "SERVICE_UNAVAILABLE"}}
"""All that is said of a database that did not do it: no statement, no table, no error of its own."""
PRICE: Final = (1499, "EUR")
"""What the one bundle of every order costs (tests/support/catalogue.py)."""


def settings_in(folder: Path, settings: Settings) -> Settings:
    """The product's settings with waits a test can sit out, and a keyring file all processes share."""
    keyring.save(keyring.fresh(), folder / "keyring.json")
    short = {"keyring": folder / "keyring.json", "lease_s": 1, "challenge_life_s": 60, "pool_size": 4}
    # One customer meets every decline of a case, two hundred in a long run: no card testing.
    return settings.model_copy(update=short | {"declines_per_customer": 10_000})


@dataclass(slots=True)
class Floor:
    """What all cases of a module share: the processes, and this process's own way into them."""

    settings: Settings
    parts: Parts
    run: Runtime
    app: Flask
    sandbox: Sandbox
    broker: Redis
    hooks: Receiver

    def case(self) -> Case:
        """A new tenant with an account at the PSP."""
        account = self.sandbox.account(self.hooks.url)
        seller = a_seller(self.parts, account, rows=self.run.engine)
        return Case(self, replace(account, tenant_id=str(seller.shop.tenant_id)), seller)

    def hang_up(self) -> None:
        """Let go of every connection to a database that is not there any more: the test's hands have no door that
        repeats a step whose connection was cut."""
        for engine in (self.parts.engine, self.run.engine):
            engine.dispose()


@contextmanager
def floor(settings: Settings, sandbox: Sandbox, hooks: Receiver) -> Iterator[Floor]:
    """A floor on these servers."""
    parts, run = crash_jobs.front_door(settings), runtime.build(settings)
    with Redis.from_url(settings.broker_url.get_secret_value()) as broker:
        try:
            yield Floor(settings, parts, run, create_app(parts), sandbox, broker, hooks)
        finally:
            for closing in (parts.doorbell, run.doorbell, run.heartbeat):
                closing.close()
            for engine in (parts.engine, run.engine):
                engine.dispose()
            parts.redis.close()


@dataclass(slots=True)
class Case:
    """One tenant's story."""

    floor: Floor
    account: Account
    seller: Seller
    calls: list[Call] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    bug: str = ""
    """Planted in every child (tests/support/planted.py)."""
    others: list[Account] = field(default_factory=list)
    """Its further accounts at the PSP, each under a name of its own."""
    _hooks: defaultdict[tuple[str, str], list[Hook]] = field(default_factory=lambda: defaultdict(list))
    """Webhooks that nobody has asked for yet, by what they are about: several may come before the first is wanted."""

    @property
    def drain(self) -> Drain:
        """The engine room that ends the story."""
        return Drain(self.floor.run, self.floor.broker, self.seller.shop.tenant_id)

    def open_second_account(self) -> None:
        """Give the tenant another account, asked after its first."""
        account = replace(self.floor.sandbox.account(), tenant_id=str(self.seller.shop.tenant_id), provider="second")
        with self.floor.run.engine.begin() as conn:
            accounts.save(conn, self.floor.parts.keyring, account, rank=accounts.RANK + 1)
        self.others.append(account)

    def document(self, payment: Document, *, offer: Offer | None = None, key: str | None = "new") -> Document:
        """An order of one bundle; under a new correlationId unless *key* says otherwise."""
        named = {"correlationId": new_correlation() if key == "new" else key} if key else {}
        sold = offer or self.seller.offer()
        return a_request(an_order(sold.offer_identifier, "cu.00.482", **named), payment)

    def submit(self, document: Document) -> Heard:
        """The client's POST, to a door that stands."""
        with self.floor.app.test_client() as client:
            asked: dict[str, Any] = {"json": document, "headers": self.seller.shop.headers}
            return self.note(document, crash_jobs.heard_of(client.post(SUBMIT, **asked)))

    def accepted(self, payment: Document, **how: Any) -> str:
        """An accepted order; its tracking number."""
        status, answer, _ = self.submit(self.document(payment, **how))
        assert status == 202, answer
        assert answer is not None
        return str(answer["trackingNumber"])

    def accepted_unheard(self, payment: Document) -> str:
        """An accepted order whose ring reached the broker, and was lost with all the broker held."""
        self.floor.broker.flushdb()
        number = self.accepted(payment)
        self.lose_what_was_rung()
        return number

    def lose_what_was_rung(self) -> None:
        """Empty the broker, once it has what was rung for: a ring is on its way when whoever rang goes on."""
        until(lambda: self.floor.broker.dbsize(), seconds=20)
        self.floor.broker.flushdb()

    def submitting(self, document: Document, failpoints: str) -> Child:
        """The same POST to a process with *failpoints*; hand the child to `heard_from` once it has ended."""
        asked = {"json": document, "headers": self.seller.shop.headers}
        return self._start(crash_jobs.request, self._armed(failpoints), "POST", SUBMIT, asked)

    def heard_from(self, child: Child, document: Document) -> int:
        """Write down what the client heard from *child*; its exit code."""
        code, answer = child.ended(), child.answer()
        self.note(document, (0, None, {}) if answer == children.GONE else answer)
        return code

    def calling(self, method: str, path: str, failpoints: str, **more: Any) -> Child:
        """Any other request to a process with *failpoints*."""
        return self._start(crash_jobs.request, self._armed(failpoints), method, path, more)

    def working(self, step: Step, number: str, failpoints: str, **settings: Any) -> Child:
        """A worker process with *failpoints* that takes the message for *step*."""
        return self._start(crash_jobs.work, self._armed(failpoints, **settings), step, number)

    def walking(self, number: str, failpoints: str) -> Child:
        """A worker process with *failpoints* that serves every queue, and takes an admitted order to its end."""
        return self._start(crash_jobs.walk_to_the_end, self._armed(failpoints), Step.LOCK_OFFER, number)

    def refunding(self, number: str, failpoints: str, *, action_id: UUID, amount_minor: int) -> Child:
        """An operator's process with *failpoints* that refunds *amount_minor* of a done order."""
        asked = (self.seller.shop.tenant_id, number, action_id, amount_minor)
        return self._start(crash_jobs.refund, self._armed(failpoints), *asked)

    def replaying(self, hook: Hook, failpoints: str, *, action_id: UUID) -> Child:
        """An operator's process with *failpoints* that tells *hook*, which was kept, again."""
        name = EventName(self.seller.shop.tenant_id, self.account.provider, str(hook.event["id"]))
        return self._start(crash_jobs.replay, self._armed(failpoints), name, action_id)

    def rescuing(self, failpoints: str) -> Child:
        """An upkeep process with *failpoints* that looks once."""
        return self._start(crash_jobs.rescue, self._armed(failpoints))

    def releasing(self, failpoints: str) -> Child:
        """An upkeep process with *failpoints* that settles news that came early."""
        return self._start(crash_jobs.release, self._armed(failpoints))

    def telling(self, failpoints: str) -> Child:
        """An upkeep process with *failpoints* that tells tenants what happened."""
        return self._start(crash_jobs.tell, self._armed(failpoints))

    def reconciling(self, failpoints: str) -> Child:
        """An upkeep process with *failpoints* that examines this tenant once."""
        return self._start(crash_jobs.reconcile, self._armed(failpoints), self._scope)

    def reconcile(self) -> None:
        """An upkeep process that lives examines this tenant, as it does by the minute."""
        # A process that died lets go of its turn once PostgreSQL has noticed.
        until(lambda: examiner.examine_alone(self.floor.run, self._scope) is not None, seconds=20)

    @property
    def _scope(self) -> Scope:
        """What the PSP's books say now: nobody in a test waits for the minute in which news may be on its way."""
        return Scope(timedelta(hours=1), 60.0, self.seller.shop.tenant_id, news_within=timedelta(0))

    def call(self, method: str, path: str, **more: Any) -> Heard:
        """Any other request of the client, to a door that stands."""
        with self.floor.app.test_client() as client:
            return crash_jobs.heard_of(client.open(path, method=method, headers=self.seller.shop.headers, **more))

    def step(self, step: Step, number: str) -> None:
        """A worker that lives takes the message for *step*."""
        STEPS[step](self.floor.run, number)

    def hook(self, number: str, kind: str) -> Hook:
        """The webhook of *kind* about an order, delivered to us and not yet to the product."""
        wanted = (kind, self.reference(number))

        def came() -> list[Hook]:
            arrived = self.floor.hooks.hooks
            for hook in [arrived.get() for _ in range(arrived.qsize())]:
                self._hooks[_about(hook)].append(hook)
            return self._hooks[wanted]

        return until(came, seconds=20).pop(0)

    def tell(self, hook: Hook, failpoints: str) -> Child:
        """Deliver *hook* to a process with *failpoints*."""
        return self.calling("POST", self._webhook, failpoints, data=hook.body, headers=_signed(hook))

    def tell_here(self, hook: Hook) -> int:
        """Deliver *hook* to a door that stands; the status it answers."""
        return self.told_here(hook)[0]

    def told_here(self, hook: Hook) -> Heard:
        """The same; all it answers."""
        with self.floor.app.test_client() as client:
            return crash_jobs.heard_of(client.post(self._webhook, data=hook.body, headers=_signed(hook)))

    @property
    def _webhook(self) -> str:
        return f"/api/v1/c2a/psp/sandbox/{self.account.account_id}/webhook"

    def reference(self, number: str) -> str:
        """What the PSP calls the order."""
        return str(self._one("SELECT coalesce(correlation_id, tracking_number) FROM orders", number))

    def state(self, number: str) -> str:
        """Where the order stands in the database."""
        return str(self._one("SELECT state FROM orders", number))

    def is_leased(self, number: str) -> bool:
        """Whether somebody's lease on the order runs."""
        return bool(self._one("SELECT coalesce(lease_until > now(), false) FROM orders", number))

    def redirect(self, number: str) -> str:
        """Where the order's shopper was sent."""
        return str(self._one("SELECT redirect ->> 'redirectUrl' FROM orders", number))

    def forget_traffic(self) -> None:
        """Let the calls to the PSP so far be nobody's memory."""
        lanes.forget(self.floor.run.vault.redis, self.account)

    def let_pass(self, seconds: float) -> None:
        """Make *seconds* of waiting pass."""
        self.drain.let_pass(timedelta(seconds=seconds))

    def _one(self, query: str, number: str) -> Any:
        with statements(self.floor.run.engine) as conn:
            return conn.execute(text(f"{query} WHERE tracking_number = :number"), {"number": number}).scalar_one()

    def violations(self, *, rescuing: bool = True, within_s: float = 20.0) -> list[Violation]:
        """Let the product recover by its own means, ask it as a client would, and judge."""
        self.drain.until_over(within_s=within_s, rescuing=rescuing)
        for number in {call.tracking_number for call in self.calls if call.tracking_number}:
            self.poll(number)
        return check(self.records())

    def poll(self, number: str) -> str:
        """What a poller hears of the order."""
        with self.floor.app.test_client() as client:
            answer = client.get(f"{SUBMIT}/{number}/status", headers=self.seller.shop.headers)
        code = str(answer.get_json()["status"]["messageCode"])
        version = answer.headers.get("ETag", "").strip('W/"').partition("-")[0]
        self.polls.append(Poll(number, code, int(version) if version else None))
        return code

    def records(self) -> Records:
        """The three records of this tenant."""
        tenant = str(self.seller.shop.tenant_id)
        found = gather.database(self.floor.settings.database_url.get_secret_value())
        return Records(
            calls=self.calls,
            polls=self.polls,
            charges=gather.charges(
                [row for account in (self.account, *self.others) for row in self.floor.sandbox.charges(account)]
            ),
            database=_of_tenant(found, tenant),
            cards=[card for card in gather.cards(self.floor.parts.redis) if card.tenant == tenant],
            vault_ttl_s=self.floor.settings.vault_ttl_s,
        )

    def _start(self, job: Callable[..., Any], *args: Any) -> Child:
        return children.start(planted.run, self.bug, job, *args)

    def _armed(self, failpoints: str, **settings: Any) -> Settings:
        return self.floor.settings.model_copy(update={"failpoints": failpoints, **settings})

    def note(self, document: Document, heard: Heard) -> Heard:
        """Write down what the client heard to a POST of *document*."""
        status, answer, _ = heard
        order = document["order"]
        number = (answer or {}).get("trackingNumber")
        self.calls.append(
            Call(
                tenant=str(self.seller.shop.tenant_id),
                key=order.get("correlationId"),
                offer=order["offerIdentifier"],
                customer=order["customer"]["customerUrn"],
                status=status or None,
                tracking_number=number,
            )
        )
        return heard


def _about(hook: Hook) -> tuple[str, str]:
    """The kind of a webhook, and what the PSP calls its order."""
    event = hook.event
    return event["type"], event["charge"]["merchantReference"]


def _signed(hook: Hook) -> dict[str, str]:
    """The headers a webhook is verified by."""
    return {name: text for name, text in hook.headers.items() if name.lower().startswith("webhook-")}


def _of_tenant(found: Database, tenant: str) -> Database:
    """What of *found* is *tenant*'s."""
    orders = [order for order in found.orders if order.tenant == tenant]
    ours = {order.tracking_number for order in orders}
    return replace(
        found,
        orders=orders,
        events=[event for event in found.events if event.tracking_number in ours],
        attempts=[attempt for attempt in found.attempts if attempt.tenant == tenant],
        methods=[method for method in found.methods if method.tenant == tenant],
        keys={name: number for name, number in found.keys.items() if name[0] == tenant},
        holds={name: number for name, number in found.holds.items() if name[0] == tenant},
        parked=frozenset(name for name in found.parked if name[0] == tenant),
    )
