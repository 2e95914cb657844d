"""Chooses the PSP account an order is charged through: who may be asked, and who of them first.

Values in, a ranking with its reasons out: the same values give the same ranking. Whoever may not be asked is left out,
and it is said why. The others are scored (scores.py) and ranked by their score; equal ones stand in the tenant's own
order (rank, then name). An account that took nothing from this order before stands behind all that were not asked.

A forced PSP, and the one that minted a stored token, is the only one that may be asked. Where an order wants its
method kept, who cannot keep it is left out only while somebody else may be asked: a sale comes before a stored card
(design: storing never un-sells an order). Where there is no sale, who cannot keep it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from shared.domain.money import Money
from shared.psp.port import Account, Capabilities, Channel
from shared.psp.record import UNHEARD, Record
from shared.psp.scores import Score, pooled, score


class Why(StrEnum):
    """Why an account may not be asked."""

    NO_ADAPTER = "no adapter of ours serves it"
    CHANNEL = "does not take the channel"
    CURRENCY = "does not take the currency"
    NOT_THE_ONE = "another PSP is the only one that may be asked"
    TRIED = "was asked already"
    ENOUGH = "enough others were asked already"
    AWAY = "its breaker is open"
    KEEPS_NONE = "keeps no methods"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An enabled account of the tenant. *capabilities*: None where no adapter of ours serves it."""

    account: Account
    capabilities: Capabilities | None
    record: Record = UNHEARD


@dataclass(frozen=True, slots=True)
class Need:
    """What an order, or a card to be kept, needs of its PSP."""

    channel: Channel
    money: Money | None = None
    """What is to be charged; None: nothing, a card is only to be kept."""
    provider: str | None = None
    """The only PSP that may be asked: it was forced, or has the token."""
    keep_method: bool = False
    tried: frozenset[str] = frozenset()
    """Providers that are not asked any more."""
    again: frozenset[str] = frozenset()
    """Providers that provably took nothing: asked again, after those that were not asked."""
    may_add: bool = True
    """Whether a provider may be asked that is not among *again*."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """An account that may be asked."""

    candidate: Candidate
    score: Score

    @property
    def provider(self) -> str:
        """The account's name to its tenant."""
        return self.candidate.account.provider


@dataclass(frozen=True, slots=True)
class Route:
    """Who may be asked, best first, and who may not."""

    ranked: tuple[Ranked, ...]
    left_out: tuple[tuple[str, Why], ...]

    @property
    def best(self) -> Account | None:
        """The account to ask; None if none may be."""
        return self.ranked[0].candidate.account if self.ranked else None

    @property
    def may_come(self) -> bool:
        """Whether somebody is left out who may be asked once they are back."""
        return any(why is Why.AWAY for _, why in self.left_out)

    def document(self) -> dict[str, Any]:
        """The choice and its reasons as they stand now, for the attempt's row and for people."""
        return {
            "chosen": self.ranked[0].provider if self.ranked else None,
            "ranked": [_told(one) for one in self.ranked],
            "leftOut": [{"provider": provider, "why": why.value} for provider, why in self.left_out],
        }


def choose(candidates: Sequence[Candidate], need: Need) -> Route:
    """Rank *candidates*, which stand in the tenant's own order, for *need*."""
    reasons = [_why_not(one, need) for one in candidates]
    usable = [one for one, why in zip(candidates, reasons, strict=True) if why is None]
    if need.keep_method and (need.money is None or any(_keeps(one) for one in usable)):
        reasons = [
            why or (None if _keeps(one) else Why.KEEPS_NONE) for one, why in zip(candidates, reasons, strict=True)
        ]
        usable = [one for one in usable if _keeps(one)]
    pool = pooled([one.record for one in usable])
    ranked = [Ranked(one, score(one.account.terms, _can(one), one.record, pool, need.money)) for one in usable]
    ranked.sort(key=lambda one: (one.provider in need.again, -one.score.total))  # Stable: the tenant's order stays.
    left_out = tuple((one.account.provider, why) for one, why in zip(candidates, reasons, strict=True) if why)
    return Route(tuple(ranked), left_out)


def _why_not(candidate: Candidate, need: Need) -> Why | None:
    """Why *candidate* may not be asked; what holds for good comes before what passes."""
    account, can = candidate.account, candidate.capabilities
    if can is None:
        return Why.NO_ADAPTER
    if need.channel not in account.channels & can.channels:
        return Why.CHANNEL
    if need.money is not None and not _takes(candidate, need.money.currency):
        return Why.CURRENCY
    if need.provider not in (None, account.provider):
        return Why.NOT_THE_ONE
    if account.provider in need.tried:
        return Why.TRIED
    if not need.may_add and account.provider not in need.again:
        return Why.ENOUGH
    return Why.AWAY if candidate.record.is_away else None


def _takes(candidate: Candidate, currency: str) -> bool:
    return all(
        some is None or currency in some for some in (candidate.account.terms.currencies, _can(candidate).currencies)
    )


def _keeps(candidate: Candidate) -> bool:
    return candidate.capabilities is not None and candidate.capabilities.keeps_methods


def _can(candidate: Candidate) -> Capabilities:
    assert candidate.capabilities is not None, "who has no adapter is left out first"
    return candidate.capabilities


def _told(one: Ranked) -> dict[str, Any]:
    record = one.candidate.record
    seen = {"calls": record.calls, "successes": record.successes, "meanMs": round(record.mean_ms)}
    return {"provider": one.provider, "score": one.score.total} | asdict(one.score) | seen
