"""The operator's console at /ops: pages made here, over the actions that the command c2a has.

It adds no rule of its own. What is shown and done is shared/operate's, for the tenant of the operator's key, and
nothing of it comes from another host.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException, NotFound

from api import errors
from api.ops import guard, login, order, overview, search, webhooks
from api.ops.guard import open_to_all
from api.ops.pages import page
from api.parts import Parts
from shared.domain.refusals import Unavailable

FILES: Final = ("console.css", "console.js", "icon.svg")
"""What the pages load, and all that is served as it is."""
FOLDER: Final = Path(__file__).parent / "files"
FILE_LIFE_S: Final = 300
"""A new version of the console is seen everywhere five minutes later."""
RETRY_AFTER_S: Final = "2"
"""As any 503 of ours says."""


def blueprint(parts: Parts) -> Blueprint:
    """The console over *parts*."""
    routes = Blueprint("ops", __name__, template_folder="templates")
    guard.register(routes)
    routes.register_error_handler(HTTPException, _http_error)
    routes.register_error_handler(Exception, _trouble)
    for room in (login, overview, search, order, webhooks):
        room.add(routes, parts)

    @routes.get("/ops/files/<file>")
    @open_to_all
    def asset(file: str) -> Response:
        if file not in FILES:
            raise NotFound
        return send_from_directory(FOLDER, file, max_age=FILE_LIFE_S)

    return routes


def _http_error(error: HTTPException) -> Response:
    code = HTTPStatus(error.code or 500)
    return page("problem", code, title=code.phrase, why="This is not an address, or a form, of the console.")


def _trouble(error: Exception) -> Response:
    """What went wrong, judged and logged as at every other route; said as a page."""
    if isinstance(error, Unavailable):  # The vault or the key service.
        return _away("Something that this page needs")
    told = errors.unexpected(error)
    if told.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        redis = isinstance(error, RedisError)
        return _away("The Redis at VAULT_URL, which keeps sessions," if redis else "The database")
    why = "Something is wrong with the console itself. Its log says more; the command c2a does all that it does."
    return page("problem", told.status_code, title="That did not work", why=why)


def _away(who: str) -> Response:
    why = f"{who} does not answer now. Load the page again in a moment; the command c2a may still work."
    response = page("problem", HTTPStatus.SERVICE_UNAVAILABLE, title="One moment", why=why)
    response.headers["Retry-After"] = RETRY_AFTER_S
    return response
