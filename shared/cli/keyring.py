"""c2a keyring: the keys this installation seals with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from shared import keyring
from shared import reseal as resealing
from shared.cli.database import installation
from shared.cli.show import json_option, show
from shared.keyring import Keyring
from shared.local_keys import BadRing, LocalKeys
from shared.store import sealed, tenants
from shared.store.engine import statements

_file: Final[Callable[..., Any]] = click.argument(
    "path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False)
)


@click.group(
    "keyring",
    epilog="""\b
Examples:
  c2a keyring create /etc/c2a/keyring.json
  c2a keyring rotate /etc/c2a/keyring.json""",
)
def group() -> None:
    """Make the file of sealing keys; rotate, reseal, retire."""


@group.command(
    epilog="""\b
Example:
  c2a keyring create /etc/c2a/keyring.json   # then set C2A_KEYRING to it, for every process"""
)
@_file
@json_option
def create(path: Path, as_json: bool) -> None:
    """Write a new ring to FILE, readable by its owner alone; refuses a FILE that exists.

    Whoever loses it loses what it sealed: stored methods and PSP credentials. Keep a copy where secrets are kept.
    """
    if path.exists():
        raise click.ClickException(f"{path} exists; a ring is never overwritten")
    keyring.save(keyring.fresh(), path)
    show({"keyring": str(path)}, as_json=as_json)


@group.command(
    epilog="""\b
Examples:
  c2a keyring rotate /etc/c2a/keyring.json             # every process reads this very file
  c2a keyring rotate --prepare /etc/c2a/keyring.json   # copies: give the prepared ring to every host, then rotate"""
)
@_file
@click.option("--prepare", is_flag=True, help="Add the next key, which opens but does not seal before you rotate.")
@json_option
def rotate(path: Path, prepare: bool, as_json: bool) -> None:
    """Seal with a new key from now on; what older keys sealed still opens.

    Running processes follow FILE; none has to be restarted. A key that was prepared is the next to seal.
    """
    _change(path, LocalKeys.prepared if prepare else LocalKeys.rotated, as_json=as_json)


@group.command(
    epilog="""\b
Example:
  c2a keyring reseal /etc/c2a/keyring.json   # after `c2a keyring rotate`"""
)
@_file
@json_option
def reseal(path: Path, as_json: bool) -> None:
    """Bring stored methods, PSP credentials and events under the key that seals at present.

    It may run beside everything else, as often as you like. Cards are left alone: they wait for minutes at most.
    """
    with installation() as (_, engine):
        done = resealing.reseal(engine, _loaded(path))
    for row in done.unreadable:
        click.echo(f"not opened by any key: {row}", err=True)
    show({"keyring": str(path), "resealed": done.moved, "unreadable": len(done.unreadable)}, as_json=as_json)


@group.command(
    epilog="""\b
Examples:
  c2a keyring retire /etc/c2a/keyring.json k1          # after `reseal`, and 15 minutes after `rotate`
  c2a keyring retire --lose /etc/c2a/keyring.json k1   # it is known to others: at once, whatever is lost"""
)
@_file
@click.argument("key_id", metavar="KEY")
@click.option("--lose", is_flag=True, help="Do not look whether it sealed what the database still holds.")
@click.confirmation_option(prompt="Whatever is still sealed by this key will never open again. Retire it?")
@json_option
def retire(path: Path, key_id: str, lose: bool, as_json: bool) -> None:
    """Destroy KEY: what it sealed opens nowhere any more; refuses the one that seals at present.

    Refuses, too, while the database holds values that only KEY opens. Cards may wait for 15 minutes after the
    rotation (C2A_VAULT_TTL_S); one that KEY sealed ends its order unpaid. Its id stays in FILE, so that whatever it
    sealed is refused by name.
    """
    if not lose:
        _refuse_if_used(key_id)
    _change(path, lambda keys: keys.without(key_id), as_json=as_json)


def _refuse_if_used(key_id: str) -> None:
    with installation() as (_, engine), statements(engine) as conn:
        used = sum(sealed.count_under(conn, tenant_id, key_id) for tenant_id in tenants.ids(conn))
    if used:
        raise click.ClickException(f"{used} values are sealed by this key: `c2a keyring reseal` first, or --lose them")


def _change(path: Path, change: Callable[[LocalKeys], LocalKeys], *, as_json: bool) -> None:
    ring = _loaded(path)
    assert isinstance(ring.keys, LocalKeys), "a file holds local keys"
    try:
        changed = replace(ring, keys=change(ring.keys))
        keyring.save(changed, path)
    except BadRing as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written here: {error.strerror}") from None
    show(_told(path, changed), as_json=as_json)


def _loaded(path: Path) -> Keyring:
    try:
        return keyring.load(path)
    except BadRing as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read here: {error.strerror}") from None


def _told(path: Path, ring: Keyring) -> dict[str, object]:
    assert isinstance(ring.keys, LocalKeys), "a file holds local keys"
    opens, retired = ", ".join(ring.keys.keys), ", ".join(sorted(ring.keys.retired))
    return {"keyring": str(path), "seals": ring.keys.active, "opens": opens, "retired": retired}
