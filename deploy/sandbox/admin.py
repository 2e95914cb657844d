"""The routes of whoever runs the sandbox: accounts, ledger, faults, webhooks, health. They need no key."""

from __future__ import annotations

import binascii

from aiohttp import web
from standardwebhooks import Webhook

from deploy.sandbox.asks import AskedAccount, BadAsk, read
from deploy.sandbox.desk import desk_of
from deploy.sandbox.faults import BadFaults
from deploy.sandbox.records import PspAccount, stamp
from deploy.sandbox.troubles import refusal

routes = web.RouteTableDef()
WEBHOOKS_SHOWN = 1_000


@routes.get("/healthz")
async def health(request: web.Request) -> web.Response:
    """200 while the process takes calls."""
    return web.json_response({"status": "ok", "charges": len(desk_of(request).books.charges)})


@routes.post("/accounts")
async def open_account(request: web.Request) -> web.Response:
    """Open an account or change it."""
    desk = desk_of(request)
    try:
        ask = read(AskedAccount, await request.read())
        Webhook(ask.webhook_secret)
    except BadAsk as error:
        return refusal(400, "invalid_request", str(error))
    except binascii.Error:
        return refusal(400, "invalid_request", "webhookSecret: must be base64, with or without whsec_ before it")
    holder = desk.books.account_of_key.get(ask.api_key)
    if holder and holder.account_id != ask.account_id:
        return refusal(409, "key_taken", "apiKey: belongs to another account")
    account = PspAccount(**ask.model_dump())
    if desk.books.accounts.get(account.account_id) != account:
        desk.books.save_account(account)
    await desk.books.ledger.durable()
    return web.json_response({"accountId": account.account_id, "merchantName": account.merchant_name})


@routes.get("/ledger")
async def ledger(request: web.Request) -> web.Response:
    """Every charge, oldest first; ?merchantReference, ?accountId and ?since (RFC 3339 UTC) narrow it."""
    desk = desk_of(request)
    reference, account_id = request.query.get("merchantReference"), request.query.get("accountId")
    since = request.query.get("since", "")
    rows = [
        charge.in_ledger()
        for charge in desk.books.charges.values()
        if reference in (None, charge.merchant_reference)
        and account_id in (None, charge.account_id)
        and stamp(charge.created_at) >= since
    ]
    await desk.books.ledger.durable()
    return web.json_response({"charges": rows})


@routes.get("/traffic/{account_id}")
async def traffic(request: web.Request) -> web.Response:
    """How often an account called: in all, in its busiest second, and how often it was refused for it."""
    return web.json_response(desk_of(request).traffic.shown(request.match_info["account_id"]))


@routes.get("/faults")
async def show_faults(request: web.Request) -> web.Response:
    """The settings in force."""
    return web.json_response(desk_of(request).faults.shown())


@routes.post("/faults")
async def change_faults(request: web.Request) -> web.Response:
    """Lay the given fields over the settings in force."""
    faults = desk_of(request).faults
    try:
        faults.change(await request.json())
    except BadFaults as error:
        return refusal(400, "invalid_faults", str(error))
    except ValueError:
        return refusal(400, "invalid_faults", "the body must be a JSON object")
    return web.json_response(faults.shown())


@routes.delete("/faults")
async def reset_faults(request: web.Request) -> web.Response:
    """Back to a healthy PSP."""
    faults = desk_of(request).faults
    faults.reset()
    return web.json_response(faults.shown())


@routes.get("/webhooks")
async def show_webhooks(request: web.Request) -> web.Response:
    """The newest webhooks first; ?state=waiting|delivered|lost|failed|no_address and ?pspReference= narrow it."""
    asked = request.query
    rows = desk_of(request).outbox.shown(
        state=asked.get("state"), reference=asked.get("pspReference"), limit=WEBHOOKS_SHOWN
    )
    return web.json_response({"webhooks": list(rows)})


@routes.post("/webhooks/{event_id}/send")
async def send_webhook(request: web.Request) -> web.Response:
    """Send one webhook again, now."""
    if not desk_of(request).outbox.send_again(request.match_info["event_id"]):
        return refusal(404, "not_found")
    return web.json_response({"sent": True}, status=202)
