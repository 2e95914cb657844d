"""Accounts, what their PSPs can do and how they did, for tests of the router."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from shared.domain.money import Money
from shared.psp.port import Account, AccountTerms, Capabilities, Channel
from shared.psp.record import UNHEARD, Record
from shared.psp.router import Candidate, Need

T = TypeVar("T")

CARDS: Final = frozenset({Channel.CREDIT_CARD})
CURRENCIES: Final = ("EUR", "USD", "JPY")
CAN: Final = Capabilities(
    frozenset(Channel),
    remembers_declines=True,
    key_lifetime=timedelta(hours=24),
    longest_processing=timedelta(seconds=30),
)
"""A PSP that can do all there is to do."""
TEN_EUROS: Final = Money(1000, "EUR")
CARD_NEED: Final = Need(Channel.CREDIT_CARD, TEN_EUROS)


def an_account(provider: str, *, channels: frozenset[Channel] = CARDS, **terms: Any) -> Account:
    """An account at *provider*; *terms*: its AccountTerms by name."""
    return Account(
        tenant_id="e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f",
        provider=provider,
        account_id=f"acc_{provider}",
        adapter="sandbox",
        base_url="http://127.0.0.1:9",
        channels=channels,
        credentials={},
        terms=AccountTerms(**terms),
    )


def a_candidate(provider: str, record: Record = UNHEARD, can: Capabilities | None = CAN, **more: Any) -> Candidate:
    """A candidate at *provider*; *more*: of its account."""
    return Candidate(an_account(provider, **more), can, record)


def able(**changed: Any) -> Capabilities:
    """CAN, but for what is *changed*."""
    return replace(CAN, **changed)


def _usually(value: T, *others: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """*value* more often than not, so that what is tried is not mostly nothing."""
    return st.one_of(*[st.just(value)] * 3, *others)


_some_currencies = _usually(None, st.frozensets(st.sampled_from(CURRENCIES)))
_channels = _usually(frozenset(Channel), st.frozensets(st.sampled_from(Channel)))

RECORDS: Final = st.integers(0, 5_000).flatmap(
    lambda calls: st.builds(
        Record,
        st.just(calls),
        st.integers(0, calls),
        st.floats(0, 15_000, allow_nan=False),
        is_away=_usually(False, st.just(True)),  # noqa: FBT003
    )
)
ABILITIES: Final = st.builds(
    Capabilities,
    channels=_channels,
    remembers_declines=st.booleans(),
    key_lifetime=st.just(CAN.key_lifetime),
    longest_processing=st.just(CAN.longest_processing),
    currencies=_some_currencies,
    looks_up=st.booleans(),
    proves_absence=st.booleans(),
    lists_charges=st.booleans(),
    voids=st.booleans(),
    keeps_methods=st.booleans(),
)
TERMS: Final = st.builds(
    AccountTerms,
    currencies=_some_currencies,
    home_currencies=st.frozensets(st.sampled_from(CURRENCIES)),
    fee_bps=st.integers(0, 1_000),
    fee_minor=st.integers(0, 100),
)
PROVIDERS: Final = ("adyen", "braintree", "klarna", "sandbox", "stripe")


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """A tenant's accounts, in its own order."""
    found = []
    for provider in draw(st.lists(st.sampled_from(PROVIDERS), unique=True)):
        account = replace(an_account(provider, channels=draw(_channels)), terms=draw(TERMS))
        found.append(Candidate(account, draw(st.one_of(st.none(), *[ABILITIES] * 5)), draw(RECORDS)))
    return found


@st.composite
def usable(draw: st.DrawFn) -> list[Candidate]:
    """Two accounts or more that may take any card."""
    found = []
    for provider in draw(st.lists(st.sampled_from(PROVIDERS), unique=True, min_size=2)):
        account = replace(an_account(provider), terms=replace(draw(TERMS), currencies=None))
        can = replace(draw(ABILITIES), channels=CAN.channels, currencies=None)
        found.append(Candidate(account, can, replace(draw(RECORDS), is_away=False)))
    return found


_named = _usually(frozenset(), st.frozensets(st.sampled_from(PROVIDERS), max_size=3))

NEEDS: Final = st.builds(
    Need,
    channel=st.sampled_from(Channel),
    money=st.none() | st.builds(Money, st.integers(1, 1_000_000), st.sampled_from(CURRENCIES)),
    provider=_usually(None, st.sampled_from(PROVIDERS)),
    keep_method=st.booleans(),
    tried=_named,
    again=_named,
    may_add=_usually(True, st.just(False)),  # noqa: FBT003
)
