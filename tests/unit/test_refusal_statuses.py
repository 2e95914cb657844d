"""Every refusal has a name, a status and a shape (contract sections 1 to 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as RedisAway
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import errors
from shared.domain import refusals
from shared.domain.refusals import PspUnavailable, RateLimited, Refusal, Unavailable

CARD: Final = "4111111111111111"
"""What a driver or a validator may quote; so long that it stands in no id or time that a line of the log carries."""


def _kinds(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


NAMED = [kind for kind in _kinds(Refusal) if kind.__module__ == refusals.__name__]


@pytest.mark.parametrize("kind", NAMED)
def test_every_named_refusal_has_a_status_of_its_own(kind: type[Refusal]) -> None:
    assert kind in errors.STATUS_OF


def test_no_two_refusals_share_a_name() -> None:
    assert len({kind.message_code for kind in NAMED}) == len(NAMED)


class _Raises:
    """An app whose every route raises what it is told to."""

    def __init__(self) -> None:
        self.error: Exception = RuntimeError()
        app = Flask(__name__)
        errors.register(app)
        app.add_url_rule("/<path:path>", "all", self._raise, methods=["GET", "POST"])
        self.client: FlaskClient = app.test_client()

    def _raise(self, path: str) -> str:
        raise self.error


@pytest.fixture
def app() -> _Raises:
    return _Raises()


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("/c2a/offer/checkout", {"trackingNumber": None, "followUpInstructions": {"canFollowUp": False}}),
        ("/c2a/offer/checkout/trk_1/status", {}),
        ("/c2a/offer/bundles", {"offer": None}),
        ("/c2a/offer/showcase", {"offer": None}),
        ("/c2a/customer/payment/methods/info", {"result": None}),
    ],
)
def test_a_refusal_has_the_shape_of_its_route(app: _Raises, prefix: str, path: str, beside: dict[str, object]) -> None:
    app.error = refusals.OfferExpired("it is over")

    answer = app.client.post(prefix + path)

    assert answer.status_code == 409
    assert answer.json == {**beside, "message": "it is over", "status": {"messageCode": "OFFER_EXPIRED"}}


@pytest.mark.parametrize(("path", "status"), [("offer/checkout", 409), ("customer/payment/methods/info", 404)])
def test_an_unknown_method_is_a_conflict_at_checkout_and_not_found_elsewhere(
    app: _Raises, path: str, status: int
) -> None:
    app.error = refusals.PaymentMethodNotFound()

    assert app.client.post(f"/api/c2a/{path}").status_code == status


def test_an_invalid_order_is_400_in_the_bare_envelope(app: _Raises) -> None:
    app.error = refusals.InvalidRequest("order: is required")

    answer = app.client.post("/api/v1/c2a/offer/checkout")

    assert answer.status_code == 400
    assert answer.json == {"message": "order: is required", "status": {"messageCode": "INVALID_REQUEST"}}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RateLimited("slow", retry_after_s=7), 429, "RATE_LIMITED"),
        (PspUnavailable("away", retry_after_s=7), 503, "PSP_UNAVAILABLE"),
        (type("VaultAway", (Unavailable,), {})("away", retry_after_s=7), 503, "SERVICE_UNAVAILABLE"),
    ],
)
def test_who_is_sent_away_is_told_when_to_come_back(app: _Raises, error: Refusal, status: int, code: str) -> None:
    app.error = error

    answer = app.client.get("/api/v1/x")

    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert answer.json is not None
    assert answer.json["status"] == {"messageCode": code}


@pytest.mark.parametrize(
    "error", [OperationalError(f"SELECT {CARD}", {}, Exception(CARD)), PoolTimeout(CARD), RedisAway(CARD)]
)
def test_what_is_away_is_503_soon_over_and_quotes_nothing(app: _Raises, error: Exception) -> None:
    app.error = error

    answer = app.client.get("/api/v1/x")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert CARD not in answer.text


@pytest.mark.parametrize("error", [RuntimeError(CARD), ProgrammingError(f"SELECT {CARD}", {}, Exception(CARD))])
def test_our_own_fault_is_500_and_neither_answer_nor_log_quotes_it(
    app: _Raises, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    app.error = error

    answer = app.client.get("/api/v1/x")

    assert answer.status_code == 500
    assert answer.json == {"status": {"messageCode": "INTERNAL_SERVER_ERROR"}}
    logged = "".join(capfd.readouterr())
    assert type(error).__name__ in logged
    assert "test_refusal_statuses.py" in logged
    assert CARD not in logged
