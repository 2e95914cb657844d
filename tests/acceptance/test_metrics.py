"""A stack tells at its metrics ports what its orders took, and nothing of whose they were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from deploy.stack.waiting import until
from shared.messages import Step
from tests.support.observability import exported
from tests.support.scraped import Scraped, scrape
from tests.support.stack import Stack
from tests.support.storefront import Storefront
from tests.support.wire import fresh_card
from workers.gauges import PERIOD_S
from workers.snapshot import GAUGES

COUNTED_WITHIN_S: Final = 10.0
"""A moment, on a busy machine."""


@pytest.fixture(scope="module")
def ports(stack: Stack) -> dict[str, int]:
    """Where each process of the stack tells its metrics."""
    return {name: int(url.split(":")[2].split("/")[0]) for name, url in stack.document()["metrics"].items()}


@pytest.fixture(scope="module")
def number(shop: Storefront) -> str:
    """An order that was paid."""
    made = shop.order(fresh_card())
    shop.end(made)
    return made


def until_counted(ports: Iterable[int], name: str, **labels: str) -> None:
    """Wait until one of *ports* tells of one: a step is counted a moment after its shopper may see what it did."""

    def is_told() -> bool:
        return any(scrape(port).value(name, **labels) >= 1 for port in ports)

    until(is_told, f"{name} {labels}", within_s=COUNTED_WITHIN_S)


def test_an_order_is_told_by_its_route_its_steps_and_its_calls(ports: dict[str, int], number: str) -> None:
    until_counted(
        [ports["api"]], "c2a_http_request_seconds_count", method="POST", route="/c2a/offer/checkout", status="202"
    )
    for step in (Step.LOCK_OFFER, Step.PAY, Step.TOKENIZE):
        until_counted(ports.values(), "c2a_step_seconds_count", step=step)
    payment = [ports["worker-payment"]]
    until_counted(payment, "c2a_psp_call_seconds_count", adapter="sandbox", verb="charge", ended="good")


def test_upkeep_tells_every_gauge_and_that_nothing_is_away(ports: dict[str, int], number: str) -> None:
    told: list[Scraped] = []

    def nothing_is_away() -> bool:
        told.append(scrape(ports["worker-upkeep"]))
        return told[-1].value("c2a_looked_timestamp_seconds") > 0 and told[-1].value("c2a_part_up") == 4

    until(nothing_is_away, "upkeep looked and found every part", within_s=4 * PERIOD_S)
    whole = told[-1]
    empty = {"c2a_findings", "c2a_open_money_attempts", "c2a_open_money_minor", "c2a_open_money_oldest_seconds"}
    assert GAUGES.keys() - whole.names() <= empty, "what has no case has no series"


def test_what_is_told_has_the_names_that_alerts_rely_on_and_names_nobody(
    stack: Stack, ports: dict[str, int], number: str
) -> None:
    for port in ports.values():
        told = scrape(port)
        assert told.names() <= exported().keys()
        for secret in (number, stack.tenant, "cu.", "411111"):
            assert secret not in told.text
