"""The routes a shopper's browser visits: the challenge page and its three buttons."""

from __future__ import annotations

from aiohttp import web

from deploy.sandbox.desk import desk_of
from deploy.sandbox.pages import SECURITY_HEADERS, challenge_page, not_found_page
from deploy.sandbox.records import Charge
from deploy.sandbox.troubles import refusal

routes = web.RouteTableDef()
DECISIONS = frozenset({"approve", "decline", "cancel"})


@routes.get("/challenge/{reference}")
async def show(request: web.Request) -> web.Response:
    """The page, or how the challenge ended."""
    desk = desk_of(request)
    charge = desk.books.charges.get(request.match_info["reference"])
    await desk.books.ledger.durable()
    return _not_found() if charge is None else _page_of(request, charge)


@routes.post("/challenge/{reference}")
async def decide(request: web.Request) -> web.StreamResponse:
    """Take the shopper's decision once, then send the browser back to the shop."""
    desk = desk_of(request)
    charge = desk.books.charges.get(request.match_info["reference"])
    decision = (await request.post()).get("decision")
    if charge is None:
        return _not_found()
    if decision not in DECISIONS:
        return refusal(400, "invalid_request", "decision: must be approve, decline or cancel")
    charge = desk.till.decide(charge, str(decision))
    await desk.books.ledger.durable()
    if charge.state == "challenge" or charge.return_url is None:
        return _page_of(request, charge)
    # Written by hand: the shop's address goes out exactly as it came in, signed query and all.
    return web.Response(status=303, headers={**SECURITY_HEADERS, "Location": charge.return_url})


def _page_of(request: web.Request, charge: Charge) -> web.Response:
    account = desk_of(request).books.accounts[charge.account_id]
    return web.Response(
        text=challenge_page(charge, account.merchant_name), content_type="text/html", headers=SECURITY_HEADERS
    )


def _not_found() -> web.Response:
    return web.Response(status=404, text=not_found_page(), content_type="text/html", headers=SECURITY_HEADERS)
