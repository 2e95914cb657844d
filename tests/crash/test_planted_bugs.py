"""A check that never fails proves nothing: each planted bug turns its check red, every time, and is the only reason.

Every scene runs twice: as the product is, where nothing may be found, and with the bug, where the checker has to
name the promise that was broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, cast

import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis

from deploy.crashtest.leaks import leaks
from deploy.crashtest.records import Violation
from shared.failpoints import Failpoint
from shared.messages import Step
from tests.crash import beginnings, scenarios
from tests.crash.test_stopped_workers import stale_no, wake
from tests.support import commit_cutter, crash_case
from tests.support.commit_cutter import Cutter
from tests.support.crash_case import Case
from tests.support.forgetful import filters_forgotten
from tests.support.own_postgres import own_postgres
from tests.support.planted import BUGS, planted
from tests.support.psp import until
from tests.support.wire import GOOD_CARD, channel
from workers.rescuer import look

Scene = Callable[[Case], list[Violation]]


def a_stale_no(case: Case) -> list[Violation]:
    """A worker wakes past its lease with a no, while its heir has a yes."""
    _, first, second = stale_no(case)
    wake(first)
    wake(second)
    return case.violations()


def a_death_after_the_charge(case: Case) -> list[Violation]:
    """The worker dies between the PSP's answer and its commit."""
    scenarios.paying(case, Failpoint.PAY_AFTER_CALL)
    return case.violations()


def an_answer_lost(case: Case) -> list[Violation]:
    """The PSP takes the money and is cut off."""
    number = beginnings.locked(case, beginnings.ANSWER_LOST_CARD)
    case.step(Step.PAY, number)
    return case.violations()


def a_late_success(case: Case) -> list[Violation]:
    """The PSP takes the money of an order that has failed."""
    beginnings.captured_after_a_no(case)
    return case.violations()


def a_late_success_unheard(case: Case) -> list[Violation]:
    """The same, and its webhook is lost: only the PSP's books know."""
    beginnings.captured_unheard(case)
    case.reconcile()
    return case.violations()


def an_old_webhook_again_and_again(case: Case) -> list[Violation]:
    """A PSP that tells by the half hour that a payment is pending, and whose "captured" was lost.

    Once the hour is over in which it was to be asked (shared/patience.py), it is asked.
    """
    number = beginnings.locked_by(case, channel("SEPA"))
    case.step(Step.PAY, number)
    pending = case.hook(number, "charge.pending")
    case.hook(number, "charge.captured")
    for _ in range(3):
        case.let_pass(30 * 60)
        assert case.tell_here(pending) == 200
        look(case.floor.run, 1)
        case.drain.work_off()
    return case.violations(within_s=1)


def a_crash_of_the_database(case: Case) -> list[Violation]:
    """PostgreSQL is killed right after it said that an order is committed."""
    with own_postgres() as database:
        settings = case.floor.settings.model_copy(update={"database_url": SecretStr(database.url)})
        with crash_case.floor(settings, case.floor.sandbox, case.floor.hooks) as floor:
            here = replace(floor.case(), bug=case.bug)
            with psycopg.connect(database.url) as durable:
                durable.execute("UPDATE tenants SET name = name")  # And with it, all that was written before it.
            database.stop_writing()
            here.accepted(beginnings.pay_with())
            database.kill()
            database.start()
            floor.hang_up()
            return here.violations(within_s=5 if case.bug else 20)  # What is lost is waited for in vain.


def a_ring_lost(case: Case) -> list[Violation]:
    """The broker forgets its queue."""
    case.accepted_unheard(beginnings.pay_with())
    return case.violations(within_s=10)


def a_late_commit(case: Case) -> list[Violation]:
    """The connection is cut before the admitting statement arrives; the call has no key of its own."""
    with cut_off(case) as (behind, cutter):
        document = case.document(beginnings.pay_with(), offer=case.seller.offer(single_use=False), key=None)
        cutter.cut_at("INSERT INTO idempotency_keys", late=True)
        behind.submit(document)
        cutter.arrived()
    return case.violations()


def a_look_into_the_queues(case: Case) -> list[Violation]:
    """Somebody reads what the broker holds."""
    case.accepted(beginnings.pay_with())
    until(lambda: case.floor.broker.dbsize(), seconds=20)
    return leaks(content(case.floor.broker), [GOOD_CARD])


def a_forgotten_tenant(case: Case) -> list[Violation]:
    """A statement that forgot its tenant looks for another tenant's order."""
    with crash_case.floor(case.floor.settings, case.floor.sandbox, case.floor.hooks) as floor:
        here, other = floor.case().seller, floor.case()
        number = other.accepted(beginnings.pay_with())
        with filters_forgotten(floor.parts.engine) as forgotten:
            told = here.app.test_client().get(f"/api/v1/c2a/offer/checkout/{number}/status", headers=here.shop.headers)
        assert forgotten
        shown = [] if told.status_code == 404 else [Violation("I6", number, "another tenant was told of it")]
        return other.violations() + shown


SCENES: Final[Mapping[str, tuple[Scene, set[str]]]] = {
    "no fencing": (a_stale_no, {"A5"}),
    "a new PSP key on retry": (a_death_after_the_charge, {"I1", "I3", "I11"}),
    "timeout taken as failed": (an_answer_lost, {"I3", "I11"}),
    "late success dropped": (a_late_success, {"I3", "I11"}),
    "no reconciliation": (a_late_success_unheard, {"I3", "I11"}),
    "no rescuer": (a_ring_lost, {"I2"}),
    "a SELECT probe after a cut COMMIT": (a_late_commit, {"I10"}),
    "a PAN in task arguments": (a_look_into_the_queues, {"I7"}),
    "no row-level security": (a_forgotten_tenant, {"I6"}),
    "synchronous_commit off": (a_crash_of_the_database, {"I2", "I10"}),
    "webhooks not deduplicated": (an_old_webhook_again_and_again, {"I2", "I11"}),
}
"""Each bug, the scene that it spoils, and the promises it breaks there."""


def test_every_bug_has_its_scene() -> None:
    assert set(SCENES) == set(BUGS)


@pytest.mark.parametrize("bug", SCENES)
def test_the_scene_alone_breaks_nothing(case: Case, bug: str) -> None:
    scene, _ = SCENES[bug]
    assert scene(case) == []


@pytest.mark.parametrize("bug", SCENES)
def test_a_planted_bug_is_found(case: Case, bug: str) -> None:
    scene, broken = SCENES[bug]
    with planted(bug):
        found = scene(replace(case, bug=bug))
    assert {violation.invariant for violation in found} == broken


@contextmanager
def cut_off(case: Case) -> Iterator[tuple[Case, Cutter]]:
    """The same case, its front door behind a proxy that can cut."""
    settings = case.floor.settings
    with commit_cutter.before(settings.database_url.get_secret_value()) as cutter:
        through = settings.model_copy(update={"database_url": SecretStr(cutter.url)})
        with crash_case.floor(through, case.floor.sandbox, case.floor.hooks) as floor:
            yield replace(case, floor=floor), cutter


def content(broker: Redis) -> dict[str, bytes]:
    """Everything in the broker, by queue."""
    names = cast("list[bytes]", broker.keys())
    queues = [name for name in names if broker.type(name) == b"list"]
    return {name.decode(): b"\n".join(cast("list[bytes]", broker.lrange(name, 0, -1))) for name in queues}
