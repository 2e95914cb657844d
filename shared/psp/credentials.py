"""What each adapter needs of the credentials of its account, by name; who sets an account up is asked for these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Needs:
    """The credentials an adapter cannot do without, and those it can use besides."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Those that are no secrets, and name the account at the PSP."""


KEY: Final = "apiKey"
"""The one that every adapter needs: with what its PSP is called."""
NEEDS: Final[Mapping[str, Needs]] = {
    "sandbox": Needs(("apiKey", "webhookSecret"), ("webhookSecretBefore",)),
    "stripe": Needs(("apiKey", "webhookSecret"), ("webhookSecretBefore", "bankTransferCountry")),
    "adyen": Needs(("apiKey", "merchantAccount", "hmacKey"), ("hmacKeyBefore", "countryCode"), ("merchantAccount",)),
}
"""By the name an account gives its adapter (shared/psp/factory.py)."""


def faults_in(credentials: Mapping[str, object], needs: Needs) -> list[str]:
    """What is wrong with *credentials*, by name and never by value."""
    missing = [f"{name} is missing" for name in needs.needed if not credentials.get(name)]
    known = {*needs.needed, *needs.optional}
    unknown = [f"{_shown(name)} is not one of {', '.join(sorted(known))}" for name in credentials if name not in known]
    no_text = [f"{name} must be a text" for name in credentials if not isinstance(credentials[name], str)]
    return missing + unknown + no_text


def _shown(name: str) -> str:
    """A name from a file, at most so much of it, and no control characters; a secret in its place is no name."""
    return name if name.isidentifier() and len(name) <= 40 else "a name in it"
