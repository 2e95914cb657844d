"""A stack tells at its metrics ports what its orders took, and nothing of whose they were."""

from __future__ import annotations

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


def test_an_order_is_told_by_its_route_its_steps_and_its_calls(ports: dict[str, int], number: str) -> None:
    api = scrape(ports["api"])
    assert api.value("c2a_http_request_seconds_count", method="POST", route="/c2a/offer/checkout", status="202") >= 1
    for step, worker in (
        (Step.LOCK_OFFER, "worker-offer-lock"),
        (Step.PAY, "worker-payment"),
        (Step.TOKENIZE, "worker-tokenization"),
    ):
        told = sum(scrape(port).value("c2a_step_seconds_count", step=step) for port in ports.values())
        assert told >= 1, worker
    paid = scrape(ports["worker-payment"])
    assert paid.value("c2a_psp_call_seconds_count", adapter="sandbox", verb="charge", ended="good") >= 1


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
