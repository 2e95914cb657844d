"""Webhooks that are parked, because nobody knows which attempt they speak of; and telling one again."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request

from api.ops.forms import Wrong, asked, attempt_meant, desk
from api.ops.guard import behind_login, operator
from api.ops.order import to_order, unknown
from api.ops.pages import page
from api.parts import Parts
from shared.operate import news
from shared.operate.actions import OtherAction
from shared.operate.asking import NotAsked
from shared.operate.news import Meant, NoSuchEvent
from shared.store import inbox_search, operator_actions, orders
from shared.store.engine import statements
from shared.store.inbox import EventName
from shared.store.inbox_search import Place
from shared.store.operator_actions import Acted

A_PAGE: Final = 50


def add(routes: Blueprint, parts: Parts) -> None:
    """The routes."""

    @routes.get("/ops/webhooks")
    @behind_login
    def webhooks() -> Response:
        return _shown(parts, did=_did(parts))

    @routes.post("/ops/webhooks")
    @behind_login
    def replay() -> Response:
        number = request.form.get("number", "").strip()
        try:
            if number and not _is_known(parts, number):
                return unknown()
            acted = _replayed(parts, number)
        except NoSuchEvent:
            why = "The inbox has no such event."
            return page("problem", HTTPStatus.NOT_FOUND, title="No such webhook", why=why)
        except (Wrong, NotAsked, OtherAction) as error:
            return _shown(parts, wrong=str(error), status=HTTPStatus.BAD_REQUEST)
        if acted.tracking_number:
            return to_order(acted.tracking_number, acted)
        return cast("Response", redirect(f"/ops/webhooks?did={acted.action_id}#did", HTTPStatus.SEE_OTHER, Response))


def _replayed(parts: Parts, number: str) -> Acted:
    no = attempt_meant()
    if no is not None and not number:
        raise Wrong("attempt: name its order, too")
    name = EventName(operator().caller.tenant_id, request.form.get("provider", ""), request.form.get("event", ""))
    return news.replay(desk(parts), name, asked(), Meant(number, no) if number else None)


def _is_known(parts: Parts, number: str) -> bool:
    with statements(parts.engine) as conn:
        return orders.of_tenant(conn, operator().caller.tenant_id, number) is not None


def _shown(parts: Parts, *, did: Acted | None = None, wrong: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    with statements(parts.engine) as conn:
        found = inbox_search.parked(conn, tenant_id=operator().caller.tenant_id, after=_place(), limit=A_PAGE + 1)
    shown = found[:A_PAGE]
    more = None
    if len(found) > A_PAGE:
        more = urlencode({"at": shown[-1].received_at.isoformat(), "after": shown[-1].event_id})
    return page(
        "webhooks",
        status,
        events=shown,
        why_not=news.why_not,
        more=more,
        did=did,
        wrong=wrong,
        typed=request.form if wrong else {},
        new_id=uuid.uuid4,
    )


def _did(parts: Parts) -> Acted | None:
    """The action that this page is shown after."""
    try:
        action_id = uuid.UUID(request.args.get("did", ""))
    except ValueError:
        return None
    with statements(parts.engine) as conn:
        return operator_actions.get(conn, operator().caller.tenant_id, action_id)


def _place() -> Place | None:
    """Where the page before ended; a place that nobody could have ended at is the beginning."""
    try:
        return datetime.fromisoformat(request.args.get("at", "")), request.args.get("after", "")
    except ValueError:
        return None
