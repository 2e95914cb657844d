"""What an order needs of the PSP that is asked next, and whom its tenant could ask: the router's two inputs.

Both the payment step and whoever explains it (`c2a psps explain`) read them from here, so that what is explained is
what is done. A PSP that said no to an order is not asked for it again; one that provably took nothing may be, after
all that were not asked yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import structlog

from shared.domain.money import Money
from shared.psp.factory import UnknownAdapter
from shared.psp.port import Account, Capabilities, Channel, Psp
from shared.psp.record import UNHEARD, Record
from shared.psp.router import Candidate, Need
from shared.store.attempts import Attempt, AttemptState
from shared.store.orders import Order

log = structlog.get_logger(__name__)

MOST_PSPS: Final = 3
"""PSPs that are asked to take one order: the shopper waits for each of them, 15 s at worst, and card networks punish
whoever tries a card that was refused over and over."""


def need_of(order: Order, earlier: Sequence[Attempt], *, token_at: str | None, asked_now: Collection[str] = ()) -> Need:
    """What *order* needs after its *earlier* attempts. *token_at*: the PSP that has its stored method's token;
    *asked_now*: providers this visit to the order has asked already."""
    assert order.amount_minor is not None, "the offer is held, so the amount is fixed"
    assert order.currency is not None, "and its currency with it"
    answered = {one.provider for one in earlier if one.outcome is not AttemptState.ABSENT}
    return Need(
        channel=Channel(order.channel),
        money=Money(order.amount_minor, order.currency),
        provider=token_at or order.forced_provider,
        keep_method=order.keeps_method and order.stored_method_urn is None,
        tried=frozenset(answered.union(asked_now)),
        again=frozenset(one.provider for one in earlier if one.provider not in answered),
        may_add=len({one.provider for one in earlier}) < MOST_PSPS,
    )


def candidates_of(
    accounts: Sequence[Account], psp_for: Callable[[Account], Psp], records: Mapping[str, Record]
) -> list[Candidate]:
    """*accounts* with what their PSPs can do and how they did of late, by provider."""
    return [Candidate(one, _abilities(psp_for, one), records.get(one.provider, UNHEARD)) for one in accounts]


def _abilities(psp_for: Callable[[Account], Psp], account: Account) -> Capabilities | None:
    try:
        return psp_for(account).capabilities
    except UnknownAdapter:  # A mistake in one account must not keep the tenant's others from being asked.
        log.error("account.unknown_adapter", provider=account.provider)  # noqa: TRY400  # The alarm.
        return None
