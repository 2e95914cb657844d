"""Chooses the PSP account an order is charged through.

A forced PSP, or the PSP that minted a stored token, is obeyed; otherwise the tenant's first account by rank that
takes the channel.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.psp.port import Account, Channel


def choose(accounts: Sequence[Account], *, channel: Channel, provider: str | None) -> Account | None:
    """The account to charge through, of *accounts* in the tenant's order of preference; None if none may."""
    return next(
        (one for one in accounts if channel in one.channels and provider in (None, one.provider)),
        None,
    )
