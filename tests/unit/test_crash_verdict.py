"""A crash test's verdict: records that were doctored are found out, and a run that proves nothing is not green."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from deploy.crashtest import figures, history, plan
from deploy.crashtest.evidence import Evidence, story
from deploy.crashtest.injector import Struck
from deploy.crashtest.records import Attempt, Call, Charge, Database, Event, Order, Records
from deploy.crashtest.verdict import BROKEN, CLEAN, INVALID, Run, judge

T: Final = "tenant"
START: Final = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
NUMBERS: Final = range(1, 61)
"""One order a second for a minute."""
STEPS: Final = (
    ("admitted", "admitted"),
    ("offer_held", "offer_locked"),
    ("payment_started", "paying"),
    ("payment_captured", "captured"),
    ("storing_skipped", "done"),
)
PROGRAMS: Final = frozenset(
    {"api", "postgres", "redis-broker", "redis-vault", *(f"worker-{queue}" for queue in ("payment", "upkeep"))}
)


def moment(second: float) -> datetime:
    return datetime.fromtimestamp(START + second, UTC)


def lines() -> list[dict[str, Any]]:
    """A minute's history: each order submitted, accepted, polled once in the middle and once at its end."""
    told: list[dict[str, Any]] = []
    for number in NUMBERS:
        name, at, n = f"trk_{number}", START + number, number * 10
        call = {
            "what": "submit",
            "offer": f"of_{number}",
            "customer": "cu.1",
            "key": f"key-{number}",
            "owed": [100, "EUR"],
        }
        told += [
            {"at": at, "n": n, **call, "owed": [100, "EUR"]},
            {"at": at + 0.1, "n": n, "status": 202, "code": "CHECK_OUT_PROCESSING", "trackingNumber": name},
            {"at": at + 0.2, "n": n + 1, "what": "poll", "trackingNumber": name},
            {"at": at + 0.3, "n": n + 1, "status": 200, "code": "CHECK_OUT_PROCESSING", "version": 3},
            {"at": at + 0.4, "n": n + 2, "what": "poll", "trackingNumber": name},
            {"at": at + 0.5, "n": n + 2, "status": 200, "code": "CHECK_OUT_DONE", "version": 5},
        ]
        if number % 20 == 0:  # Whoever is of another tenant asks for it, too.
            told += [
                {"at": at + 0.2, "n": n + 3, "what": "foreign poll", "trackingNumber": name},
                {"at": at + 0.3, "n": n + 3, "status": 404, "code": "ORDERED_ITEM_NOT_FOUND"},
            ]
    return told


def database() -> Database:
    numbers = list(NUMBERS)
    return Database(
        orders=[Order(T, f"trk_{n}", "done", 5, f"of_{n}", "cu.1", f"key-{n}", 100, "EUR") for n in numbers],
        events=[
            Event(f"trk_{n}", version, event, state, moment(n + version / 10))
            for n in numbers
            for version, (event, state) in enumerate(STEPS, start=1)
        ],
        attempts=[Attempt(T, f"trk_{n}", 1, "sandbox", f"psp-{n}", "captured", f"sb_{n}") for n in numbers],
        keys={(T, f"key-{n}"): f"trk_{n}" for n in numbers},
        holds={(T, f"of_{n}"): f"trk_{n}" for n in numbers},
        single_use=frozenset((T, f"of_{n}") for n in numbers),
        tenant_of_account={"acc": T},
    )


def ledger() -> list[Charge]:
    return [Charge(f"sb_{n}", "acc", f"key-{n}", f"psp-{n}", 100, "EUR", "captured", 0, moment(n)) for n in NUMBERS]


def faults(count: int = 14, *, hit: bool = True) -> list[Struck]:
    families = [kind.family for kind in plan.KINDS]
    return [
        Struck(
            kind="kind",
            family=families[n],
            kills=True,
            at=START + n,
            over_at=START + n + 1,
            what="killed",
            reached=1,
            in_flight={"paying": 1},
            holders=1,
            calls_waiting=1,
            hit=hit,
        )
        for n in range(count)
    ]


def verdict(
    told: list[dict[str, Any]] | None = None,
    rows: Database | None = None,
    charges: list[Charge] | None = None,
    struck: list[Struck] | None = None,
    rate: float = 1.0,
) -> tuple[int, set[str], dict[str, Any]]:
    """The exit code, the broken invariants and the report of the clean minute with something else in it."""
    exchanges = history.read(map(json.dumps, lines() if told is None else told))
    records = Records(
        calls=list(history.calls(exchanges, T)),
        polls=list(history.polls(exchanges)),
        charges=ledger() if charges is None else charges,
        database=rows or database(),
    )
    run = Run(1, 60.0, rate, faults() if struck is None else struck, 1.0, [], {})
    judged = judge(run, Evidence(records, exchanges))
    return judged.exit_code, {one["invariant"] for one in judged.document["violations"]}, judged.document


def test_a_minute_that_kept_its_promises_is_clean_and_says_how_sure_that_makes_us() -> None:
    code, broken, report = verdict()
    assert (code, broken, report["orders"], report["bound"]) == (CLEAN, set(), 60, 0.05)
    assert report["namedByAStranger"] == 3


def _without_row(rows: Database) -> Database:
    return replace(rows, orders=rows.orders[1:], events=[e for e in rows.events if e.tracking_number != "trk_1"])


def _second_number(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    asked, answered = told[:2]
    return [*told, asked | {"n": 9_999}, answered | {"n": 9_999, "trackingNumber": "trk_2"}]


def _answered(told: list[dict[str, Any]], what: str, status: int) -> list[dict[str, Any]]:
    place = next(at for at, line in enumerate(told) if line.get("what") == what)
    return [dict(line, status=status) if at == place + 1 else line for at, line in enumerate(told)]


def _went_back(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line | {"version": 8 - line["version"]} if "version" in line else line for line in told]


@pytest.mark.parametrize(
    ("invariant", "doctor"),
    [
        ("I1", lambda: verdict(charges=[*ledger(), replace(ledger()[0], reference="sb_x", key="psp-x")])),
        ("I2", lambda: verdict(rows=_without_row(database()))),
        ("I2", lambda: verdict(told=_answered(lines(), "poll", 404))),
        ("I2", lambda: verdict(told=_answered(lines(), "submit", 500))),
        ("I2", lambda: verdict(told=_answered(lines(), "submit", 409))),
        ("I3", lambda: verdict(charges=ledger()[1:])),
        ("I5", lambda: verdict(told=_went_back(lines()))),
        ("I6", lambda: verdict(told=_answered(lines(), "foreign poll", 200))),
        ("I10", lambda: verdict(told=_second_number(lines()))),
        ("I11", lambda: verdict(charges=[*ledger(), replace(ledger()[0], merchant_reference="nobody", key="psp-x")])),
    ],
)
def test_a_doctored_record_is_found_out(invariant: str, doctor: Callable[[], tuple[int, set[str], Any]]) -> None:
    code, broken, _ = doctor()
    assert code == BROKEN
    assert invariant in broken


@pytest.mark.parametrize(
    ("below", "short"),
    [
        ("orders a second", lambda: verdict(rate=2.0)),
        ("14 faults|11 faults", lambda: verdict(struck=faults(11))),
        ("classes of faults", lambda: verdict(struck=[replace(one, family="API killed") for one in faults()])),
        ("named by a stranger", lambda: verdict(told=[line for line in lines() if line["n"] % 10 != 3])),
        ("hit work in flight", lambda: verdict(struck=[*faults(3), *faults(12, hit=False)])),
    ],
)
def test_a_run_below_its_floor_is_invalid_not_green(
    below: str, short: Callable[[], tuple[int, set[str], dict[str, Any]]]
) -> None:
    code, broken, report = short()
    assert (code, broken) == (INVALID, set())
    assert any(word in reason for reason in report["invalid"] for word in below.split("|"))


def test_a_broken_promise_outweighs_a_run_that_was_too_small() -> None:
    code, _, _ = verdict(rate=2.0, charges=ledger()[1:])
    assert code == BROKEN


def test_orders_that_were_accepted_late_do_not_count_as_fast() -> None:
    """A backlog that is worked off long after the load proves no pace."""
    late = [dict(line, at=line["at"] + 540) if line["n"] >= 600 else line for line in lines()]
    assert figures.pace(history.read(map(json.dumps, late)), 60.0) == pytest.approx(0.1, rel=0.02)
    _, _, report = verdict(told=late)
    assert (report["ordersPerSecond"], report["acceptedPerSecond"]) == (1.0, 0.1)


def test_a_violation_comes_with_the_whole_story_of_its_order() -> None:
    _, _, report = verdict(charges=ledger()[1:])
    told = "\n".join(report["violations"][0]["story"])
    assert "order tenant=" in told
    assert "call tenant=" in told
    assert "payment_captured -> captured" in told
    assert "attempt tenant=" in told
    assert "heard CHECK_OUT_DONE" in told


def test_the_story_of_a_lost_order_is_what_its_client_did() -> None:
    records = Records(calls=[Call(T, "key-1", "of_1", "cu.1", 202, "trk_1")])
    assert story(records, "trk_1") == [
        "call tenant=tenant key=key-1 offer=of_1 customer=cu.1 status=202 tracking_number=trk_1"
    ]


def test_a_call_without_an_answer_stays_in_the_history() -> None:
    exchanges = history.read(json.dumps(line) for line in lines()[:1])
    [call] = history.calls(exchanges, T)
    assert (call.status, call.key, call.tracking_number) == (None, "key-1", None)


def test_a_step_that_was_taken_over_is_measured_from_the_fault_that_took_its_worker() -> None:
    events = [
        Event("trk_1", 3, "payment_started", "paying", moment(10)),
        Event("trk_1", 4, "payment_resumed", "paying", moment(17)),
        Event("trk_2", 3, "payment_started", "paying", moment(13)),
        Event("trk_2", 4, "payment_resumed", "paying", moment(40)),
    ]
    killed = [replace(one, family="worker killed", at=START + 12.0) for one in faults(1)]
    assert figures.taken_over(events, killed) == figures.Spread(1, 5.0, 5.0, 5.0)


@pytest.mark.parametrize("broker", ["redis-broker", "rabbitmq"])
@pytest.mark.parametrize("seed", range(20))
def test_every_kind_of_fault_comes_before_any_comes_twice(seed: int, broker: str) -> None:
    programs = PROGRAMS - {"redis-broker"} | {broker}
    dealt = plan.deal(random.Random(seed), seconds=600, programs=programs)
    deck = {kind.name for kind in plan.KINDS if kind.hurts in programs | plan.OF_NO_PROGRAM}
    assert {planned.kind.name for planned in dealt[: len(deck)]} == deck
    assert max(Counter(planned.kind.name for planned in dealt[: 2 * len(deck)]).values()) == 2


@pytest.mark.parametrize("seed", range(20))
def test_a_minutes_plan_is_above_its_floor_and_ends_in_time(seed: int) -> None:
    dealt = plan.deal(random.Random(seed), seconds=60, programs=PROGRAMS)
    assert len(dealt) >= 12
    assert len({planned.kind.family for planned in dealt}) >= 6
    assert all(planned.at_s + planned.kind.before_end_s <= 60 for planned in dealt)
    assert dealt == plan.deal(random.Random(seed), seconds=60, programs=PROGRAMS)


def test_a_server_that_is_not_the_stacks_own_is_never_hurt() -> None:
    dealt = plan.deal(random.Random(1), seconds=600, programs=PROGRAMS - {"postgres"})
    assert not [planned for planned in dealt if planned.kind.hurts == "postgres"]
