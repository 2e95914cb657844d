"""One trace an order, from its POST to its end, across processes and queues: off unless installed and configured.

A message carries nothing but the order's number (shared/messages.py), so no context travels. It need not: the number is
a ULID of 128 bits, and so is the id of a trace. Every process that knows the number knows the trace, and the span all
others stand under; so does whoever reads a log line. What does the tracing is shared/observe/otel.py, which is only
imported where OpenTelemetry's own variables say where traces go and the extra `traces` is installed.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Final, Protocol

import structlog
from ulid import ULID

log = structlog.get_logger(__name__)

NEEDS: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
WHERE: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""The variables of the OpenTelemetry specification that say where traces go; with neither they go nowhere."""


class Span(Protocol):
    """Something that takes time."""

    def ended(self, how: str) -> None:
        """Say how it ended: one word of ours."""
        ...


class Tracing(Protocol):
    """Tells what took how long. Attributes are ours and few: no value of a request but the order's number."""

    def admitted(self, tracking_number: str, tenant: str, *, began_ns: int) -> None:
        """The order was admitted by a request that began at *began_ns* of the time of day."""
        ...

    def step(self, name: str, tracking_number: str) -> AbstractContextManager[Span]:
        """A step of the order."""
        ...

    def call(self, adapter: str, verb: str) -> AbstractContextManager[Span]:
        """A call to a PSP, within the step that makes it."""
        ...

    def flush(self) -> None:
        """Send what has gathered, before the process ends."""
        ...


def ids_of(tracking_number: str) -> tuple[int, int]:
    """The id of an order's trace and of the span that all others stand under; neither is ever 0."""
    digest = hashlib.sha256(tracking_number.encode()).digest()
    try:
        trace_id = int(ULID.from_str(tracking_number.removeprefix("trk_")))
    except ValueError:  # No order of ours; its message is looked at all the same.
        trace_id = 0
    return trace_id or int.from_bytes(digest[8:24]) or 1, int.from_bytes(digest[:8]) or 1


class _Off:
    """No tracing."""

    def admitted(self, tracking_number: str, tenant: str, *, began_ns: int) -> None:
        """Nothing."""

    def step(self, name: str, tracking_number: str) -> AbstractContextManager[Span]:  # noqa: ARG002
        """Nothing."""
        return _NOTHING

    def call(self, adapter: str, verb: str) -> AbstractContextManager[Span]:  # noqa: ARG002
        """Nothing."""
        return _NOTHING

    def flush(self) -> None:
        """Nothing."""

    def ended(self, how: str) -> None:
        """Nothing."""


_OFF: Final = _Off()
_NOTHING: Final = nullcontext(_OFF)
_tracing: Tracing = _OFF


def tracing() -> Tracing:
    """This process's."""
    return _tracing


def begin(service: str) -> None:
    """Trace from here on as *service*, if anybody is to hear of it; before or after a fork, once a program."""
    if not any(os.environ.get(name) for name in WHERE):
        return
    if missing := [name for name in NEEDS if not _is_there(name)]:
        log.warning("traces.not_installed", missing=missing, install="c2a-checkout[traces]")
        return
    from shared.observe import otel

    use(otel.exporting(service))


def use(other: Tracing) -> None:
    """Let *other* tell from here on."""
    global _tracing
    _tracing = other


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
