"""Which keyring this process uses; there is no default key outside development."""

from __future__ import annotations

from shared import keyring
from shared.config import Mode, Settings
from shared.keyring import Keyring


class NoKeyring(RuntimeError):
    """Production was started without keys of its own."""


def of(settings: Settings) -> Keyring:
    """The ring in the file the settings name; raises NoKeyring in production without one.

    In development a missing file gives a fresh ring for this process alone, which is enough to try one process
    and plainly not enough for two.
    """
    if settings.keyring is not None:
        return keyring.load(settings.keyring)
    if settings.mode is Mode.PRODUCTION:
        raise NoKeyring("set C2A_KEYRING to a key file; `c2a keyring create FILE` makes one")
    return keyring.fresh()
