"""A6: what an earlier version put into the queues is worked off by this one, though nobody rings again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from shared.messages import ALONE_OF, Step
from tests.crash import beginnings
from tests.support import crash_case, worker_process
from tests.support.crash_case import Case, Floor
from tests.support.psp import until
from tests.support.published import Published, messages

AN_HOUR_S: Final = 3_600
TAKEN: Final = [one for one in messages() if one.queue not in ALONE_OF.values()]
"""All but those for workers whose pool is processes: the worker here works in threads."""
LEADS_TO: Final[Mapping[str, Callable[[Case], str]]] = {
    Step.LOCK_OFFER: lambda case: case.accepted(beginnings.pay_with()),
    Step.PAY: beginnings.locked,
    Step.TOKENIZE: beginnings.captured,
    Step.LOOK_UP: beginnings.confirming,
    Step.RETURN_MONEY: beginnings.captured_after_a_no,
}
"""How an order gets to where it waits for a step."""


@pytest.fixture(scope="module", autouse=True)
def _worker(floor: Floor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A worker of this version, whose rescuer does not ring while a test runs."""
    folder = tmp_path_factory.mktemp("worker")
    with worker_process.running(floor.settings, folder, {"C2A_RESCUE_PERIOD_S": str(AN_HOUR_S)}):
        yield


@pytest.fixture(scope="module")
def deaf(floor: Floor) -> Iterator[Floor]:
    """The same floor with doorbells that nobody hears."""
    settings = floor.settings.model_copy(
        update={"broker_url": SecretStr(_aside(floor.settings.broker_url)), "first_patience_s": AN_HOUR_S}
    )
    with crash_case.floor(settings, floor.sandbox, floor.hooks) as made:
        yield made


def _aside(broker_url: SecretStr) -> str:
    """Another database of the same Redis, which no worker reads."""
    return urlsplit(broker_url.get_secret_value())._replace(path="/9").geturl()


@pytest.fixture
def unheard(case: Case, deaf: Floor) -> Case:
    """The same case, its orders rung for in vain."""
    return replace(case, floor=deaf, seller=replace(case.seller, parts=deaf.parts))


@pytest.mark.parametrize("one", TAKEN, ids=str)
def test_a_message_of_an_earlier_version_takes_its_order_to_the_end(case: Case, unheard: Case, one: Published) -> None:
    number = LEADS_TO[one.task](unheard)
    unheard.let_pass(-AN_HOUR_S)  # Nobody rings for it meanwhile.
    money = [] if one.task == Step.RETURN_MONEY else [1499]

    case.floor.broker.lpush(one.queue, one.about(number))

    until(lambda: case.state(number) in ("done", "failed"), seconds=20)
    until(lambda: [charge.net for charge in case.records().charges if charge.net] == money, seconds=20)
    assert case.violations() == []
