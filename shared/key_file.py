"""Follows the key file while the process runs: keys rotate without a restart, and a retired one refuses at once.

A look at the file's name costs a microsecond, so each use takes one. A file that cannot be read, or holds another
installation's ring, changes nothing: what is in memory still seals and opens, and the log says what is wrong.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from shared import keyring
from shared.key_service import KeyService, Wrapped
from shared.keyring import Keyring
from shared.local_keys import BadRing

log = structlog.get_logger(__name__)

Mark = tuple[int, int, int]
"""Inode, time of change and size: what differs when a file was replaced or written to."""


class FileKeys:
    """The keys in a file, as they are at each use."""

    def __init__(self, path: Path) -> None:
        """Read *path*; raises BadRing or OSError."""
        self._path = path
        self._mark = _mark(path)
        self._ring = keyring.load(path)

    @property
    def pepper(self) -> bytes:
        """The pepper that stands beside the keys; the same for the life of an installation."""
        return self._ring.pepper

    def wrap(self, data_key: bytes, *, context: str) -> Wrapped:
        """As KeyService says."""
        return self._now().wrap(data_key, context=context)

    def unwrap(self, wrapped: Wrapped, *, context: str) -> bytes:
        """As KeyService says."""
        return self._now().unwrap(wrapped, context=context)

    def _now(self) -> KeyService:
        mark = _mark(self._path)
        if mark != self._mark:
            self._mark = mark  # Before it is read: a file that is changed meanwhile is read again.
            self._follow()
        return self._ring.keys

    def _follow(self) -> None:
        try:
            fresh = keyring.load(self._path)
        except (BadRing, OSError) as error:
            log.error("keyring.unreadable", error=type(error).__name__)  # noqa: TRY400 - a trace would tell no more.
            return
        if fresh.pepper != self.pepper:
            log.error("keyring.of_another_installation")
            return
        self._ring = fresh
        log.info("keyring.read_again")


def follow(path: Path) -> Keyring:
    """The ring in *path*, now and as it changes; raises BadRing or OSError."""
    keys = FileKeys(path)
    return Keyring(keys, keys.pepper)


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
