"""A request that cannot be served for want of a descriptor, of memory or of a thread may be made again in a moment."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
from flask import Blueprint, Response
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine

from api.auth import public
from shared.config import Settings
from tests.support.front_door import opened, parts_for

NEEDS: dict[str, Exception] = {
    "memory": MemoryError(),
    "descriptor": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    "descriptor of the system": OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
    "thread": RuntimeError("can't start new thread"),
}
BUGS: dict[str, Exception] = {"no such file": FileNotFoundError(errno.ENOENT, "x"), "bug": RuntimeError("x")}


def wanting() -> Blueprint:
    """A route that lacks what it is asked for."""
    routes = Blueprint("wanting", __name__)

    @routes.get("/wanting/<what>")
    @public
    def want(what: str) -> Response:
        raise (NEEDS | BUGS)[what]

    return routes


@pytest.fixture
def client(settings: Settings, engine: Engine, vault_url: str) -> Iterator[FlaskClient]:
    with Redis.from_url(vault_url) as redis, opened(parts_for(settings, engine, redis), wanting()) as opened_client:
        yield opened_client


@pytest.mark.parametrize("what", NEEDS)
def test_what_the_process_has_none_left_of_is_503_and_says_when_to_come_back(client: FlaskClient, what: str) -> None:
    told = client.get(f"/wanting/{what}")

    assert (told.status_code, told.headers["Retry-After"]) == (503, "2")
    assert told.json == {"message": "try again", "status": {"messageCode": "SERVICE_UNAVAILABLE"}}


@pytest.mark.parametrize("what", BUGS)
def test_anything_else_is_a_bug_of_ours(client: FlaskClient, what: str) -> None:
    assert client.get(f"/wanting/{what}").status_code == 500
