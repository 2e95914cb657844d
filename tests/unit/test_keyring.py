"""Sealed values open only where they belong, with keys that are still in the ring."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import keyring
from shared.key_service import CannotOpen, RetiredKey, Wrapped
from shared.keyring import Keyring
from shared.local_keys import BadRing, LocalKeys


def local(ring: Keyring) -> LocalKeys:
    assert isinstance(ring.keys, LocalKeys)
    return ring.keys


def key_id_of(sealed: bytes) -> str:
    return sealed[2 : 2 + sealed[1]].decode()


def test_what_was_sealed_opens_where_it_belongs() -> None:
    ring = keyring.fresh()
    assert ring.open(ring.seal(b"4111", bound_to="card:a:1"), bound_to="card:a:1") == b"4111"


def test_a_value_moved_to_another_place_does_not_open() -> None:
    ring = keyring.fresh()
    sealed = ring.seal(b"4111", bound_to="card:a:1")
    with pytest.raises(CannotOpen):
        ring.open(sealed, bound_to="card:b:1")


def test_a_value_that_was_changed_does_not_open() -> None:
    ring = keyring.fresh()
    sealed = ring.seal(b"4111", bound_to="here")
    with pytest.raises(CannotOpen):
        ring.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), bound_to="here")


def test_no_byte_of_a_sealed_value_may_differ() -> None:
    ring = keyring.fresh()
    sealed = ring.seal(b"4111", bound_to="here")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(CannotOpen):
            ring.open(changed, bound_to="here")


def test_each_value_has_a_data_key_of_its_own_which_only_the_key_service_unwraps() -> None:
    ring = keyring.fresh()
    [first, second] = [ring.seal(b"4111", bound_to="here") for _ in range(2)]
    assert first != second
    with pytest.raises(CannotOpen):
        replace(ring, keys=keyring.fresh().keys).open(first, bound_to="here")


def test_a_wrapped_data_key_does_not_pass_for_a_value() -> None:
    """Else whoever can write where values are kept could bring one to light."""
    ring = keyring.fresh()
    sealed = ring.seal(b"4111", bound_to="here")
    wrapped = sealed[2 + sealed[1] + 2 :][:60]
    assert len(ring.keys.unwrap(Wrapped("k1", wrapped), context="data-key:here")) == 32
    with pytest.raises(CannotOpen):
        ring.open(b"k1." + wrapped, bound_to="here")


def test_what_a_key_sealed_before_there_were_data_keys_still_opens_and_only_there() -> None:
    ring, nonce = keyring.fresh(), bytes(12)
    sealed = b"k1." + nonce + AESGCM(local(ring).keys["k1"]).encrypt(nonce, b"4111", b"here")
    assert ring.open(sealed, bound_to="here") == b"4111"
    with pytest.raises(CannotOpen):
        ring.open(sealed, bound_to="there")


@pytest.mark.parametrize(
    "junk", [b"", b"k1.", b"k1.short", b"nothing", b"\x02", b"\x02\x02k1", b"\x02\x02k1\xff\xffx", b"\x02\xff"]
)
def test_junk_does_not_open(junk: bytes) -> None:
    with pytest.raises(CannotOpen):
        keyring.fresh().open(junk, bound_to="here")


def test_keys_rotate_without_downtime_and_a_retired_key_refuses() -> None:
    old = keyring.fresh()
    sealed = old.seal(b"4111", bound_to="here")
    rotated = replace(old, keys=local(old).rotated())
    retired = replace(rotated, keys=local(rotated).without("k1"))

    assert rotated.open(sealed, bound_to="here") == b"4111"
    assert key_id_of(sealed) == "k1"
    assert key_id_of(rotated.seal(b"5555", bound_to="here")) == "k2"
    with pytest.raises(RetiredKey, match="retired"):
        retired.open(sealed, bound_to="here")


def test_a_key_that_never_was_here_is_told_from_one_that_was_retired() -> None:
    sealed = replace(keyring.fresh(), keys=local(keyring.fresh()).rotated()).seal(b"4111", bound_to="here")
    with pytest.raises(CannotOpen, match="put it back") as refused:
        keyring.fresh().open(sealed, bound_to="here")
    assert not isinstance(refused.value, RetiredKey)


def test_a_prepared_key_opens_before_it_seals_and_is_the_next_to_seal() -> None:
    prepared = local(keyring.fresh()).prepared()
    assert (prepared.active, list(prepared.keys)) == ("k1", ["k1", "k2"])
    rotated = prepared.rotated()
    assert (rotated.active, list(rotated.keys)) == ("k2", ["k1", "k2"])
    assert rotated.keys["k2"] == prepared.keys["k2"]


def test_no_key_id_is_ever_given_twice() -> None:
    ring = local(keyring.fresh()).rotated().without("k1")
    assert list(ring.rotated().keys) == ["k2", "k3"]
    assert list(ring.rotated().without("k2").rotated().keys) == ["k3", "k4"]


@pytest.mark.parametrize("key_id", ["k1", "k9"])
def test_neither_the_key_that_seals_nor_an_unknown_one_is_retired(key_id: str) -> None:
    with pytest.raises(BadRing):
        local(keyring.fresh()).without(key_id)


def test_fingerprints_are_each_tenants_own() -> None:
    ring = keyring.fresh()
    [mine, yours] = [ring.fingerprints(UUID(int=number)) for number in (1, 2)]
    assert mine.of("a") == ring.fingerprints(UUID(int=1)).of("a")
    assert mine.of("a") != yours.of("a")
    assert mine.of("a") != ring.digest("a")
    assert repr(mine) == "Fingerprints()"


def test_digests_need_the_pepper_and_their_parts_cannot_run_into_each_other() -> None:
    ring = keyring.fresh()
    assert ring.digest("a", "b") == ring.digest("a", "b")
    assert ring.digest("a", "b") != ring.digest("ab", "")
    assert ring.digest("a", "b") != keyring.fresh().digest("a", "b")


def test_a_saved_ring_is_read_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    ring, path = keyring.fresh(), tmp_path / "keyring.json"
    keyring.save(ring, path)
    assert keyring.load(path) == ring
    assert path.stat().st_mode & 0o077 == 0


def test_a_ring_with_a_short_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    keyring.save(keyring.fresh(), path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"keys": {"k1": base64.b64encode(b"short").decode()}}))
    with pytest.raises(BadRing, match="32 bytes"):
        keyring.load(path)


@pytest.mark.parametrize(
    "document", ["", "{}", "[]", '{"active": "k1", "keys": [], "pepper": ""}', '{"active": "k1", "keys": {"k1": 7}}']
)
def test_what_is_no_key_document_is_refused_and_not_quoted(document: str) -> None:
    with pytest.raises(BadRing, match="cannot be used") as refused:
        keyring.read(document)
    assert refused.value.__cause__ is None
    assert document not in str(refused.value) or not document


def test_a_ring_that_replaces_another_is_read_by_whoever_read_that(tmp_path: Path) -> None:
    path, link = tmp_path / "keyring.json", tmp_path / "link.json"
    keyring.save(keyring.fresh(), path)
    path.chmod(0o640)
    link.symlink_to(path)
    keyring.save(fresh := keyring.fresh(), link)
    assert link.is_symlink()
    assert keyring.load(path) == fresh
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_a_ring_shows_no_key() -> None:
    ring = keyring.fresh()
    assert repr(ring) == "Keyring(keys=LocalKeys(active='k1', retired=frozenset()))"
