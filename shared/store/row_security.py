"""Who may see which rows: the roles, and what the database does about a statement that forgot its tenant.

Every table that holds rows of tenants has row-level security, forced, so that it binds the table's owner as well.
A partition has the same for itself, and is granted to nobody: rows are reached by the name of its table alone.
Whoever is not of the engine room sees the rows of the tenant that is set (tenancy.py), and no row while none is.
The engine room works across tenants: it looks for what is overdue. It gets there by a policy and not by BYPASSRLS,
which only a superuser can grant (no managed PostgreSQL does) and which no catalogue lists table by table.

A login takes one of the two roles when it connects (engine.py), so that a server needs one login or several, as its
operator likes: it must be a member of the role it takes. What is here is what migrations run; once a migration was
published the text it runs must not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Whom a process is to PostgreSQL, whatever its login."""

    API = "c2a_api"
    ENGINE_ROOM = "c2a_engine_room"


SEEN: Final = "SELECT"
ADDED: Final = "SELECT, INSERT"
CHANGED: Final = "SELECT, INSERT, UPDATE"
ENDED: Final = "SELECT, INSERT, UPDATE, DELETE"

MAKE_ROLES: Final = f"""
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['{Role.API}', '{Role.ENGINE_ROOM}'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- Another database of this server was migrated at the same moment.
        END;
        IF NOT pg_has_role(current_user, wanted, 'USAGE') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the roles {Role.API} and {Role.ENGINE_ROOM} are missing and % may not make them', current_user
        USING HINT = 'As a superuser: CREATE ROLE {Role.API} NOLOGIN; CREATE ROLE {Role.ENGINE_ROOM} NOLOGIN; GRANT'
            ' {Role.API}, {Role.ENGINE_ROOM} TO ' || quote_ident(current_user) || '; then migrate again.';
END $$
"""
"""Roles belong to the whole server: they may be there already, made by an administrator or for another database."""


def protect(table: str, api_may: str | None) -> Iterator[str]:
    """The statements that bind *table*, which has a tenant_id, to its tenants.

    *api_may*: what the front door may do with rows of the tenant it acts for; None: nothing.
    """
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    # After a SET LOCAL an unset setting reads '' and not NULL.
    yield (
        f"CREATE POLICY own_tenant ON {table} USING (tenant_id = nullif(current_setting('c2a.tenant', true), '')::uuid)"
    )
    yield f"CREATE POLICY every_tenant ON {table} TO {Role.ENGINE_ROOM} USING (true)"
    yield f"GRANT {ENDED} ON {table} TO {Role.ENGINE_ROOM}"
    if api_may is not None:
        yield f"GRANT {api_may} ON {table} TO {Role.API}"


def release(table: str) -> Iterator[str]:
    """Take back what protect did."""
    yield f"REVOKE ALL ON {table} FROM {Role.API}, {Role.ENGINE_ROOM}"
    yield f"DROP POLICY every_tenant ON {table}"
    yield f"DROP POLICY own_tenant ON {table}"
    yield f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"


def learning(signature: str, returns: str, query: str) -> Iterator[str]:
    """The statements that make a function by which the front door learns its tenant, before it can act for one.

    It runs as who made it (SECURITY DEFINER), a member of the engine room, and gives out one row to who shows the
    secret that names it.
    """
    yield (
        f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE sql VOLATILE SECURITY DEFINER"
        f" SET search_path = public, pg_temp AS $$ {query} $$"
    )
    yield f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC"
    yield f"GRANT EXECUTE ON FUNCTION {signature} TO {Role.API}, {Role.ENGINE_ROOM}"
