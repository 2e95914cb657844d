"""Writes a file of secrets: in one step, and readable by whoever might read it before."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600


def replace(path: Path, text: str) -> None:
    """Make *text* what *path* holds; one that is new is its owner's alone, one that was there keeps owner and mode.

    Raises OSError, and then nothing has changed.
    """
    target = path.resolve()  # A mounted secret is a link: what it points to is replaced.
    before = target.stat() if target.exists() else None
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
            file.write(text)
            file.flush()
            if before is not None:
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
