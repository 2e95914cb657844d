"""Messages as earlier versions have published them, kept as data: what may still wait in a queue when we are updated.

Nobody edits them. A version that publishes something else, or in other words, adds a file of its own.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[1] / "golden"
NUMBER: Final = "trk_00000000000000000000000000"
"""Stands in all of them where the order's is."""


@dataclass(frozen=True, slots=True)
class Published:
    """One message, from a doorbell or from a worker that went on with a chain."""

    version: str
    sent_by: str
    queue: str
    task: str
    body: str
    content_type: str
    headers: dict[str, Any]
    _envelope: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.version}-{self.sent_by}-{self.task}-{self.queue}"

    def about(self, number: str) -> str:
        """The whole of it about another order, as kombu keeps it in Redis."""
        own = self.body.replace(NUMBER, number).encode()
        envelope = json.loads(json.dumps(self._envelope).replace(NUMBER, number))
        return json.dumps(envelope | {"body": b64encode(own).decode()})


def messages() -> list[Published]:
    """Every message of every version."""
    return [_of(path.stem.removeprefix("messages-"), one) for path in _files() for one in json.loads(path.read_text())]


def _files() -> list[Path]:
    return sorted(FOLDER.glob("messages-*.json"))


def _of(version: str, document: dict[str, Any]) -> Published:
    envelope = {name: value for name, value in document.items() if name not in ("sentBy", "queue", "body")}
    return Published(
        version=version,
        sent_by=document["sentBy"],
        queue=document["queue"],
        task=document["headers"]["task"],
        body=document["body"],
        content_type=document["content-type"],
        headers=document["headers"],
        _envelope=envelope,
    )
