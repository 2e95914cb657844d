"""c2a keyring: the keys this installation seals with."""

from __future__ import annotations

from pathlib import Path

import click

from shared import keyring
from shared.cli.show import json_option, show


@click.group("keyring")
def group() -> None:
    """Make the file of sealing keys."""


@group.command(
    epilog="""\b
Example:
  c2a keyring create /etc/c2a/keyring.json   # then set C2A_KEYRING to it, for every process"""
)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def create(path: Path, as_json: bool) -> None:
    """Write a new ring to FILE, readable by its owner alone; refuses a FILE that exists.

    Whoever loses it loses what it sealed: stored methods and PSP credentials. Keep a copy where secrets are kept.
    """
    if path.exists():
        raise click.ClickException(f"{path} exists; a ring is never overwritten")
    keyring.save(keyring.fresh(), path)
    show({"keyring": str(path)}, as_json=as_json)
