"""What a child does before it dies: one request through the real app, one step of the real engine room, one rescue.

Everything is built as the product's own doors build it, from settings; only the transport is left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from api.app import create_app
from api.parts import Parts
from shared import failpoints, keyrings, vault
from shared.config import Settings
from shared.doctor.examination import Scope
from shared.messages import CHAIN_FROM, Step, queues
from shared.operate import actions, news
from shared.operate.asking import Asked
from shared.store.engine import create_engine
from shared.store.inbox import EventName
from shared.store.row_security import Role
from tests.support.desks import desk_beside
from tests.support.wire import Document
from workers import examiner, rescuer, runtime
from workers.release import Releases
from workers.telling import Teller
from workers.walk import STEPS, walk

Heard = tuple[int, Document | None, dict[str, str]]
"""What a client hears: status, document, headers."""


def front_door(settings: Settings) -> Parts:
    """The parts of an API process, as api/server.py builds them."""
    failpoints.arm(settings.failpoints, settings.mode)
    return Parts(
        settings=settings,
        engine=create_engine(settings, answer_within_s=settings.database_answer_s, role=Role.API),
        redis=vault.connect(settings.vault_url.get_secret_value()),
        keyring=keyrings.of(settings),
        clock=lambda: datetime.now(UTC),
    )


def request(settings: Settings, method: str, path: str, more: dict[str, Any]) -> Heard:
    """One request through the real application."""
    parts = front_door(settings)
    with create_app(parts).test_client() as client:
        heard = heard_of(client.open(path, method=method, **more))
    parts.doorbell.close()
    return heard


def heard_of(answer: TestResponse) -> Heard:
    """What the client heard."""
    return answer.status_code, answer.get_json(silent=True), dict(answer.headers)


def work(settings: Settings, step: Step, tracking_number: str) -> bool | None:
    """One step, as a worker runs it; whether the chain goes on."""
    run = runtime.build(settings)
    goes_on = STEPS[step](run, tracking_number)
    run.doorbell.close()
    return goes_on


def walk_to_the_end(settings: Settings, step: Step, tracking_number: str) -> bool:
    """*step* and those after it, as a worker runs them that serves every queue; whether none was left to ring for."""
    run = runtime.build(settings)
    later = [{"task": str(one)} for one in reversed(CHAIN_FROM[step][1:])]
    left = walk(run, step, tracking_number, later, queues())
    run.doorbell.close()
    return not left


def refund(settings: Settings, tenant_id: UUID, tracking_number: str, action_id: UUID, amount_minor: int) -> str:
    """An operator's refund of a done order; what it came to."""
    run = runtime.build(settings)
    by = Asked("Ana", "withdrawn", action_id)
    acted = actions.refund(desk_beside(run), tenant_id, tracking_number, by, amount_minor)
    run.doorbell.close()
    return acted.outcome.value


def replay(settings: Settings, name: EventName, action_id: UUID) -> str:
    """An operator tells a kept event again; what it came to."""
    run = runtime.build(settings)
    acted = news.replay(desk_beside(run), name, Asked("Ana", "the order is there now", action_id))
    run.doorbell.close()
    return acted.outcome.value


def release(settings: Settings) -> int:
    """One release of parked news."""
    run = runtime.build(settings)
    released = Releases().round(run)
    run.doorbell.close()
    return released


def tell(settings: Settings) -> None:
    """One round of telling tenants what happened, to its end."""
    run = runtime.build(settings)
    teller = Teller(run)
    teller.round(1)
    teller.close()
    run.doorbell.close()


def reconcile(settings: Settings, scope: Scope) -> bool:
    """One examination; whether it was this process's."""
    run = runtime.build(settings)
    report = examiner.examine_alone(run, scope)
    run.doorbell.close()
    return report is not None


def rescue(settings: Settings) -> int:
    """One look of the rescuer."""
    run = runtime.build(settings)
    rung = rescuer.rescue(run)
    run.doorbell.close()
    return rung
