"""A kept connection answers as the client would: in order, refusals among the answers, again where it had died."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from shared.redis_wire import Wire, raised
from tests.support.own_redis import OwnRedis, own_redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path) as running:
        yield running


@pytest.fixture
def client(server: OwnRedis) -> Iterator[Redis]:
    with Redis.from_url(server.url, socket_timeout=2.0) as made:
        yield made


@pytest.fixture
def wire(client: Redis) -> Iterator[Wire]:
    made = Wire(client.connection_pool)
    yield made
    made.close()


def connected(server: OwnRedis) -> int:
    """How many clients the server has, but for who asks."""
    with server.client() as other:
        return len(other.client_list()) - 1


def test_answers_come_in_order_and_a_refusal_among_them(wire: Wire) -> None:
    told = wire.ask(("SET", "a", 1), ("LPUSH", "a", "x"), ("GET", "a"))

    assert (told[0], told[2]) == (b"OK", b"1")
    with pytest.raises(ResponseError):
        raised(told[1])


def test_one_connection_serves_one_trip_after_the_other(wire: Wire, server: OwnRedis) -> None:
    for _ in range(5):
        wire.ask(("PING",))

    assert connected(server) == 1


def test_a_connection_that_died_while_it_was_kept_costs_no_answer(wire: Wire, server: OwnRedis) -> None:
    wire.ask(("PING",))
    with server.client() as other:
        other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    assert wire.ask(("ECHO", "again")) == [b"again"]


def test_a_server_that_is_away_is_told_as_the_client_tells_it(wire: Wire, server: OwnRedis) -> None:
    wire.ask(("PING",))
    server.kill()

    with pytest.raises(RedisConnectionError):
        wire.ask(("PING",))


def test_a_silent_server_is_waited_for_once_and_its_late_answer_is_nobodys(wire: Wire, server: OwnRedis) -> None:
    wire.ask(("PING",))
    with server.silent(), pytest.raises(RedisTimeout):
        wire.ask(("ECHO", "late"))

    assert wire.ask(("ECHO", "now")) == [b"now"]
