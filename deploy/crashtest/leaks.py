"""I7: whether a canary (a card number nobody else has) stands in some bytes, plainly or in the usual disguises."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping

from deploy.crashtest.records import Violation


def leaks(places: Mapping[str, bytes], canaries: Iterable[str]) -> list[Violation]:
    """A violation for every place and canary that meet; it names the place, never the canary."""
    forms = [list(_forms(canary.encode())) for canary in canaries]
    return [
        Violation("I7", place, "holds a card number")
        for place, content in places.items()
        for canary in forms
        if any(form in content for form in canary)
    ]


def _forms(plain: bytes) -> Iterator[bytes]:
    yield plain
    yield plain[::-1]
    yield plain.hex().encode()
    for before in range(3):  # base64 sees three bytes at a time: cut what depends on the neighbours.
        encoded = b64encode(b"\0" * before + plain)
        first = -(-before * 8 // 6)
        whole = (before + len(plain)) * 8 // 6
        yield encoded[first:whole]
