"""Counts what is said between our processes and PostgreSQL, on the wire: whatever a driver sends is seen.

It reads the server's side of the protocol (type byte, length, body). A round trip ends with one ReadyForQuery, a
statement with one CommandComplete, which also names the statement's kind. Everything is handed on as it came.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.engine import make_url

HOST: Final = "127.0.0.1"
READY: Final = b"Z"
DONE: Final = b"C"
"""PostgreSQL protocol 3.0, 55.7: ReadyForQuery and CommandComplete."""
HEAD: Final = 5
CHUNK: Final = 1 << 16
CLOSE_WITHIN_S: Final = 5.0
BRACKETS: Final = frozenset({"BEGIN", "COMMIT", "ROLLBACK"})
"""What only marks a transaction."""


@dataclass(slots=True)
class Heard:
    """What a server answered; counted by one thread, read by others."""

    url: str = field(repr=False)
    """The address that leads through the counter."""
    round_trips: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Statements by the first word of their CommandComplete."""

    @property
    def statements(self) -> int:
        """Statements that did something."""
        return sum(count for kind, count in self.kinds.items() if kind not in BRACKETS)

    @property
    def transactions(self) -> int:
        """Transactions of more than one statement."""
        return self.kinds["BEGIN"]

    def note(self, kind: bytes, body: bytes) -> None:
        """Count one message of the server."""
        if kind == READY:
            self.round_trips += 1
        elif kind == DONE:
            self.kinds[body.split(b" ")[0].rstrip(b"\0").decode()] += 1


@contextmanager
def counted(database_url: str) -> Iterator[Heard]:
    """A counter before the server of *database_url*; the connections through it end with the block."""
    real = make_url(database_url)
    heard, ends = Heard(""), set[asyncio.StreamWriter]()
    loop = asyncio.new_event_loop()
    # In a thread from its first task on: the caller's may have a loop of its own that runs.
    thread = threading.Thread(target=loop.run_forever, name="wire", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(lambda *end: _between(heard, (str(real.host), real.port or 5432), ends, *end), HOST, 0),
        loop,
    ).result(CLOSE_WITHIN_S)
    port = server.sockets[0].getsockname()[1]
    # Without TLS, or the first answer would be no message.
    plain = real.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    heard.url = plain.set(host=HOST, port=port).render_as_string(hide_password=False)
    try:
        yield heard
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, ends), loop).result(2 * CLOSE_WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_WITHIN_S)
        loop.close()


async def _end(server: asyncio.Server, ends: set[asyncio.StreamWriter]) -> None:
    """Hang up everywhere, and let who listens there find out."""
    server.close()
    for end in ends:
        end.transport.abort()
    async with asyncio.timeout(CLOSE_WITHIN_S):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await asyncio.sleep(0)  # A socket is closed a turn after it was hung up.


async def _between(
    heard: Heard,
    server_at: tuple[str, int],
    ends: set[asyncio.StreamWriter],
    client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
) -> None:
    server, to_server = await asyncio.open_connection(*server_at)
    both = {to_client, to_server}
    ends |= both
    asking = asyncio.create_task(_pass_on(client, to_server))
    await _hear(heard, server, to_client)
    for end in both:
        end.transport.abort()
    await asking
    ends -= both


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        sink.close()


async def _hear(heard: Heard, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await server.readexactly(HEAD)
            body = await server.readexactly(int.from_bytes(head[1:]) - 4)
            heard.note(head[:1], body)  # First, so that whoever has the answer finds it counted.
            to_client.write(head + body)
            await to_client.drain()
