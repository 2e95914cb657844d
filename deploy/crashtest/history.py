"""What the clients did and heard, one JSON line before each send and one after each answer.

The file is only ever appended to, so whatever dies, the line that says "sent" is there when the answer is not. No
card stands in it.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from deploy.crashtest.records import Call, Poll

SUBMIT, POLL, FOREIGN_POLL = "submit", "poll", "foreign poll"


class History:
    """The file of one run, open for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO = path.open("x", buffering=1)
        self._numbers = itertools.count(1)

    def __enter__(self) -> History:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def sent(self, what: str, **facts: Any) -> int:
        """Note that a call is about to be sent; its number."""
        number = next(self._numbers)
        self._write({"n": number, "what": what, **facts})
        return number

    def heard(self, number: int, **facts: Any) -> None:
        """Note what came back for the call *number*: a status and what it said, or the error that came instead."""
        self._write({"n": number, **facts})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps({"at": time.time(), **line}, separators=(",", ":")) + "\n")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call and what came of it; *status* None: no answer. Times in seconds since the epoch."""

    what: str
    sent_at: float
    asked: dict[str, Any]
    heard_at: float | None = None
    status: int | None = None
    said: dict[str, Any] = field(default_factory=dict)


def read(lines: Iterable[str]) -> list[Exchange]:
    """The exchanges of a history file, answered ones in the order of their answers, the unanswered after them."""
    sent: dict[int, dict[str, Any]] = {}
    exchanges: list[Exchange] = []
    for document in map(json.loads, lines):
        number = document["n"]
        if "what" in document:
            sent[number] = document
        else:
            exchanges.append(_exchange(sent.pop(number), document))
    return exchanges + [_exchange(document, None) for document in sent.values()]


def _exchange(sent: dict[str, Any], heard: dict[str, Any] | None) -> Exchange:
    if heard is None:
        return Exchange(sent["what"], sent["at"], sent)
    return Exchange(sent["what"], sent["at"], sent, heard["at"], heard.get("status"), heard)


def calls(exchanges: Iterable[Exchange], tenant: str) -> Iterator[Call]:
    """Every POST of an order, as the checker wants it."""
    for one in exchanges:
        if one.what == SUBMIT:
            asked, owed = one.asked, one.asked.get("owed")
            yield Call(
                tenant=tenant,
                key=asked.get("key"),
                offer=asked["offer"],
                customer=asked["customer"],
                status=one.status,
                tracking_number=one.said.get("trackingNumber"),
                owed=None if owed is None else (owed[0], owed[1]),
            )


def polls(exchanges: Iterable[Exchange]) -> Iterator[Poll]:
    """Every status a client heard, in the order in which it was heard."""
    for one in exchanges:
        if one.what == POLL and one.status == 200:
            yield Poll(one.asked["trackingNumber"], one.said["code"], one.said.get("version"))
