"""I7: whether a canary (a card nobody else has) stands in some bytes, plainly or in the usual disguises.

Thousands of forms are looked for in gigabytes: forms that begin alike are found by their common beginning first, and
canaries are made to begin alike (canaries.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from deploy.crashtest.disguises import LEAST, forms, unpacked
from deploy.crashtest.records import Violation

DEPTH: Final = 3
"""How many wrappings one inside the other are taken off."""


class Scanner:
    """Looks for some secrets in bytes."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """*secrets*: texts of at least 8 characters, whose every form is looked for."""
        named = frozenset(secrets)
        self._forwards = _Forms({form: secret for secret in named for form in forms(secret)})
        self._backwards = _Forms({secret.encode(): secret for secret in named})
        self._known: dict[bytes, frozenset[str]] = {}

    def found_in(self, content: bytes, *, depth: int = DEPTH) -> set[str]:
        """The secrets that stand in *content*, in any form; *depth*: how many wrappings are taken off."""
        found = self._forwards.found_in(content) | self._backwards.found_in(content[::-1])
        if depth:
            for inner in unpacked(content):
                found |= self.found_in(inner, depth=depth - 1)
        return found

    def found_in_place(self, content: bytes) -> frozenset[str]:
        """The same, for one place of many: a third of PostgreSQL's files are copies of its template databases."""
        digest = blake2b(content).digest()
        if digest not in self._known:
            self._known[digest] = frozenset(self.found_in(content))
        return self._known[digest]


class _Forms:
    """Forms by their common beginnings, and what each is a form of."""

    def __init__(self, secret_of: dict[bytes, str]) -> None:
        self._secret_of = secret_of
        alike: dict[bytes, list[bytes]] = {}
        for form in secret_of:
            alike.setdefault(form[:LEAST], []).append(form)
        self._groups = [(_beginning(group), group) for group in alike.values()]

    def found_in(self, content: bytes) -> set[str]:
        return {
            self._secret_of[form]
            for head, group in self._groups
            for at in _places(content, head)
            for form in group
            if content.startswith(form, at)
        }


def leaks(places: Mapping[str, bytes] | Iterable[tuple[str, bytes]], secrets: Iterable[str]) -> list[Violation]:
    """A violation for every place and secret that meet; it names the place, never the secret."""
    scanner = Scanner(secrets)
    named = places.items() if isinstance(places, Mapping) else places
    return [
        Violation("I7", place, "holds a card number")
        for place, content in named
        for _ in scanner.found_in_place(content)
    ]


def _beginning(forms: list[bytes]) -> bytes:
    """What all of them begin with: of the first and the last in order, what these two begin with."""
    first, last = min(forms), max(forms)
    return first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _places(content: bytes, head: bytes) -> Iterator[int]:
    at = content.find(head)
    while at >= 0:
        yield at
        at = content.find(head, at + 1)
