"""What is another tenant's looks like what nobody has, at every route, for every kind of identifier (H1, H2, H5).

The same answer to the last header, for the same statements in the same order. Each row is asked once as the product
is, and once with every statement's tenant forgotten: then PostgreSQL alone keeps the tenants apart. That the rows
would see a leak is proved by leaving that out, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.app import PREFIXES
from api.parts import Parts
from shared import revocations
from shared.config import Settings
from shared.store import keys, tables
from shared.store.engine import statements
from shared.store.keys import KeyRole
from tests.support.forgetful import filters_forgotten
from tests.support.front_door import a_shop, api_parts, parts_for
from tests.support.statements import counting
from tests.support.tenant_matrix import NAMES_NOTHING, PREFIX, ROWS, Row, hear
from tests.support.two_tenants import OneOfTwo, a_tenant, nobodys

NEEDS_A_KEY = sorted({row.route for row in ROWS if not re.search("/return|/psp/| /ops/", row.route)})
"""The rest is for shoppers, PSPs, and operators with a session (test_console_sessions.py)."""
BY_NAME = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.fixture(scope="module")
def parts(settings: Settings, vault_url: str) -> Iterator[Parts]:
    """A front door as the API process builds it; it believes keys for longer than the tests take."""
    with api_parts(settings.model_copy(update={"key_cache_s": 600.0}), vault_url) as made:
        yield made


@pytest.fixture(scope="module")
def two(parts: Parts, engine: Engine) -> tuple[OneOfTwo, OneOfTwo]:
    """A tenant that asks, and one that has what is asked for; the catalogue of the first is in memory."""
    one, other = (a_tenant(parts, engine) for _ in range(2))
    for row in ROWS:
        hear(one, row, nobodys())
    return one, other


def test_every_route_has_its_rows_or_a_reason_why_it_needs_none(two: tuple[OneOfTwo, OneOfTwo]) -> None:
    served = {
        f"{method} {re.sub('^(' + '|'.join(PREFIXES) + ')(?=/c2a)', '', rule.rule)}"
        for rule in two[0].seller.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {row.route for row in ROWS} | set(NAMES_NOTHING) == served


@BY_NAME
def test_what_is_another_tenants_is_answered_like_what_nobody_has(two: tuple[OneOfTwo, OneOfTwo], row: Row) -> None:
    one, other = two
    nobody = hear(one, row, one.ids.with_one_of(nobodys(), row.kind))

    assert hear(one, row, one.ids.with_one_of(other.own(row.kind), row.kind)) == nobody
    assert nobody.status < 500 or row.same_if_own


@BY_NAME
def test_what_is_ones_own_is_answered_otherwise_unless_the_route_makes_no_difference(
    two: tuple[OneOfTwo, OneOfTwo], row: Row
) -> None:
    one, _ = two
    own, nobody = hear(one, row, one.ids), hear(one, row, one.ids.with_one_of(nobodys(), row.kind))

    assert ((own.status, own.body, own.headers) == (nobody.status, nobody.body, nobody.headers)) == row.same_if_own


@BY_NAME
def test_statements_that_forget_their_tenant_still_find_nothing_of_anothers(
    two: tuple[OneOfTwo, OneOfTwo], parts: Parts, row: Row
) -> None:
    one, other = two
    with filters_forgotten(parts.engine):
        nobody = hear(one, row, one.ids.with_one_of(nobodys(), row.kind))
        others = hear(one, row, one.ids.with_one_of(other.own(row.kind), row.kind))

    assert others == nobody


@pytest.mark.parametrize("forgetful", [False, True])
def test_nothing_that_is_asked_changes_a_row_of_anothers(
    two: tuple[OneOfTwo, OneOfTwo], parts: Parts, engine: Engine, forgetful: bool
) -> None:
    one, other = two
    before = everything_of(engine, other)
    with filters_forgotten(parts.engine) if forgetful else nullcontext():
        for row in ROWS:
            hear(one, row, one.ids.with_one_of(other.ids, row.kind))

    assert everything_of(engine, other) == before


def everything_of(engine: Engine, tenant: OneOfTwo) -> dict[str, list[str]]:
    """Every row of a tenant, by table."""
    own = tenant.seller.shop.tenant_id
    with statements(engine) as conn:
        return {
            name: sorted(map(str, conn.execute(table.select().where(table.c.tenant_id == own))))
            for name, table in tables.metadata.tables.items()
        }


def test_planted_bug_no_row_level_security_the_rows_see_what_forgetful_statements_find(
    settings: Settings, engine: Engine, vault_url: str
) -> None:
    """The same rows, on connections that PostgreSQL shows every tenant's rows: as the owner, a member of the engine
    room, has them. What leaks then is what the rows above prove not to leak."""
    with Redis.from_url(vault_url) as redis:
        parts = parts_for(settings.model_copy(update={"key_cache_s": 600.0}), engine, redis)
        one, other = (a_tenant(parts, engine) for _ in range(2))
        for row in ROWS:
            hear(one, row, nobodys())  # From here on its key and its catalogue are in memory.
        with filters_forgotten(engine) as forgotten:
            leaking = {
                row.name
                for row in ROWS
                if hear(one, row, one.ids.with_one_of(other.own(row.kind), row.kind))
                != hear(one, row, one.ids.with_one_of(nobodys(), row.kind))
            }
        parts.doorbell.close()

    assert forgotten
    assert leaking >= {row.name for row in ROWS if row.kind in ("number", "method") and "/return" not in row.route}
    assert leaking >= {"GET /c2a/customer/payment/methods/list customer", "POST /c2a/offer/checkout offer"}


@pytest.mark.parametrize("route", NEEDS_A_KEY)
def test_a_key_that_may_not_come_in_costs_no_work_at_any_route(
    two: tuple[OneOfTwo, OneOfTwo], parts: Parts, engine: Engine, route: str
) -> None:
    """x-tn of another, of nobody and none; a revoked key; a publishable one where it may not be."""
    one, other = two
    row = next(row for row in ROWS if row.route == route)
    method, _, path = route.partition(" ")
    revoked, browser = a_shop(engine), a_shop(engine, role=KeyRole.READ_ONLY)
    with statements(engine) as conn:
        keys.revoke(conn, revoked.tenant_id, keys.key_id_of(revoked.key))
    revocations.mark(parts.redis, keys.key_id_of(revoked.key))

    def told(headers: dict[str, str]) -> tuple[int, bytes, int]:
        with counting(parts.engine) as sent:
            asked = {"path": PREFIX + path, **row.ask(one, one.ids), "headers": headers}
            answer = one.seller.app.test_client().open(method=method, **asked)
        return answer.status_code, answer.data, len([each for each in sent if "c2a_caller" not in each])

    own = one.seller.shop.headers
    for headers in (
        own | {"x-tn": str(other.seller.shop.tenant_id)},
        own | {"x-tn": "00000000-0000-0000-0000-000000000000"},
        {"x-api-key": own["x-api-key"]},
        revoked.headers,
    ):
        assert told(headers) == (401, b"", 0)
    status, body, work = told(browser.headers)
    expected = (404, b"ORDERED_ITEM_NOT_FOUND", 1) if route.endswith("/status") else (403, b"FORBIDDEN", 0)
    assert (status, work) == (expected[0], expected[2])
    assert expected[1] in body
