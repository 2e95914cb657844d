"""A PSP behind its gate: every call takes its turn and leaves word of how it ended, whatever adapter makes it.

Steps and routes talk to it as to any PSP. What may not go now is answered as what it is: NotSent where nothing was to
be charged yet, Unanswered where something may have been before, each with the moment it may go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import (
    PACED,
    Declined,
    KeepOutcome,
    LookUpOutcome,
    NotSent,
    PaymentOutcome,
    ReturnOutcome,
    Unanswered,
)
from shared.observe.metrics import call_took
from shared.observe.traces import tracing
from shared.psp.port import Account, Capabilities, ChargePage, ChargeQuery, ChargeRequest, Psp, PspEvent
from shared.psp.record import counts_for
from shared.psp.traffic.gate import Ended
from shared.psp.traffic.lane import Errand, Later, PspLane
from shared.psp.traffic.scripts import End
from shared.psp.traffic.turns import Turn, Turns, held

ALONE_S: Final = 1.0
"""How long a PSP is left alone after a 429 that does not say for how long."""
LONGEST_ALONE_S: Final = 60.0
"""What we believe of one that does: a minute of no calls at all can be told again."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GuardedPsp:
    """One account at one PSP, behind the gate of its lane."""

    psp: Psp
    lane: PspLane
    turns: Turns
    adapter: str

    @property
    def capabilities(self) -> Capabilities:
        """What this PSP can do."""
        return self.psp.capabilities

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Take the amount of *request*; NotSent also while it is not its turn."""
        calls = self.capabilities.calls_of(card=request.card is not None, keeps=request.keep_method)
        return self._call("charge", Errand.NEW, lambda: self.psp.charge(request), NotSent, _of_charge, calls)

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """What the PSP knows of one attempt; Unanswered also while it is not its turn."""
        return self._call("look_up", Errand.AT_ONCE, lambda: self.psp.look_up(query), Unanswered, _of_question)

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:
        """A page of this account's charges."""
        ask = lambda: self.psp.charges_since(since, after=after)  # noqa: E731
        return self._call("charges_since", Errand.AT_ONCE, ask, Unanswered, _of_question)

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        """Cancel an open or captured charge."""
        ask = lambda: self.psp.void(reference, psp_key=psp_key)  # noqa: E731
        return self._call("void", Errand.AT_ONCE, ask, Unanswered, _of_question)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        """Give *money* of a capture back."""
        ask = lambda: self.psp.refund(reference, money, psp_key=psp_key)  # noqa: E731
        return self._call("refund", Errand.AT_ONCE, ask, Unanswered, _of_question)

    def keep_card(self, card: Card, *, customer_urn: str, psp_key: str) -> KeepOutcome:
        """Tokenize a card without charging it."""
        ask = lambda: self.psp.keep_card(card, customer_urn=customer_urn, psp_key=psp_key)  # noqa: E731
        calls = self.capabilities.calls_of(card=True, keeps=True)
        return self._call("keep_card", Errand.AT_ONCE, ask, NotSent, _of_question, calls)

    def forget_token(self, token: str) -> bool:
        """Remove a kept method; False also while it is not its turn."""
        return self._call(
            "forget_token",
            Errand.AT_ONCE,
            lambda: self.psp.forget_token(token),
            lambda _why, _due_in: False,
            lambda gone: End.ANSWERED if gone else End.UNHEARD,
        )

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> PspEvent:
        """Verify a webhook and say what it tells; calls nobody."""
        return self.psp.read_event(headers, body, now=now)

    def _call(
        self,
        verb: str,
        errand: Errand,
        ask: Callable[[], T],
        refused: Callable[[str, timedelta], T],
        end_of: Callable[[T], End],
        calls: int = 1,
    ) -> T:
        if (mine := held(self.lane)) is not None:
            return self._ask(verb, mine, ask, refused, end_of)
        own = self.turns.turn(self.lane.taking(calls), errand)
        if isinstance(own, Later):
            return refused(own.why, own.due_in)
        with own:
            return self._ask(verb, own, ask, refused, end_of)

    def _ask(
        self,
        verb: str,
        given: Turn,
        ask: Callable[[], T],
        refused: Callable[[str, timedelta], T],
        end_of: Callable[[T], End],
    ) -> T:
        turn = self.turns.in_time(given)
        if isinstance(turn, Later):
            return refused(turn.why, turn.due_in)
        began = time.monotonic()
        with tracing().call(self.adapter, verb) as span:
            said = ask()
            took_s = time.monotonic() - began
            end = End.PACED if _is_paced(said) else end_of(said)
            span.ended(end.name.lower())
        call_took(self.adapter, verb, end.name.lower(), took_s)
        place = self.turns.ended(self.lane, Ended(end, round(1_000 * took_s), turn.is_probe, _alone_s(said)))
        if end is End.PACED and isinstance(said, NotSent | Unanswered):
            return replace(said, retry_after=place)
        return said


def guarding(psp_for: Callable[[Account], Psp], turns: Turns) -> Callable[[Account], GuardedPsp]:
    """*psp_for*, each of its PSPs behind its gate."""

    def guarded(account: Account) -> GuardedPsp:
        psp = psp_for(account)
        return GuardedPsp(psp, PspLane.of(account, psp.capabilities), turns, account.adapter)

    return guarded


def _is_paced(said: object) -> bool:
    return isinstance(said, NotSent | Unanswered) and said.why == PACED


def _alone_s(said: object) -> float:
    asked = said.retry_after if isinstance(said, NotSent | Unanswered) else None
    return min(LONGEST_ALONE_S, asked.total_seconds()) if asked is not None else ALONE_S


def _of_charge(outcome: PaymentOutcome) -> End:
    match outcome:
        case NotSent():
            return End.NOT_SENT
        case Unanswered():
            return End.UNANSWERED
        case Declined() if counts_for(outcome) is None:
            return End.HARD
        case Declined():
            return End.SOFT
        case _:
            return End.GOOD


def _of_question(answer: object) -> End:
    return End.UNHEARD if isinstance(answer, NotSent | Unanswered) else End.ANSWERED
