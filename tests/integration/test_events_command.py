"""`c2a events`: what waits in the inbox is seen and settled by hand, once, and nothing is told twice."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, LookUpOutcome
from shared.domain.states import OrderState
from shared.messages import Step
from shared.operate import news
from shared.operate.asking import Asked
from shared.psp.port import EventKind, PspEvent
from shared.store import inbox
from shared.store.attempts import Attempt, AttemptState
from shared.store.inbox import EventName
from shared.store.operator_actions import Acted
from tests.support.engine_room import EngineRoom, captured
from tests.support.operating import a_desk, at_a_shell, c2a, refused, said
from tests.support.psp import Sandbox, until
from workers.pay import pay

BECAUSE = ("--why", "the order is there now")


@pytest.fixture(autouse=True)
def _shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(room, tmp_path):
        yield


def kept(
    room: EngineRoom, outcome: LookUpOutcome | None, *, psp_key: str | None = None, reference: str | None = None
) -> str:
    """An event that was kept and not settled."""
    event_id = f"evt_{uuid.uuid4().hex}"
    event = PspEvent(event_id, EventKind.CHARGE, reference, psp_key, outcome)
    with room.run.engine.begin() as conn:
        assert inbox.keep(conn, room.run.keyring, room.seller.shop.tenant_id, "sandbox", event)
    return event_id


def unclear(room: EngineRoom, psp: Sandbox) -> tuple[str, Attempt, str]:
    """An order nobody answered for, its attempt, and what the PSP calls the charge it made all the same."""
    number = room.locked()
    psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    [row] = [one for one in psp.charges(room.account) if one["merchantReference"] == number]
    return number, room.attempt(number), str(row["pspReference"])


def parked_ids(room: EngineRoom, *more: object) -> list[str]:
    found = said("events", "list", "--tenant", room.seller.shop.tenant_id, "--limit", 200, *more)["events"]
    return [one["eventId"] for one in found]


def test_parked_events_are_listed_a_page_at_a_time(room: EngineRoom) -> None:
    made = [kept(room, Captured(f"sb_{number}", Money(1499, "EUR"))) for number in range(3)]
    mine = parked_ids(room)
    assert mine[-3:] == made
    tenant = ("--tenant", room.seller.shop.tenant_id)
    seen, page = [], said("events", "list", *tenant, "--limit", 2)
    while page["next"]:
        seen += page["events"]
        page = said("events", "list", *tenant, "--limit", 2, "--after", page["next"])
    assert [one["eventId"] for one in (*seen, *page["events"])] == mine
    assert made[0] in c2a("events", "list", *tenant).output


def test_a_replayed_event_is_settled_and_the_next_step_rung_for(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, attempt, reference = unclear(room, shared_psp)
    event = kept(room, captured(attempt, reference), psp_key=attempt.psp_key, reference=number)
    before = room.run.depths.of("tokenization")
    acted = said("events", "replay", event, *BECAUSE)
    assert (acted["outcome"], acted["trackingNumber"]) == ("done", number)
    assert room.state(number) is OrderState.CAPTURED
    assert until(lambda: room.run.depths.of("tokenization") > before), Step.TOKENIZE
    assert event not in parked_ids(room)
    assert [one["action"] for one in said("orders", "show", number)["actions"]] == ["replay webhook"]
    [told] = said("events", "list", "--order", number)["events"]
    assert (told["eventId"], told["told"], bool(told["settledAt"])) == (event, "Captured", True)
    assert said("events", "list", "--psp-reference", reference)["events"][0]["eventId"] == event


def test_a_settled_event_is_not_told_twice(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, attempt, reference = unclear(room, shared_psp)
    event = kept(room, captured(attempt, reference), psp_key=attempt.psp_key)
    said("events", "replay", event, *BECAUSE)
    moves = room.events(number)
    assert "it was settled and had its effect" in refused("events", "replay", event, *BECAUSE)
    assert room.events(number) == moves


def test_an_event_that_names_nobody_is_settled_for_the_order_that_was_named(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number, attempt, reference = unclear(room, shared_psp)
    event = kept(room, captured(attempt, reference))
    assert "name the order with --order" in refused("events", "replay", event, *BECAUSE)
    assert said("events", "replay", event, "--order", number, *BECAUSE)["outcome"] == "done"
    assert room.attempt(number).psp_reference == reference


def test_an_event_is_settled_for_no_order_that_it_speaks_against(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, attempt, _ = unclear(room, shared_psp)
    other, others, its = unclear(room, shared_psp)
    room.tell(others, captured(others, its))
    for event, why in (
        (kept(room, captured(attempt, "sb_x"), psp_key="another"), "another attempt's key"),
        (kept(room, captured(attempt, "sb_y"), reference="another"), "names another order"),
        (kept(room, captured(attempt, its)), "its charge is another order's"),
    ):
        assert why in refused("events", "replay", event, "--order", number, *BECAUSE)
    assert "0 such attempts" in refused(
        "events", "replay", kept(room, captured(attempt, "sb_z")), "--order", number, "--attempt", 7, *BECAUSE
    )
    assert room.state(number) is OrderState.CONFIRMING
    assert room.state(other) is OrderState.CAPTURED


def test_an_event_that_tells_nothing_of_a_charge_is_refused(room: EngineRoom) -> None:
    assert "tells nothing of a charge" in refused("events", "replay", kept(room, None), *BECAUSE)


def test_two_who_replay_one_event_settle_it_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, attempt, reference = unclear(room, shared_psp)
    event = kept(room, captured(attempt, reference), psp_key=attempt.psp_key)
    together = threading.Barrier(2)
    own = a_desk(room)

    def replays(who: str) -> Acted:
        together.wait(10)
        return news.replay(own, EventName(attempt.tenant_id, "sandbox", event), Asked(who, "both were called"))

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(acted.outcome for acted in pool.map(replays, ["Ana", "Ben"]))
    assert outcomes == ["done", "refused"]
    assert room.events(number).count("payment_captured") == 1


def test_a_capture_of_an_order_that_failed_goes_back(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, attempt, reference = unclear(room, shared_psp)
    event = kept(room, captured(attempt, reference), psp_key=attempt.psp_key)
    room.sql("UPDATE payment_attempts SET outcome = 'declined' WHERE tracking_number = :n", n=number)
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )
    document: dict[str, Any] = said("events", "replay", event, *BECAUSE)
    assert document["told"] == "Settled; the order stays failed."
    assert room.attempt(number).outcome is AttemptState.RETURNING


def test_an_unknown_event_or_a_wrong_call_changes_nothing(room: EngineRoom) -> None:
    assert "no such event" in refused("events", "replay", "evt_none", *BECAUSE)
    assert c2a("events", "replay", "evt_none").exit_code == 2
    assert c2a("events", "replay", "evt_none", "--attempt", 1, *BECAUSE).exit_code == 2
    assert c2a("events", "list", "--after", "yesterday").exit_code == 2
    for command in ("list", "replay"):
        told = c2a("events", command, "--help").output
        assert "Exit codes" in told
        assert f"c2a events {command}" in told
