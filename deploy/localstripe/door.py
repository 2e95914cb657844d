"""The door before localstripe: takes off what Stripe documents and localstripe refuses, and passes the rest on.

localstripe is a stateful stand-in for Stripe that others made; it answers the official library, so orders can be paid
at it without an account. It refuses a few parameters it does not know instead of passing over them. They are named
here, with what is lost by it; nothing is added, and every answer is localstripe's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web

REFUSED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    # A challenge has no page to come back from. Any method is taken. A kept method stays its customer's all the same.
    ("POST", "/v1/payment_intents"): frozenset({"return_url", "allowed_payment_method_types", "setup_future_usage"}),
    # The whole list comes.
    ("GET", "/v1/payment_intents"): frozenset({"created"}),
}
ALIVE: Final = "/js.stripe.com/v3/"
"""What localstripe shows without a key."""
ANSWER_WITHIN_S: Final = 10.0
BEHIND: Final = web.AppKey("behind", str)
CLIENT: Final = web.AppKey("client", aiohttp.ClientSession)


async def pass_on(request: web.Request) -> web.Response:
    """localstripe's answer to *request*; 502 while it is not there."""
    refused = REFUSED.get((request.method, request.path), frozenset())
    query = _without(refused, request.query_string)
    body = await request.read()
    if refused and request.method == "POST":
        body = _without(refused, body.decode()).encode()
    headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
    url = f"{request.app[BEHIND]}{request.path}{'?' if query else ''}{query}"
    try:
        async with request.app[CLIENT].request(request.method, url, data=body, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
    except (aiohttp.ClientError, TimeoutError):
        raise web.HTTPBadGateway from None


async def healthz(request: web.Request) -> web.Response:
    """200 while localstripe answers."""
    async with request.app[CLIENT].get(request.app[BEHIND] + ALIVE) as answer:
        return web.Response(status=answer.status)


def application(behind: str) -> web.Application:
    """The door before the localstripe at the URL *behind*."""
    app = web.Application()
    app[BEHIND] = behind
    app.cleanup_ctx.append(_client)
    app.router.add_get("/healthz", healthz)
    app.router.add_route("*", "/{path:.*}", pass_on)
    return app


async def _client(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_WITHIN_S)) as session:
        app[CLIENT] = session
        yield


def _without(names: frozenset[str], form: str) -> str:
    """*form* without the parameters *names*, whatever is nested in them."""
    if not names:
        return form
    given = parse_qsl(form, keep_blank_values=True)
    return urlencode([(name, value) for name, value in given if name.partition("[")[0] not in names])
