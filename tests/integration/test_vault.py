"""A card waits sealed, opens only for its own order, and goes when it is let go or its time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest
import redis

from shared import kept, keyring, vault
from shared.domain.cards import Card
from shared.keyring import CannotOpen
from shared.store import methods
from shared.vault import Vault, VaultAway
from tests.support import lateness
from tests.support.own_redis import own_redis
from tests.support.vaulted import card_of

CARD = Card("Jane Doe", "4111111111111111", "2029", "12", "9173", "Personal Visa")


@pytest.fixture
def server(vault_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(vault_url) as client:
        yield client


@pytest.fixture
def cards(vault_url: str) -> Vault:
    return Vault(vault.connect(vault_url), keyring.fresh(), ttl_s=900)


def test_a_card_comes_back_as_it_went_in(cards: Vault) -> None:
    tenant = uuid4()
    cards.put(tenant, "trk_1", CARD)
    assert card_of(cards, tenant, "trk_1") == CARD


def test_nothing_of_a_card_can_be_read_in_the_server(cards: Vault, server: redis.Redis) -> None:
    server.flushdb()
    cards.put(UUID(int=0), "trk_2", CARD)  # No digits of a card by chance.
    held = b"".join(key + cast("bytes", server.get(key)) for key in cast("list[bytes]", server.keys("card:*")))
    assert not [part for part in (b"4111", b"Jane", b"9173", b"2029") if part in held]


def test_a_card_moved_to_another_order_does_not_open(cards: Vault, server: redis.Redis) -> None:
    tenant = uuid4()
    cards.put(tenant, "trk_3", CARD)
    server.rename(f"card:{tenant}:trk_3", f"card:{tenant}:trk_4")
    with pytest.raises(CannotOpen):
        card_of(cards, tenant, "trk_4")


def test_a_card_moved_to_another_tenant_does_not_open(cards: Vault, server: redis.Redis) -> None:
    tenant, other = uuid4(), uuid4()
    cards.put(tenant, "trk_3", CARD)
    server.rename(f"card:{tenant}:trk_3", f"card:{other}:trk_3")
    with pytest.raises(CannotOpen):
        card_of(cards, other, "trk_3")


@pytest.mark.parametrize(
    "bound_to",
    [lambda tenant: kept.bound_to(tenant, "trk_3", 1), lambda tenant: methods.bound_to(tenant, "trk_3")],
    ids=["kept with a charge", "a stored method"],
)
def test_a_card_is_opened_for_no_other_purpose_and_nothing_else_as_a_card(
    cards: Vault, server: redis.Redis, bound_to: Callable[[UUID], str]
) -> None:
    tenant = uuid4()
    cards.put(tenant, "trk_3", CARD)
    sealed = cast("bytes", server.get(f"card:{tenant}:trk_3"))
    with pytest.raises(CannotOpen):
        cards.keyring.open(sealed, bound_to=bound_to(tenant))
    server.set(f"card:{tenant}:trk_3", cards.keyring.seal(b"{}", bound_to=bound_to(tenant)))
    with pytest.raises(CannotOpen):
        card_of(cards, tenant, "trk_3")


def test_a_card_lives_for_its_time_and_not_longer(cards: Vault, server: redis.Redis) -> None:
    tenant = uuid4()
    cards.put(tenant, "trk_5", CARD)
    assert 890 <= int(server.ttl(f"card:{tenant}:trk_5")) <= 900


def test_a_card_that_was_let_go_is_gone(cards: Vault) -> None:
    tenant = uuid4()
    cards.put(tenant, "trk_6", CARD)
    cards.forget(tenant, "trk_6")
    assert card_of(cards, tenant, "trk_6") is None


def test_a_vault_that_is_away_says_so_by_name() -> None:
    away = Vault(vault.connect("redis://127.0.0.1:1/0"), keyring.fresh(), ttl_s=900)
    with pytest.raises(VaultAway):
        away.put(uuid4(), "trk_7", CARD)
    with pytest.raises(VaultAway):
        card_of(away, uuid4(), "trk_7")
    away.forget(uuid4(), "trk_7")  # Its time to live does it.


def test_a_silent_vault_is_away_within_the_time_the_contract_gives(tmp_path: Path) -> None:
    """A stopped server takes connections and never answers: 503 within 2 s."""
    with own_redis(tmp_path) as server:
        silent = Vault(vault.connect(server.url), keyring.fresh(), ttl_s=900)
        silent.put(uuid4(), "trk_8", CARD)
        with server.silent(), lateness.watched() as late:
            started = time.monotonic()
            with pytest.raises(VaultAway):
                silent.put(uuid4(), "trk_9", CARD)
            took = time.monotonic() - started
        assert took - late.seconds < 2.0


def test_hundreds_at_once_are_served_by_one_process(cards: Vault) -> None:
    """A worker of 256 threads, or a front door with as many requests in hand: each waits on a connection of its own."""
    crowd = 256
    together = threading.Barrier(crowd)
    # How many there may be is the matter, and not how soon a machine answers them all.
    cards.redis.connection_pool.connection_kwargs |= {"socket_timeout": 30.0, "socket_connect_timeout": 30.0}

    def waits(number: int) -> None:
        together.wait(30)
        assert cards.redis.blpop([f"nobody-pushes-here-{number}"], timeout=0.3) is None

    with ThreadPoolExecutor(crowd) as threads:
        list(threads.map(waits, range(crowd)))
    cards.redis.close()
