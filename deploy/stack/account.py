"""Which account PostgreSQL runs as when we are root, and what that account may reach.

PostgreSQL refuses to run as root. An existing account without rights does it: `postgres`, where a package made it,
else `nobody`; no account is added and no folder of anybody else is opened for it. Where the way to the checkout is
closed to that account, data (and the binaries, if they came from a wheel) live in a folder of their own.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CANDIDATES: Final = ("postgres", "nobody")
OUTSIDE: Final = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - checked to be ours before use.
"""Where data may live that cannot live in the checkout; both survive a reboot."""


class NoAccount(RuntimeError):
    """We are root and there is no account PostgreSQL could run as."""


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account of this machine."""

    name: str
    uid: int
    gid: int

    def may_enter(self, path: Path) -> bool:
        """Whether the account may pass into *path*; the kernel answers, as it knows of ACLs and mounts too."""
        # Run from /, as the account need not be able to stay where we are.
        asked = subprocess.run(
            ["test", "-x", path], user=self.uid, group=self.gid, extra_groups=[], cwd="/", check=False
        )
        return asked.returncode == 0


def for_postgres() -> Account | None:
    """The account to run PostgreSQL as; None when we are not root and run it as ourselves. Raises NoAccount."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoAccount(f"PostgreSQL does not run as root and none of the accounts {', '.join(CANDIDATES)} exists")


def outside(home: Path) -> Path:
    """The folder outside *home* for what the account must reach; not created."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    parent = next((place for place in OUTSIDE if os.access(place, os.W_OK)), OUTSIDE[-1])
    return parent / f"c2a-checkout-{digest}"


def make_outside(home: Path) -> Path:
    """Create `outside(home)`: passable by others, listable by none. Raises PermissionError if it is not ours."""
    path = outside(home)
    path.mkdir(mode=0o711, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.geteuid():
        # In a folder that everybody may write to, somebody may have been there first.
        raise PermissionError(f"{path} exists and is not ours: remove it")
    path.chmod(0o711)
    return path


def give(path: Path, account: Account) -> None:
    """Make *path* a private folder of *account*."""
    path.mkdir(mode=0o700, exist_ok=True)
    os.chown(path, account.uid, account.gid)


def forget(home: Path) -> None:
    """Remove what `make_outside` made for *home*, if anything."""
    path = outside(home)
    if path.is_dir() and not path.is_symlink() and path.lstat().st_uid == os.geteuid():
        shutil.rmtree(path)
