"""The routes a merchant calls: charges, look-ups, voids, refunds, kept methods.

Whatever moves money or keeps a card takes an Idempotency-Key. A call under a new key runs once: hold the key, take
the processing time, write the ledger, let go, answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from deploy.sandbox.asks import AskedCharge, AskedRefund, AskedToken, BadAsk, read
from deploy.sandbox.books import KeyUse
from deploy.sandbox.cards import REFUSALS, Trouble
from deploy.sandbox.desk import desk_of
from deploy.sandbox.faults import Operation
from deploy.sandbox.keys import InProgress, KeyReused, body_of, digest_of
from deploy.sandbox.records import Charge, PspAccount, Token
from deploy.sandbox.till import NotPossible, behaviour_for
from deploy.sandbox.troubles import NOTHING_WRITTEN, cut, refusal

routes = web.RouteTableDef()
ACCOUNT = web.RequestKey("account", PspAccount)
KEY_LIMIT: Final = 255
"""Characters an Idempotency-Key may have, as with Stripe."""
CHARGES_SHOWN: Final = 100
"""A look-up by merchant reference shows its newest charges; an order has a handful of attempts."""
PAGE: Final = 250
"""Charges a page of a listing shows: about 150 KiB."""

Act = Callable[[KeyUse, Trouble | None], dict[str, Any]]


@web.middleware
async def guard_v1(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Be down if told so; let in only known accounts; turn what cannot be done into its answer."""
    if not request.path.startswith("/v1/"):
        return await handler(request)
    desk = desk_of(request)
    if desk.faults.now.down == "closed":
        return cut(request)
    if desk.faults.now.down == "503":
        return refusal(503, "unavailable")
    scheme, _, api_key = request.headers.get("Authorization", "").partition(" ")
    account = desk.books.account_of_key.get(api_key) if scheme == "Bearer" else None
    if account is None:
        return refusal(401, "unauthorized")
    request[ACCOUNT] = account
    if desk.traffic.is_too_much(account.account_id, desk.faults.now.calls_per_second):
        return refusal(429, "too_many_requests")
    try:
        return await handler(request)
    except BadAsk as error:
        return refusal(400, "invalid_request", str(error))
    except KeyReused:
        return refusal(422, "key_reused", "this Idempotency-Key came with another request before")
    except InProgress:
        return refusal(409, "in_progress", "the first call under this Idempotency-Key still runs")
    except NotPossible as error:
        return refusal(409, error.code, charge=error.charge.shown())


@routes.post("/v1/charges")
async def charge(request: web.Request) -> web.StreamResponse:
    """Take an amount."""
    desk, account = desk_of(request), request[ACCOUNT]
    ask = read(AskedCharge, await request.read())
    base_url = desk.base_url(request)

    def strike() -> Trouble | None:
        behaviour = behaviour_for(ask, desk.till.method_for(account, ask))
        return desk.faults.strike(behaviour, account.account_id, ask.merchant_reference)

    def act(under: KeyUse, trouble: Trouble | None) -> dict[str, Any]:
        refuse = REFUSALS.get(trouble) if trouble else None
        return desk.till.open(account, ask, under, base_url=base_url, refuse=refuse).shown()

    return await _once(request, "charge", ask.comparable(), act, strike)


@routes.get("/v1/charges")
async def charges(request: web.Request) -> web.StreamResponse:
    """The account's charges for one merchant reference, newest first; or all of them since a moment, page by page."""
    if "createdSince" in request.query:
        return await _charges_since(request)
    reference = request.query.get("merchantReference")
    if not reference:
        raise BadAsk("merchantReference: needed")
    trouble = await _look(request)
    found = desk_of(request).books.charges_of(request[ACCOUNT].account_id, reference)
    shown = [one.shown() for one in reversed(found[-CHARGES_SHOWN:])]
    return await desk_of(request).reply(request, body_of({"charges": shown}), trouble)


@routes.get("/v1/charges/{reference}")
async def one_charge(request: web.Request) -> web.StreamResponse:
    """One charge as it stands now."""
    trouble = await _look(request)
    found = _own_charge(request)
    if found is None:
        return refusal(404, "not_found")
    return await desk_of(request).reply(request, body_of(found.shown()), trouble)


@routes.post("/v1/charges/{reference}/void")
async def void(request: web.Request) -> web.StreamResponse:
    """Cancel a charge."""
    desk = desk_of(request)
    if _own_charge(request) is None:
        return refusal(404, "not_found")
    comparable = {"reference": request.match_info["reference"]}
    return await _once(request, "void", comparable, lambda under, _: desk.till.void(_now(request), under).shown())


@routes.post("/v1/charges/{reference}/refund")
async def refund(request: web.Request) -> web.StreamResponse:
    """Give part or all of a capture back."""
    desk = desk_of(request)
    ask = read(AskedRefund, await request.read())
    if _own_charge(request) is None:
        return refusal(404, "not_found")
    comparable = {"reference": request.match_info["reference"], "amountMinor": ask.amount_minor}
    return await _once(
        request, "refund", comparable, lambda under, _: desk.till.refund(_now(request), ask.amount_minor, under).shown()
    )


@routes.post("/v1/tokens")
async def keep(request: web.Request) -> web.StreamResponse:
    """Keep a card without charging it."""
    desk, account = desk_of(request), request[ACCOUNT]
    ask = read(AskedToken, await request.read())

    def act(under: KeyUse, _: Trouble | None) -> dict[str, Any]:
        kept = desk.till.keep(account, ask.card, under)
        return {"kept": kept.shown()} if isinstance(kept, Token) else {"declineReason": kept}

    return await _once(request, "token", {"card": ask.card.masked(), "customer": ask.customer}, act)


@routes.delete("/v1/tokens/{token}")
async def forget(request: web.Request) -> web.StreamResponse:
    """Remove a kept method; 404 when there is none."""
    desk = desk_of(request)
    trouble = desk.trouble_for("forget")
    await desk.process(trouble)
    token = desk.books.tokens.get(request.match_info["token"])
    if token is None or token.account_id != request[ACCOUNT].account_id:
        return refusal(404, "not_found")
    if trouble not in NOTHING_WRITTEN:
        desk.books.forget_token(token.token)
    return await desk.reply(request, body_of({"forgotten": True}), trouble)


async def _charges_since(request: web.Request) -> web.StreamResponse:
    """The account's charges made since ?createdSince, oldest first; ?after takes the *next* of the page before."""
    since, after = request.query["createdSince"], request.query.get("after", "0")
    if not after.isascii() or not after.isdigit() or len(after) > 12:
        raise BadAsk("after: must be the next of a page")
    trouble = await _look(request)
    books = desk_of(request).books
    found = books.charges_since(request[ACCOUNT].account_id, since, start=int(after), limit=PAGE)
    more = str(found[-1][0] + 1) if len(found) == PAGE else None
    shown = {"charges": [charge.shown() for _, charge in found], "next": more}
    return await desk_of(request).reply(request, body_of(shown), trouble)


async def _once(
    request: web.Request,
    operation: Operation,
    comparable: dict[str, Any],
    act: Act,
    strike: Callable[[], Trouble | None] = lambda: None,
) -> web.StreamResponse:
    """Run *act* once under the request's Idempotency-Key; a repeat gets the first answer."""
    desk = desk_of(request)
    key = request.headers.get("Idempotency-Key", "")
    if not 0 < len(key) <= KEY_LIMIT:
        raise BadAsk("Idempotency-Key: needed, at most 255 characters")
    use = KeyUse(operation, key, digest_of(operation, comparable))
    held = (request[ACCOUNT].account_id, operation, key)
    lifetime_s = desk.faults.now.key_lifetime_seconds
    first = desk.books.keys.recall(held, use.digest, lifetime_s=lifetime_s, now=time.time())
    if first is not None:
        return await desk.reply(request, first, None)
    with desk.books.keys.running(held, use.digest):
        trouble = desk.trouble_for(operation) or strike()
        await desk.process(trouble)
        body = b"{}" if trouble in NOTHING_WRITTEN else body_of(act(use, trouble))
        await desk.books.ledger.durable()
    return await desk.reply(request, body, trouble)


async def _look(request: web.Request) -> Trouble | None:
    desk = desk_of(request)
    trouble = desk.trouble_for("lookUp")
    await desk.process(trouble)
    return trouble


def _own_charge(request: web.Request) -> Charge | None:
    found = desk_of(request).books.charges.get(request.match_info["reference"])
    return found if found and found.account_id == request[ACCOUNT].account_id else None


def _now(request: web.Request) -> Charge:
    """The charge as it stands after the processing time."""
    return desk_of(request).books.charges[request.match_info["reference"]]
