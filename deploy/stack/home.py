"""Where one stack keeps what it makes: one folder, readable by its owner alone.

Everything a stack leaves on disk is under its home (`.local` of the checkout unless told otherwise), so two
checkouts never meet and forgetting a stack is removing a folder. The one exception is PostgreSQL's data when we
are root and the checkout is closed to the account that must own it; see deploy/stack/account.py.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""The checkout: where every process of ours has its working directory."""

PASSWORD_BYTES: Final = 24
"""192 random bits: nobody guesses them, and the servers listen on loopback only."""


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of one stack's folder."""

    path: Path

    def make(self) -> Home:
        """Create the folder for its owner only; the same home."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.logs, self.run):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """What only matters while the stack runs: heartbeats and the record of processes."""
        return self.path / "run"

    @property
    def stack_file(self) -> Path:
        """What others read to drive this stack."""
        return self.path / "stack.json"

    @property
    def shell_file(self) -> Path:
        """What a person's shell reads to use this stack."""
        return self.path / "env"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.path / "lock"

    def log_of(self, name: str) -> Path:
        """The log of the process *name*."""
        return self.logs / f"{name}.log"

    def remembered(self, name: str, fresh: Any) -> Any:
        """The value kept in *name*.json, which is *fresh* the first time."""
        path = self.path / f"{name}.json"
        if not path.exists():
            write_json(path, fresh)
        return json.loads(path.read_text())

    def password_of(self, server: str) -> str:
        """The generated password of one of our own servers; the same at every start."""
        kept: str = self.remembered(f"password-{server}", secrets.token_urlsafe(PASSWORD_BYTES))
        return kept


def write_json(path: Path, document: Any) -> None:
    """Replace *path* as `write_text` does."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace *path* in one step: a reader sees the old text or the new one, and only its owner may read it."""
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
