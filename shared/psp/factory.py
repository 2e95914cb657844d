"""Which adapter serves an account, with one pool of connections per process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from shared.psp.adyen import AdyenPsp
from shared.psp.http import Http
from shared.psp.port import Account, Psp
from shared.psp.sandbox import SandboxPsp
from shared.psp.stripe import StripePsp

ADAPTERS: Final[Mapping[str, Callable[[Account, Http], Psp]]] = {
    "sandbox": SandboxPsp,
    "stripe": StripePsp,
    "adyen": AdyenPsp,
}
"""By the name an account gives its adapter."""


class UnknownAdapter(LookupError):
    """An account names an adapter we do not have: a mistake in its configuration."""


def psp_for(account: Account) -> Psp:
    """The PSP of *account*; raises UnknownAdapter. Cheap: call it per use."""
    return psp_over(account, _http(os.getpid()))


def psp_over(account: Account, http: Http) -> Psp:
    """The PSP of *account* over connections of the caller's own; raises UnknownAdapter."""
    adapter = ADAPTERS.get(account.adapter)
    if adapter is None:
        raise UnknownAdapter(f"account {account.account_id} names an adapter we do not have")
    return adapter(account, http)


@lru_cache(maxsize=1)
def _http(_process_id: int) -> Http:
    """This process's client: a forked child has another id, so it never talks on its parent's connections."""
    return Http()
