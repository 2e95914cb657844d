"""Puts one sandbox together and runs it until it is told to stop, or its disk refuses."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Final

from aiohttp import web

from deploy.sandbox import admin, challenge, v1
from deploy.sandbox.books import Books
from deploy.sandbox.desk import DESK, Desk
from deploy.sandbox.faults import FaultBoard
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.till import Till
from deploy.sandbox.traffic import Traffic
from deploy.sandbox.webhooks import Outbox

BODY_LIMIT: Final = 64 << 10
"""No request to us is larger than a few KiB."""
GRACE_S: Final = 2.0
"""How long calls in flight may take to end after SIGTERM; the ledger makes a harder end safe, too."""
KEEPALIVE_S: Final = 75.0
"""Longer than our client keeps an idle connection (shared/psp/http.py), so it never writes into one we just closed."""


async def serve(host: str, port: int, ledger_path: Path, public_url: str | None) -> None:
    """Run until SIGTERM or SIGINT; raises OSError when the address or the disk refuses."""
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    ledger = Ledger(ledger_path)
    books = Books(ledger)
    faults = FaultBoard()
    outbox = Outbox(books, faults)
    till = Till(books, faults, outbox)
    writer = asyncio.create_task(ledger.run())
    writer.add_done_callback(lambda _: stopping.set())
    till.resume()
    outbox.resume()
    desk = Desk(books, faults, till, outbox, Traffic(), stopping, public_url)
    runner = web.AppRunner(_app(desk), access_log=None, shutdown_timeout=GRACE_S, keepalive_timeout=KEEPALIVE_S)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1_024)
    await site.start()
    bound = runner.addresses[0]
    print(f"sandbox PSP on http://{bound[0]}:{bound[1]} ledger {ledger_path}", flush=True)
    await stopping.wait()
    await runner.cleanup()
    await outbox.close()
    ledger.finish()
    await writer


def _app(desk: Desk) -> web.Application:
    app = web.Application(middlewares=[v1.guard_v1], client_max_size=BODY_LIMIT)
    app[DESK] = desk
    for part in (v1, challenge, admin):
        app.add_routes(part.routes)
    return app
