"""How good an account is for one payment: five parts from 0 to 1, weighed.

    0.40 success         the share of its calls that came to a verdict (record.py says which)
    0.25 response_time   1 at once, 0 at the 15 s after which every call is over, straight in between
    0.20 fee             1 / (1 + 10 f): 1 for nothing, a half where the fee f is a tenth of the amount
    0.10 geography       1 at home in the currency, 0 at home elsewhere, 0.5 if its home is not told
    0.05 features        the share of what a PSP may be able to do (port.Capabilities) that it can

Of where a shopper is we know the currency of the order and nothing more: no address is asked for, an IP address is
optional and tells of a network, and a card's issuer would take tables of card ranges that we do not hold. So geography
asks whether the tenant's account is at home in that currency.

An account with few calls is taken to be as good as the tenant's others are on average: PRIOR_CALLS such calls are
laid to its own (Laplace). So a new account is neither starved by old ones nor flooded for one lucky call: what is
known of it (fee, home, features, the tenant's order) decides, until its own calls do. Whoever gets better in one part
and stays as it was in the rest never ranks lower for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.domain.money import Money
from shared.psp.port import TOTAL_TIMEOUT_S, AccountTerms, Capabilities
from shared.psp.record import Record

PRIOR_CALLS: Final = 20
"""As many calls as it takes to know anything of an account: fewer do not open its breaker, either."""
UNHEARD_MS: Final = 1_000.0
"""What a call is taken to last where no account of the tenant was called yet; it is the same for all of them."""
FEE_SCALE: Final = 10
"""A fee of a tenth of the amount, far above what cards cost, halves the part."""
WEIGHTS: Final = {"success": 0.40, "response_time": 0.25, "fee": 0.20, "geography": 0.10, "features": 0.05}
DIGITS: Final = 3
"""What differs by less than a thousandth is noise: then the tenant's own order decides."""


@dataclass(frozen=True, slots=True)
class Score:
    """The five parts, each from 0 to 1."""

    success: float
    response_time: float
    fee: float
    geography: float
    features: float

    @property
    def total(self) -> float:
        """The parts weighed, from 0 to 1, to a thousandth."""
        return round(sum(weight * float(getattr(self, part)) for part, weight in WEIGHTS.items()), DIGITS)


@dataclass(frozen=True, slots=True)
class Pool:
    """What is known of all accounts of a tenant together: what a new one is taken for."""

    rate: float
    mean_ms: float


def pooled(records: Iterable[Record]) -> Pool:
    """The average of *records*, call by call; with one success and one failure laid to them, it is never 0 or 1."""
    every = list(records)
    calls = sum(one.calls for one in every)
    successes = sum(one.successes for one in every)
    spent_ms = sum(one.mean_ms * one.calls for one in every)
    return Pool((successes + 1) / (calls + 2), (spent_ms + UNHEARD_MS) / (calls + 1))


def score(terms: AccountTerms, can: Capabilities, record: Record, pool: Pool, money: Money | None) -> Score:
    """How good an account is for a payment of *money*; None: no payment, so its fee and its home say nothing."""
    calls = record.calls + PRIOR_CALLS
    rate = (record.successes + PRIOR_CALLS * pool.rate) / calls
    mean_ms = (record.mean_ms * record.calls + PRIOR_CALLS * pool.mean_ms) / calls
    return Score(
        success=min(1.0, rate),
        response_time=max(0.0, 1 - mean_ms / (TOTAL_TIMEOUT_S * 1_000)),
        fee=1.0 if money is None else 1 / (1 + FEE_SCALE * _fee_share(terms, money)),
        geography=0.5 if money is None or not terms.home_currencies else float(money.currency in terms.home_currencies),
        features=_features(can),
    )


def _fee_share(terms: AccountTerms, money: Money) -> float:
    """What the PSP keeps of *money*, as a share of it."""
    return terms.fee_bps / 10_000 + terms.fee_minor / max(1, money.amount_minor)


def _features(can: Capabilities) -> float:
    flags = (
        can.remembers_declines,
        can.looks_up,
        can.proves_absence,
        can.lists_charges,
        can.voids,
        can.keeps_methods,
    )
    return sum(flags) / len(flags)
