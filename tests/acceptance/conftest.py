"""What the acceptance tests share: a storefront, the PSP and the rows of one running stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shared.store.keys import KeyRole
from tests.support import outage
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import Storefront


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Storefront]:
    """The demo tenant's storefront."""
    made = Storefront(stack.base_url, stack.tenant, stack.api_key)
    yield made
    made.close()


@pytest.fixture(scope="session")
def rows(stack: Stack) -> Iterator[StackRows]:
    """The stack's database."""
    made = StackRows.of(stack.postgres_dsn, stack.tenant)
    yield made
    made.engine.dispose()


@pytest.fixture
def psp(stack: Stack) -> Iterator[PspSide]:
    """The stack's PSP, healthy at the start of every test that asks for it."""
    side = PspSide(stack.psp_url)
    side.heal()
    yield side
    side.heal()
    side.close()


@pytest.fixture(scope="session")
def other_shop(stack: Stack, rows: StackRows) -> Iterator[Storefront]:
    """A storefront of another tenant."""
    tenant = rows.new_tenant()
    made = Storefront(stack.base_url, str(tenant), rows.new_key(KeyRole.STOREFRONT, tenant))
    yield made
    made.close()


@pytest.fixture
def open_shop(stack: Stack) -> Iterator[Callable[[str, str], Storefront]]:
    """Makes a storefront of a tenant and a key; all are closed after the test."""
    opened: list[Storefront] = []

    def make(tenant: str, key: str) -> Storefront:
        opened.append(Storefront(stack.base_url, tenant, key))
        return opened[-1]

    yield make
    for shop in opened:
        shop.close()


@pytest.fixture
def well(stack: Stack) -> Iterator[None]:
    """For tests that break something: the stack is well before, and comes to be again by itself."""
    outage.until_well(stack)
    yield
    outage.until_well(stack)
