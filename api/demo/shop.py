"""The shop page at /demo: a storefront to try the API with, at the sandbox PSP and nowhere else.

It is made as a shop would make one, of what is published: a thin back end with a secret key (storefront.py), a page
that follows its order with a publishable one, and the return URL of its tenant. Who may open it is door.py's to say.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory
from werkzeug.exceptions import HTTPException, NotFound

from api import errors
from api.auth import public
from api.demo import following, selling, visit
from api.demo.pages import problem
from api.envelope import answer
from api.parts import Parts
from shared.client import CheckoutError

FILES: Final = ("shop.css", "shop.js", "icon.svg")
"""What the pages load, and all that is served as it is."""
FOLDER: Final = Path(__file__).parent / "files"
FILE_LIFE_S: Final = 300
"""A new version of the page is seen everywhere five minutes later."""
RETRY_AFTER_S: Final = 2
"""As any 503 of ours says."""


def blueprint(parts: Parts) -> Blueprint:
    """The shop over *parts*."""
    routes = Blueprint("demo", __name__, template_folder="templates")
    visit.register(routes)
    routes.register_error_handler(NotFound, _not_here)
    routes.register_error_handler(HTTPException, _http_error)
    routes.register_error_handler(CheckoutError, _no_answer)
    routes.register_error_handler(Exception, _trouble)
    selling.add(routes, parts)
    following.add(routes)

    @routes.get("/demo/files/<file>")
    @public
    def asset(file: str) -> Response:
        if file not in FILES:
            raise NotFound
        return send_from_directory(FOLDER, file, max_age=FILE_LIFE_S)

    return routes


def _not_here(_: NotFound) -> Response:
    """As an address that nobody serves is answered: who finds the shop closed does not learn that there is one."""
    return answer({}, status=HTTPStatus.NOT_FOUND, code=errors.CODE_OF[HTTPStatus.NOT_FOUND])


def _http_error(error: HTTPException) -> Response:
    code = HTTPStatus(error.code or 500)
    return problem(code, code.phrase, "This is not an address, or a form, of the shop.")


def _no_answer(_: CheckoutError) -> Response:
    """Nothing to sell, a call that was refused, or one that nobody answered; the API's own line says which."""
    return _later("The shop cannot be shown now.")


def _trouble(error: Exception) -> Response:
    """What went wrong, judged and logged as at every other route; said as a page."""
    told = errors.unexpected(error)
    if told.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return _later("Something that this page needs does not answer now.")
    return problem(HTTPStatus(told.status_code), "That did not work", "Something is wrong with the shop itself.")


def _later(what: str) -> Response:
    why = f"{what} Load the page again in a moment; no order is lost."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "One moment", why, retry_after_s=RETRY_AFTER_S)
