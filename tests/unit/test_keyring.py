"""Sealed values open only where they belong, with keys that are still in the ring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared import keyring
from shared.keyring import CannotOpen


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


@pytest.mark.parametrize("junk", [b"", b"k1.", b"k1.short", b"nothing"])
def test_junk_does_not_open(junk: bytes) -> None:
    with pytest.raises(CannotOpen):
        keyring.fresh().open(junk, bound_to="here")


def test_keys_rotate_without_downtime_and_a_retired_key_refuses() -> None:
    old = keyring.fresh()
    sealed = old.seal(b"4111", bound_to="here")
    rotated = replace(old, active="k2", keys=old.keys | {"k2": bytes(32)})
    retired = replace(rotated, keys={"k2": bytes(32)})

    assert rotated.open(sealed, bound_to="here") == b"4111"
    assert rotated.seal(b"5555", bound_to="here").startswith(b"k2.")
    with pytest.raises(CannotOpen, match="not in the ring"):
        retired.open(sealed, bound_to="here")


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
    keyring.save(replace(keyring.fresh(), keys={"k1": b"short"}), path)
    with pytest.raises(ValueError, match="32 bytes"):
        keyring.load(path)


def test_a_ring_shows_no_key() -> None:
    ring = keyring.fresh()
    assert repr(ring) == "Keyring(active='k1')"
