"""B4, B5: PostgreSQL's primary dies and its standby takes over; what the standby never got, and what it has, decides.

An asynchronous standby may lose the last commits: an order that was answered 202 and charged is then unknown. Its
merchant reference and the key of its payment are made from what its client still has, so the client's repeat meets
the charge that is there, and the examination finds the charge that nobody came back for. A synchronous standby loses
nothing that was acknowledged, and an old primary that comes back alone can acknowledge nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import pytest
from pydantic import SecretStr

from shared.doctor import books
from shared.doctor.examination import Scope, examine
from shared.domain.offers import Offer
from shared.messages import Step
from shared.psp.factory import psp_for
from tests.crash import beginnings
from tests.support import commit_cutter, crash_case, refused_in_time
from tests.support.commit_cutter import Cutter
from tests.support.crash_case import Case, Floor
from tests.support.psp import until
from tests.support.standby import Line, Pair, line
from tests.support.wire import Document

CLIENTS: Final = 4
"""As many as the floor's pool has connections."""
BEFORE_IT_DIES: Final = 5
"""Orders accepted before the primary is killed: each client has had some, and is about to send another."""
AT_MOST: Final = 200
"""Orders a client sends until one is refused: seconds' worth, so that there is an end to it."""

CLAIM_WAITS: Final = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND strpos(query, 'fence=(orders.fence + ') > 0"
)
"""A worker's claim, which alone raises a fence, that is written and not acknowledged. (Only its first 1,024 bytes are
shown.)"""


@dataclass(slots=True)
class Moving:
    """A case whose database has a standby, behind an address that moves with the failover."""

    case: Case
    pair: Pair
    address: Cutter

    def fail_over(self) -> None:
        """Kill the primary, promote the standby and move the address; the processes of the product live on."""
        self.pair.fail_over()
        self.address.lead_to(self.pair.standby.url)
        self.case.floor.hang_up()

    def charges(self, document: Document) -> list[str]:
        """The states of the charges of an order, by the PSP's own ledger."""
        reference = document["order"]["correlationId"]
        rows = self.case.floor.sandbox.charges(self.case.account)
        return [row["state"] for row in rows if row["merchantReference"] == reference]

    def offered(self) -> Document:
        """A request that can be sent any time: its offer is there already."""
        return self.case.document(beginnings.pay_with())

    def accepted(self, document: Document) -> str:
        """The number an accepted order got; a client that hears 503 repeats."""
        until(lambda: self.case.submit(document)[0] == 202, seconds=20)
        return str(self.case.calls[-1].tracking_number)


@pytest.fixture(scope="module")
def servers() -> Iterator[Line]:
    """One primary after the other: each failover makes the next."""
    with line() as made:
        yield made


@pytest.fixture
def here(case: Case, servers: Line) -> Iterator[Moving]:
    """The same case on a primary that has a standby, behind an address."""
    with (
        servers.followed() as pair,
        commit_cutter.before(pair.primary.url) as address,
        floor_at(case, address.url) as floor,
    ):
        yield Moving(floor.case(), pair, address)


@contextmanager
def floor_at(case: Case, database_url: str) -> Iterator[Floor]:
    """Processes of the product whose database is at *database_url*."""
    settings = case.floor.settings.model_copy(update={"database_url": SecretStr(database_url)})
    with crash_case.floor(settings, case.floor.sandbox, case.floor.hooks) as floor:
        yield floor


def test_orders_that_an_asynchronous_standby_never_got_are_charged_once_when_their_clients_repeat(here: Moving) -> None:
    documents = [here.offered() for _ in range(3)]
    here.pair.catch_up()
    here.pair.fall_behind()
    lost = [here.accepted(document) for document in documents]
    here.case.drain.until_over()
    assert [here.charges(document) for document in documents] == [["captured"]] * 3

    here.fail_over()
    *repeated, forgotten = documents
    again = [here.accepted(document) for document in repeated]
    assert not set(again) & set(lost), "nobody knows the first ones any more"
    here.case.drain.until_over()

    assert [here.case.state(number) for number in again] == ["done"] * 2
    assert [here.charges(document) for document in documents] == [["captured"]] * 3
    assert orphans(here.case) == [forgotten["order"]["correlationId"]]


def test_an_order_whose_charge_the_standby_never_got_counts_it_though_its_card_is_gone(here: Moving) -> None:
    """It was paid, so its card was let go of; then the standby knows an order that nobody has tried to pay."""
    document = here.offered()
    here.case.floor.broker.flushdb()
    number = here.accepted(document)
    here.pair.catch_up()
    here.pair.fall_behind()
    here.case.drain.until_over()
    assert here.charges(document) == ["captured"]

    here.fail_over()
    until(lambda: here.case.state(number) == "admitted", seconds=20)

    assert here.case.violations() == []
    assert here.case.state(number) == "done"
    assert here.charges(document) == ["captured"]
    assert orphans(here.case) == []


def test_a_synchronous_standby_has_every_order_that_was_acknowledged(here: Moving) -> None:
    here.pair.wait_for_each_other()
    offer = here.case.seller.offer(single_use=False)
    with ThreadPoolExecutor(CLIENTS) as clients:
        sending = [clients.submit(sent_until_one_is_refused, here.case, offer) for _ in range(CLIENTS)]
        until(lambda: sum(call.status == 202 for call in here.case.calls) >= BEFORE_IT_DIES, seconds=20)
        here.fail_over()
        documents = [document for one in sending for document in one.result(60)]
    assert {call.status for call in here.case.calls} == {202, 503}

    for document in documents:
        here.accepted(document)
    assert here.case.violations(within_s=60) == []
    assert [here.charges(document) for document in documents] == [["captured"]] * len(documents)


def test_an_old_primary_that_comes_back_acknowledges_nothing_and_pays_nothing(here: Moving) -> None:
    """Its processes still lead to it, and it still waits for the standby that has left it."""
    here.pair.wait_for_each_other()
    number = here.accepted(here.offered())
    here.case.step(Step.LOCK_OFFER, number)
    before = here.offered()
    here.fail_over()
    here.pair.primary.start()

    with floor_at(here.case, here.pair.primary.url) as left_behind:
        there = replace(here.case, floor=left_behind, calls=[])
        assert refused_in_time.is_in_time(there, before)
        worker = there.working(Step.PAY, number, "")
        until(lambda: here.pair.primary.ask(CLAIM_WAITS), seconds=20)
        worker.process.kill()
    assert here.case.floor.sandbox.charges(here.case.account) == []

    assert here.case.violations() == []
    assert here.case.state(number) == "done"


def test_a_standby_that_is_taken_for_the_primary_refuses_in_the_words_of_the_contract(here: Moving) -> None:
    """It can be read and not written: 503 and not 500, as whoever asks may find the primary next time."""
    document = here.offered()
    here.pair.catch_up()
    with floor_at(here.case, here.pair.standby.url) as misled:
        refused_in_time.timed(replace(here.case, floor=misled), document)


def sent_until_one_is_refused(case: Case, offer: Offer) -> list[Document]:
    """What one of several clients sends, order after order, until one of them is refused."""
    sent: list[Document] = []
    while len(sent) < AT_MOST and all(call.status == 202 for call in case.calls):
        sent.append(case.document(beginnings.pay_with(), offer=offer))
        case.submit(sent[-1])
    return sent


def orphans(case: Case) -> list[str]:
    """The merchant references of charges that no attempt of ours is known for."""
    scope = Scope(timedelta(hours=1), 60.0, case.seller.shop.tenant_id, news_within=timedelta(0))
    report = examine(case.floor.run.engine, case.floor.run.keyring, psp_for, scope)
    return [finding.detail.rpartition(" ")[2] for finding in report.of(books.ORPHAN)]
