"""Calls a PSP over HTTP and ends on time, whatever the other side does.

A read timeout alone does not end a call: it starts again with every byte, and a server can dribble a header for
hours. So one deadline goes down to the socket: every connect, write and read gets what is left of it. That floor is
httpcore, the transport of httpx; httpx itself offers no place for it.

NotSent is said only where it is proven: no name, no connection, no seat in the pool. Once a byte of the request may
have left, the answer is Unanswered. Reasons are our own words; nothing a PSP wrote gets into them.

Build one Http per process, after the fork (factory.py does): a pool shared with a parent mixes up answers. Waiting
happens in sockets and locks of the standard library, so gevent's patches reach all of it.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from ssl import SSLContext
from typing import Any, Final

import httpcore

from shared.domain.outcomes import NotSent, Unanswered
from shared.psp.names import Names
from shared.psp.port import ANSWER_LIMIT_BYTES, CONNECT_TIMEOUT_S, READ_TIMEOUT_S, TOTAL_TIMEOUT_S

CONNECTIONS: Final = 256
"""Calls one process may have in flight; above the 200 a payment process must keep up at 200 ms latency."""
KEEP_IDLE_S: Final = 15.0
"""Shorter than PSPs keep an idle connection (30 s and more), so that we rarely write into a closed one."""

_ENDS_AT: ContextVar[float] = ContextVar("psp_call_ends_at")  # time.monotonic(), of the call or verb that runs here.


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take, in seconds, and how much it may bring, in bytes."""

    connect_s: float = CONNECT_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S
    total_s: float = TOTAL_TIMEOUT_S
    answer_limit: int = ANSWER_LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its status and its body as sent."""

    status: int
    body: bytes
    retry_after: timedelta | None = None
    """How long it asks to be left alone, in whole seconds (RFC 9110, Retry-After); one that names a date is not read:
    it would be by their clock."""


class Http:
    """A pool of connections to PSPs; safe to share between the threads or greenlets of one process."""

    def __init__(
        self,
        patience: Patience | None = None,
        admits: Callable[[str], bool] = lambda _: True,
        resolve: Callable[..., list[Any]] = socket.getaddrinfo,
    ) -> None:
        """*admits* says of each address of a name whether it may be called; one that may not makes the call NotSent."""
        self._patience = patience or Patience()
        self._pool = httpcore.ConnectionPool(
            max_connections=CONNECTIONS,
            keepalive_expiry=KEEP_IDLE_S,
            network_backend=_TimelyBackend(admits, resolve),
        )

    def call(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer | NotSent | Unanswered:
        """One request and its whole answer; never raises for what a network or a PSP can do."""
        mark = _ENDS_AT.set(self._ends_at())
        try:
            return self._exchange(method, url, headers, body)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            return NotSent("no connection")
        except httpcore.PoolTimeout:
            return NotSent("no connection free")
        except httpcore.TimeoutException:
            return Unanswered("timed out")
        except (httpcore.NetworkError, httpcore.RemoteProtocolError):
            return Unanswered("connection broken")
        finally:
            _ENDS_AT.reset(mark)

    @contextmanager
    def one_deadline(self) -> Iterator[None]:
        """The calls within share one total: a verb that takes several ends as soon as one that takes one."""
        mark = _ENDS_AT.set(self._ends_at())
        try:
            yield
        finally:
            _ENDS_AT.reset(mark)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def _ends_at(self) -> float:
        return min(time.monotonic() + self._patience.total_s, _ENDS_AT.get(math.inf))

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Unanswered:
        patience = self._patience
        timeouts = {"pool": patience.connect_s, "connect": patience.connect_s}
        timeouts |= {"write": patience.read_s, "read": patience.read_s}
        # No compression: a cap on bytes read would say nothing about the bytes they unfold to.
        sent: list[tuple[bytes | str, bytes | str]] = [("Accept-Encoding", "identity"), *headers.items()]
        with self._pool.stream(method, url, headers=sent, content=body, extensions={"timeout": timeouts}) as response:
            collected = bytearray()
            for chunk in response.iter_stream():
                collected += chunk
                if len(collected) > patience.answer_limit:
                    return Unanswered("answer too large")
            return Answer(response.status, bytes(collected), _retry_after(response.headers))


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta | None:
    told = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    # A day has five digits of seconds; isdigit of bytes knows ASCII alone.
    return timedelta(seconds=int(told)) if told.isdigit() and len(told) <= 5 else None


def _left(timeout: float | None) -> float:
    """What one operation may take: its own timeout, or what is left of the call where that is less."""
    left = _ENDS_AT.get() - time.monotonic()
    return left if timeout is None else min(left, timeout)


class _TimelyStream(httpcore.NetworkStream):
    """A connection whose every operation ends by the deadline of the call that runs on it."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _left(timeout)
        if left <= 0:
            raise httpcore.ReadTimeout
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = _left(timeout)
        if left <= 0:
            raise httpcore.WriteTimeout
        self._inner.write(buffer, left)

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout)
        if left <= 0:
            raise httpcore.ConnectTimeout
        return _TimelyStream(self._inner.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _TimelyBackend(httpcore.NetworkBackend):
    """Opens connections within the connect timeout, the name look-up and every address of the name included."""

    def __init__(self, admits: Callable[[str], bool], resolve: Callable[..., list[Any]]) -> None:
        self._admits, self._names = admits, Names(resolve)
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        ends_at = time.monotonic() + _left(timeout)
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in self._addresses(host, port, ends_at - time.monotonic()):
            left = ends_at - time.monotonic()
            if left <= 0:
                raise httpcore.ConnectTimeout
            try:
                return _TimelyStream(
                    self._inner.connect_tcp(address, port, left, local_address, socket_options=socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int, timeout: float) -> list[str]:
        try:
            found = self._names.look_up(host, port, timeout)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError from error
        addresses = [str(entry[4][0]) for entry in found]
        if not all(map(self._admits, addresses)):
            raise httpcore.ConnectError("the name has an address that may not be called")
        return addresses
