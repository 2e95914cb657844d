"""In production only the published routes are served, no debugger can be switched on, and every page is closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from flask import Blueprint, Flask, Response
from redis import Redis
from sqlalchemy import Engine

from api import return_page
from api.app import PREFIXES, create_app
from shared.config import Mode, Settings
from tests.integration.test_openapi_routes import documented, served
from tests.support import page_policy
from tests.support.front_door import a_shop, parts_for
from tests.support.wire import GOOD_CARD

ROOT: Final = Path(__file__).parents[2]
SWITCHES: Final = {"FLASK_DEBUG": "1", "FLASK_ENV": "development", "WERKZEUG_DEBUG_PIN": "off", "PYTHONDEVMODE": "1"}
"""What an environment may say that was copied from somebody's machine."""


@pytest.fixture
def app(settings: Settings, engine: Engine, vault_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The app in production, in an environment that asks for debugging; one route more, which breaks."""
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    with Redis.from_url(vault_url) as redis:
        yield create_app(parts_for(settings.model_copy(update={"mode": Mode.PRODUCTION}), engine, redis))


def test_only_the_published_routes_are_served(app: Flask) -> None:
    assert served(app) == documented()


def test_no_environment_switches_debugging_on(app: Flask) -> None:
    assert not app.debug
    assert not app.testing


@pytest.mark.parametrize(
    "path",
    ["/console", "/?__debugger__=yes&cmd=resource&f=debugger.js", "/debug", "/_debug_toolbar", "/static/x", "/metrics"],
)
def test_there_is_no_debugger_to_talk_to(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert answer.status_code in (401, 404)
    assert "debug" not in answer.text.lower()


def test_an_error_shows_no_traceback_and_nothing_of_the_request(
    settings: Settings, engine: Engine, app: Flask, vault_url: str
) -> None:
    extra = Blueprint("extra", __name__)

    @extra.post("/breaks")
    def breaks() -> str:
        raise RuntimeError(GOOD_CARD)

    app.register_blueprint(extra)
    shop = a_shop(engine, live=True)

    answer = app.test_client().post("/breaks", json={"cardNumber": GOOD_CARD}, headers=shop.headers)

    assert (answer.status_code, answer.json) == (500, {"status": {"messageCode": "INTERNAL_SERVER_ERROR"}})


@pytest.mark.parametrize(("live", "status"), [(False, 403), (True, 404)])
def test_a_development_key_opens_nothing(engine: Engine, app: Flask, status: int, *, live: bool) -> None:
    """H5: it hears that it is good and may not; a live key hears about what it asked for."""
    number = "trk_01M89PY73E23D3TE4D3MZHNWAV"
    answer = app.test_client().get(
        f"/api/v1/c2a/offer/checkout/{number}/status", headers=a_shop(engine, live=live).headers
    )
    assert answer.status_code == status
    assert number not in answer.text


def test_no_code_of_ours_imports_a_debugger() -> None:
    code = [path.read_text() for room in ("api", "workers", "shared") for path in (ROOT / room).rglob("*.py")]
    for word in ("werkzeug.debug", "DebuggedApplication", "import pdb", "breakpoint()", "app.run(", "rdb.set_trace"):
        assert not any(word in text for text in code), word


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_docs_page_is_closed(app: Flask, prefix: str) -> None:
    page_policy.check(dict(app.test_client().get(f"{prefix}/c2a/docs").headers))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_return_page_is_closed(app: Flask, prefix: str) -> None:
    page_policy.check(dict(app.test_client().get(f"{prefix}/c2a/offer/checkout/trk_nobody/return?state=x").headers))


@pytest.mark.parametrize("page", [return_page.thanks("trk_1"), return_page.unknown(), return_page.busy()])
def test_each_wording_of_the_return_page_is_closed(page: Response) -> None:
    page_policy.check(dict(page.headers))


def test_the_way_back_to_the_shop_is_closed() -> None:
    page_policy.check(dict(return_page.onward("https://shop.test/?a=1&trackingNumber=trk_1").headers))
