"""The naive way's workers: a chain of three tasks, an ORM session a step, results kept, as Celery's guide shows it.

`celery -A deploy.measure.rivals.naive_tasks worker -Q naive-lock`. It does the steps of an order as a team writes them
that has not met a failure yet: no lease, no write-ahead, no event, one commit a step.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Final

from celery import Celery, chain, signals
from kombu.entity import Queue
from sqlalchemy import create_engine, func, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from deploy.measure.at_once import psp_for
from deploy.measure.goods import CARD
from deploy.measure.rivals.naive_rows import NaiveOrder, NaivePayment
from shared import keyring
from shared.config import Settings
from shared.domain.money import Money
from shared.domain.outcomes import Captured
from shared.psp.port import Account, Channel, ChargeRequest, Psp
from shared.store import accounts
from shared.store.engine import create_engine as product_engine

QUEUES: Final = {"lock": "naive-lock", "pay": "naive-pay", "finish": "naive-finish"}
READY_FILE: Final = "BENCH_READY_FILE"
"""Where a worker says that it is connected."""


def create(settings: Settings) -> Celery:
    """The app, as its workers and its front door have it; without results where a call says so."""
    url = settings.broker_url.get_secret_value()
    app = Celery("naive", broker=url, backend=url, set_as_current=False)
    app.conf.task_queues = [Queue(name) for name in QUEUES.values()]  # type: ignore[no-untyped-call]
    app.conf.task_default_queue = QUEUES["lock"]
    parts = _Parts(settings)
    for name, work in (("lock", _lock), ("pay", _pay), ("finish", _finish)):
        app.task(_bound(work, parts), name=f"naive.{name}", queue=QUEUES[name], shared=False)
    signals.worker_ready.connect(lambda **_: _say_ready(), weak=False)
    return app


def ring(app: Celery, tracking_number: str, *, results: bool = True) -> None:
    """Ask for all steps of an order."""
    steps = [app.tasks[f"naive.{name}"].si(tracking_number) for name in QUEUES]
    if not results:
        steps = [step.set(ignore_result=True) for step in steps]
    chain(*steps).apply_async()


class _Parts:
    """What the tasks of one process share, made after its fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engines: dict[int, Any] = {}

    @property
    def engine(self) -> Any:
        """This process's engine, with SQLAlchemy's own defaults."""
        pid = os.getpid()
        if pid not in self._engines:
            url = make_url(self.settings.database_url.get_secret_value()).set(drivername="postgresql+psycopg")
            self._engines[pid] = create_engine(url)
        return self._engines[pid]

    def psp(self, provider: str, tenant_id: Any) -> Psp:
        """The same PSP the product is measured with, by the same adapter."""
        return psp_for(_account(self.settings, provider, tenant_id))


@cache
def _account(settings: Settings, provider: str, tenant_id: Any) -> Account:
    assert settings.keyring is not None, "the stand has one"
    engine = product_engine(settings)
    with engine.connect() as conn:
        account = accounts.get(conn, keyring.load(settings.keyring), tenant_id, provider)
    engine.dispose()
    assert account is not None, "the stand opened it"
    return account


def _bound(work: Any, parts: _Parts) -> Any:
    def run(tracking_number: str) -> str:
        with Session(parts.engine) as session:
            work(parts, session, session.get_one(NaiveOrder, tracking_number))
            session.commit()
        return tracking_number

    return run


def _lock(_: _Parts, session: Session, order: NaiveOrder) -> None:
    row = session.execute(
        text("SELECT snapshot FROM offers WHERE tenant_id = :tenant AND offer_identifier = :offer"),
        {"tenant": order.tenant_id, "offer": order.offer_identifier},
    ).one()
    [item] = row.snapshot["artifactGroups"][0]["items"]
    order.amount_minor = item["price"]["amountMilpieces"] * order.request["items"][0]["quantity"]
    order.currency = row.snapshot["currency"]
    order.state = "offer_locked"


def _pay(parts: _Parts, session: Session, order: NaiveOrder) -> None:
    assert order.amount_minor is not None, "the chain came here by way of lock"
    assert order.currency is not None, "and it set both"
    outcome = parts.psp(order.provider, order.tenant_id).charge(
        ChargeRequest(
            psp_key=f"naive-{order.tracking_number}",
            merchant_reference=order.tracking_number,
            money=Money(order.amount_minor, order.currency),
            channel=Channel.CREDIT_CARD,
            customer_urn=order.customer_urn,
            return_url="https://shop.example/return",
            card=CARD,
        )
    )
    if not isinstance(outcome, Captured):
        raise RuntimeError(f"the PSP said {type(outcome).__name__}")  # noqa: TRY004 - it is the PSP's answer.
    session.add(
        NaivePayment(
            tracking_number=order.tracking_number,
            provider=order.provider,
            reference=outcome.reference,
            amount_minor=order.amount_minor,
            currency=order.currency,
        )
    )
    order.state = "captured"


def _finish(_: _Parts, __: Session, order: NaiveOrder) -> None:
    order.state = "done"
    order.finished_at = func.clock_timestamp()


def _say_ready() -> None:
    if READY_FILE in os.environ:
        Path(os.environ[READY_FILE]).touch()


@cache
def _app() -> Celery:
    return create(Settings())


def __getattr__(name: str) -> Celery:
    """`app`, made when the celery command asks for it: importing this file does nothing."""
    if name == "app":
        return _app()
    raise AttributeError(name)
