"""One order's page: its whole story, and what may be done with it now.

What is allowed, and why not, is judged by shared/operate, as for the command c2a; what is done is done there, with who
asked and why. A page is shown again after an action by a redirect, so that to load it again asks for nothing.
"""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import cast

from flask import Blueprint, Response, redirect, request

from api.ops.forms import DOES, WAYS, Wrong, asked, desk
from api.ops.guard import behind_login, operator
from api.ops.pages import page
from api.parts import Parts
from shared.operate import news, sentences, story, waiting
from shared.operate.actions import NoSuchOrder, OtherAction
from shared.operate.asking import NotAsked
from shared.operate.news import NoSuchEvent
from shared.operate.proving import Verdict
from shared.operate.story import Story
from shared.store.engine import statements
from shared.store.operator_actions import Acted


def add(routes: Blueprint, parts: Parts) -> None:
    """The routes."""

    @routes.get("/ops/orders/<number>")
    @behind_login
    def order(number: str) -> Response:
        found = read(parts, number)
        return unknown() if found is None else _shown(found, did=_did(found))

    @routes.post("/ops/orders/<number>/<action>")
    @behind_login
    def act(number: str, action: str) -> Response:
        found, do = read(parts, number), DOES.get(action)
        if found is None or do is None:
            return unknown()
        try:
            acted = do(desk(parts), found, asked())
        except (NoSuchOrder, NoSuchEvent):
            return unknown()
        except (Wrong, NotAsked, OtherAction) as error:
            return _shown(found, wrong=str(error), status=HTTPStatus.BAD_REQUEST, tried=action)
        return to_order(number, acted)


def read(parts: Parts, number: str) -> Story | None:
    """The story of the tenant's order of this number; another tenant's is as unknown as none."""
    with statements(parts.engine) as conn:
        found = story.find(conn, number, tenant_id=operator().caller.tenant_id)
        return None if found is None else story.read(conn, found, parts.keyring)


def unknown() -> Response:
    """No such order, or it is another tenant's."""
    why = "There is no order of this tracking number. The search finds orders by other names."
    return page("problem", HTTPStatus.NOT_FOUND, title="No such order", why=why)


def to_order(number: str, acted: Acted) -> Response:
    """Back to the order's page, which tells what came of it."""
    where = f"/ops/orders/{number}?did={acted.action_id}#did"
    return cast("Response", redirect(where, HTTPStatus.SEE_OTHER, Response))


def _shown(
    found: Story, *, did: Acted | None = None, wrong: str = "", status: HTTPStatus = HTTPStatus.OK, tried: str = ""
) -> Response:
    return page(
        "order",
        status,
        story=found,
        order=found.order,
        happened=sentences.happened(found),
        now=list(waiting.now(found)),
        next=waiting.comes_next(found),
        money=list(waiting.money(found)),
        why_not_told=news.why_not,
        ways=WAYS,
        verdicts=list(Verdict),
        did=did,
        wrong=wrong,
        tried=tried,
        typed=request.form if wrong else {},
        new_id=uuid.uuid4,
    )


def _did(found: Story) -> Acted | None:
    """The action that this page is shown after."""
    return next((one for one in found.acted if str(one.action_id) == request.args.get("did")), None)
