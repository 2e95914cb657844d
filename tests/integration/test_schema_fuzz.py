"""Generated calls, right and wrong, break no operation, and every answer is one the document promises (G5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, Final, cast

import pytest
import schemathesis
from flask import Flask, Response
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis.errors import Unsatisfiable
from redis import Redis
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine

from api.app import create_app
from api.openapi.document import document
from shared.config import Settings
from tests.support.front_door import Shop, a_shop, parts_for

CALLS: Final = 250
"""A mode, so 500 an operation; an operation that takes nothing cannot be called wrongly. In process, because all of
them together must take no more than a minute and a half of a core: making up a call costs five times what serving it
does."""
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
]
OPERATIONS: Final = [
    (path, method)
    for path, operations in json.loads(document())["paths"].items()
    for method in operations
    if "servers" not in operations  # The two without a prefix: they take nothing.
]


@pytest.fixture(scope="module")
def app(settings: Settings, engine: Engine, vault_url: str) -> Iterator[Flask]:
    """The app as it is served."""
    redis = Redis.from_url(vault_url)
    made = create_app(parts_for(settings, engine, redis))
    made.after_request(_whole)
    yield made
    redis.close()


def _whole(response: Response) -> Response:
    """*response* in memory: nobody closes the files that schemathesis is answered with."""
    if response.direct_passthrough:
        with closing(cast("Any", response.response)):
            response.direct_passthrough = False
            response.make_sequence()
    return response


@pytest.fixture(scope="module")
def shop(engine: Engine) -> Shop:
    """Who calls."""
    return a_shop(engine)


@pytest.fixture(scope="module")
def described(app: Flask) -> BaseSchema:
    """What the app says of itself."""
    return schemathesis.openapi.from_wsgi("/api/v1/c2a/openapi.json", app)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_generated_call_breaks_an_operation(
    described: BaseSchema, shop: Shop, path: str, method: str, mode: GenerationMode
) -> None:
    made = 0

    @effort(max_examples=CALLS, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def call(case: Case[Any]) -> None:
        nonlocal made
        made += 1
        case.call_and_validate(headers=shop.headers, checks=CHECKS)

    with suppress(Unsatisfiable):  # An operation that takes nothing cannot be called wrongly.
        call()
    assert made >= CALLS or (made == 0 and mode is GenerationMode.NEGATIVE), "the floor of calls was not met"
