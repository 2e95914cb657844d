"""Which keyring this process uses; there is no default key outside development."""

from __future__ import annotations

from shared import key_file, keyring
from shared.config import Mode, Settings
from shared.keyring import Keyring


class NoKeyring(RuntimeError):
    """This process was started without keys it could use."""


def of(settings: Settings) -> Keyring:
    """The ring in the file or the environment variable that the settings name.

    Raises NoKeyring in production without one, and wherever the one that is named cannot be used. In development
    nothing named gives a fresh ring for this process alone, which is enough to try one process and plainly not
    enough for two.
    """
    try:
        return _of(settings)
    except (ValueError, OSError) as error:
        why = str(error) if isinstance(error, ValueError) else "the file cannot be read"
        raise NoKeyring(f"C2A_KEYRING: {why}") from None


def _of(settings: Settings) -> Keyring:
    if settings.keyring is not None and settings.keyring_document is not None:
        raise ValueError("name a file, or set C2A_KEYRING_DOCUMENT: not both")
    if settings.keyring is not None:
        return key_file.follow(settings.keyring)
    if settings.keyring_document is not None:
        return keyring.read(settings.keyring_document.get_secret_value())
    if settings.mode is Mode.PRODUCTION:
        raise NoKeyring("set C2A_KEYRING to a key file; `c2a keyring create FILE` makes one")
    return keyring.fresh()
