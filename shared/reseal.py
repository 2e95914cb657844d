"""Brings every sealed value of the database under the key that seals at present, so that older keys may be retired.

It may run beside everything else, be stopped and run again: each value is moved alone, and only from what was read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from shared.key_service import CannotOpen
from shared.keyring import Keyring
from shared.store import sealed, tenants
from shared.store.engine import statements
from shared.store.sealed import SealedColumn


@dataclass(slots=True)
class Resealed:
    """How many values came under the present key, and the rows of those that no key of this ring opens."""

    moved: int = 0
    unreadable: list[str] = field(default_factory=list)


def reseal(engine: Engine, keyring: Keyring) -> Resealed:
    """Reseal every tenant's values; raises KeysAway, and what was moved stays so."""
    done = Resealed()
    with statements(engine) as conn:
        for tenant_id in tenants.ids(conn):
            for where in sealed.COLUMNS:
                for page in sealed.values(conn, where, tenant_id):
                    for key, old in page:
                        _reseal(conn, keyring, where, key, old, done)
    return done


def _reseal(
    conn: Connection, keyring: Keyring, where: SealedColumn, key: sealed.Key, old: bytes, done: Resealed
) -> None:
    try:
        new = keyring.reseal(old, bound_to=where.bound_to(key))
    except CannotOpen as error:
        row = " ".join(map(str, key))
        done.unreadable.append(f"{where.column.table.name} {row}: {type(error).__name__}")
        return
    if new != old:
        done.moved += sealed.replace(conn, where, key, old=old, new=new)
