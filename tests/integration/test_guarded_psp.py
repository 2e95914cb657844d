"""Every call of every verb takes its turn and leaves word of how it ended, whatever adapter makes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from shared.domain.money import Money
from shared.domain.outcomes import PACED, Absent, Captured, Declined, NotSent, PaymentOutcome, Unanswered
from shared.psp.factory import psp_for
from shared.psp.port import AccountTerms, Capabilities, Psp
from shared.psp.traffic.gate import ring_of
from shared.psp.traffic.guarded import LONGEST_ALONE_S, GuardedPsp, guarding
from shared.psp.traffic.lane import Errand, PspLane
from shared.psp.traffic.scripts import End
from shared.psp.traffic.turns import AWAY, Turn, Turns
from tests.contract.subject import a_request, card, query_of
from tests.support.lanes import IMPATIENT, opens, turns_of
from tests.support.psp import Sandbox, until

VERBS: dict[str, Callable[[Psp], object]] = {
    "charge": lambda psp: psp.charge(a_request()),
    "look_up": lambda psp: psp.look_up(query_of(a_request())),
    "charges_since": lambda psp: psp.charges_since(datetime(2026, 1, 1, tzinfo=UTC)),
    "void": lambda psp: psp.void("sb_unknown", psp_key="v"),
    "refund": lambda psp: psp.refund("sb_unknown", Money(1, "EUR"), psp_key="r"),
    "keep_card": lambda psp: psp.keep_card(card(), customer_urn="cu.00.482", psp_key="k"),
    "forget_token": lambda psp: psp.forget_token("tok_unknown"),
}
REFUSED = {"charge": NotSent, "keep_card": NotSent, "forget_token": bool}


@pytest.fixture
def psp(turns: Turns, shared_psp: Sandbox) -> Iterator[GuardedPsp]:
    """A new account at a healthy sandbox, behind its gate."""
    shared_psp.heal()
    account = replace(shared_psp.account(), provider=shared_psp.account().account_id)  # So that its lane is new.
    yield guarding(psp_for, turns)(account)
    shared_psp.heal()


def counted(redis: Redis, lane: PspLane) -> list[End]:
    """How the calls of *lane* ended so far."""
    slots = [[int(count) for count in slot.split()] for slot in redis.hvals(ring_of(lane.name))]
    return [end for end in End for slot in slots for _ in range(slot[end])]


def test_every_verb_of_the_port_is_tried_here() -> None:
    assert set(VERBS) == {name for name in vars(Psp) if not name.startswith("_")} - {"capabilities", "read_event"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_may_not_go_is_not_made_and_says_when_it_may(psp: GuardedPsp, redis: Redis, verb: str) -> None:
    opens(turns_of(redis, replace(IMPATIENT, breaker_open_s=5.0)), psp.lane)
    before = counted(redis, psp.lane)

    said = VERBS[verb](psp)

    assert isinstance(said, REFUSED.get(verb, Unanswered))
    if isinstance(said, NotSent | Unanswered):
        assert said.why == AWAY
        assert said.retry_after is not None
        assert timedelta(0) < said.retry_after < timedelta(seconds=10)
    else:
        assert said is False
    assert counted(redis, psp.lane) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_nobody_answers_counts_against_the_psp(
    psp: GuardedPsp, shared_psp: Sandbox, redis: Redis, verb: str
) -> None:
    shared_psp.set_faults(down="closed")
    VERBS[verb](psp)
    assert counted(redis, psp.lane) == [End.UNANSWERED if verb == "charge" else End.UNHEARD]


@pytest.mark.parametrize(
    ("number", "end"),
    [
        ("4111111111111111", End.GOOD),
        ("4000002760003184", End.GOOD),
        ("4000007700000067", End.GOOD),
        ("4000000000000002", End.HARD),
        ("4000007700000018", End.SOFT),
        ("4000000000000119", End.UNANSWERED),
        ("4000007700000117", End.PACED),
    ],
    ids=["captured", "challenged", "pending", "declined", "declined softly", "500", "429"],
)
def test_the_end_of_a_charge_is_counted_as_what_it_is(psp: GuardedPsp, redis: Redis, number: str, end: End) -> None:
    psp.charge(a_request(number))
    assert counted(redis, psp.lane) == [end]


def test_a_look_up_that_finds_nothing_is_an_answer(psp: GuardedPsp, redis: Redis) -> None:
    assert psp.look_up(query_of(a_request())) == Absent()
    assert counted(redis, psp.lane) == [End.ANSWERED]


@pytest.mark.parametrize(
    ("told", "alone_s"),
    [(None, 1.0), (timedelta(seconds=7), 7.0), (timedelta(days=1), LONGEST_ALONE_S)],
    ids=["not told", "told", "told too much"],
)
def test_429_is_answered_with_the_moment_the_call_may_be_made(
    psp: GuardedPsp, told: timedelta | None, alone_s: float
) -> None:
    busy = replace(psp, psp=_Busy(psp.psp, NotSent(PACED, told)))
    began = time.monotonic()
    first, second = busy.charge(a_request()), psp.charge(a_request())
    took_s = time.monotonic() - began
    assert isinstance(first, NotSent)
    assert first.retry_after is not None
    assert first.retry_after.total_seconds() == pytest.approx(alone_s, abs=0.1)
    assert isinstance(second, NotSent) or took_s >= alone_s, "whoever comes next is not sent meanwhile"


class _Busy:
    """A PSP that says 429 to a charge."""

    def __init__(self, psp: Psp, said: PaymentOutcome) -> None:
        self._psp, self._said = psp, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._psp, name)

    def charge(self, _request: object) -> PaymentOutcome:
        """As it was told to."""
        return self._said


def test_the_turn_its_caller_holds_is_the_one_of_the_first_call(psp: GuardedPsp, turns: Turns) -> None:
    limited = replace(psp, lane=replace(psp.lane, calls_per_s=0.01))  # Its turn is good for seconds.
    turn = turns.turn(limited.lane, Errand.NEW)
    assert isinstance(turn, Turn)
    with turn:
        assert isinstance(limited.charge(a_request()), Captured)
        assert isinstance(limited.charge(a_request()), NotSent), "the second one has none"


def test_an_account_is_paced_as_agreed_else_as_its_adapter_knows(shared_psp: Sandbox) -> None:
    account = shared_psp.account()
    can = replace(psp_for(account).capabilities, calls_per_s=100.0)
    assert PspLane.of(account, can).calls_per_s == 100.0
    agreed = replace(account, terms=AccountTerms(calls_per_s=5.0))
    assert PspLane.of(agreed, can).calls_per_s == 5.0
    assert PspLane.of(account, psp_for(account).capabilities).calls_per_s is None
    assert isinstance(can, Capabilities)


def test_a_decline_closes_a_breaker_as_well_as_a_capture(turns: Turns, psp: GuardedPsp) -> None:
    opens(turns, psp.lane)

    said = until(lambda: _unless_kept_back(psp.charge(a_request("4000000000000002"))))

    assert isinstance(said, Declined)
    assert isinstance(psp.charge(a_request()), Captured)


def _unless_kept_back(said: PaymentOutcome) -> PaymentOutcome | None:
    return None if isinstance(said, NotSent) else said
