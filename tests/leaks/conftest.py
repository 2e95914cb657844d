"""The one canary run: a stack of its own, as talkative as it can be made, through every path, then looked into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import httpx
import pytest

from deploy.crashtest import places
from deploy.crashtest.canaries import Canary
from deploy.crashtest.leaks import Scanner
from shared.failpoints import Failpoint
from tests.leaks import paths, spoilt, talkative
from tests.leaks.shopper import Shopper
from tests.support import outage
from tests.support import stack as stacks
from tests.support.eavesdropping import Recording, activity_of, monitored
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.trace_receiver import TraceReceiver, receiving

SETTINGS: Final = {
    "C2A_LOG_LEVEL": "DEBUG",
    "C2A_FAILPOINTS": ",".join(f"{point}=raise" for point in Failpoint),  # Each once a process.
    "C2A_CHALLENGE_LIFE_S": "5",
    "C2A_LEASE_S": "1",
    "C2A_FIRST_PATIENCE_S": "2",
    "PYTHONPATH": str(spoilt.SPOILING),
}
FAULTS: Final = {"hangSeconds": 11, "slowSeconds": 1, "settleSeconds": 1, "autoSeconds": 0.5}
"""A hang outlasts what we wait for an answer (10 s), by as little as possible."""
WITNESSES: Final = 40
"""Orders whose tracking numbers prove, where they are found, that a place was looked into at all."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was done, where, and who listened."""

    stack: Stack
    shopper: Shopper
    recordings: dict[str, Recording]
    receiver: TraceReceiver


@dataclass(slots=True)
class Findings:
    """What stands where."""

    leaked: dict[str, int] = field(default_factory=dict)
    """How many secrets, by place; places without any are not in it."""
    witnessed: set[str] = field(default_factory=set)
    """Places where a tracking number stands."""
    scanned: dict[str, int] = field(default_factory=dict)
    """Bytes, by place."""

    def look(self, place: str, content: bytes, secrets: Scanner, witnesses: list[bytes]) -> None:
        """Add what *content* holds."""
        self.scanned[place] = self.scanned.get(place, 0) + len(content)
        if leaked := secrets.found_in_place(content):
            self.leaked[place] = self.leaked.get(place, 0) + len(leaked)
        if any(number in content for number in witnesses):
            self.witnessed.add(place)


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """The stack after the run, still up."""
    with (
        receiving() as receiver,
        stacks.folder() as home,
        stacks.running(home, settings=SETTINGS | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as stack,
        ExitStack() as resources,
    ):
        document = stack.document()
        shopper = resources.enter_context(closing(Shopper(stack)))
        talkative.make(stack)
        recordings = {
            "broker MONITOR": resources.enter_context(monitored(document["brokerUrl"])),
            "vault MONITOR": resources.enter_context(monitored(document["vaultUrl"])),
            "pg_stat_activity, all along": resources.enter_context(activity_of(talkative.admin(stack))),
        }
        with closing(PspSide(stack.psp_url)) as psp:
            psp.set_faults(**FAULTS)
        paths.everywhere(shopper)
        # Spans are sent every few seconds: the last order's are those that come last.
        until(lambda: shopper.numbers[-1].encode() in b"".join(receiver.bodies), seconds=outage.BACK_WITHIN_S)
        yield Run(stack, shopper, recordings, receiver)


@pytest.fixture(scope="session")
def findings(run: Run) -> Findings:
    """All that the run left behind, PostgreSQL's files as a kill -9 left them."""
    found, document = Findings(), run.stack.document()
    cards, strays = _scanner(run.shopper.cards), _scanner([*run.shopper.cards, *run.shopper.strays])
    witnesses = [number.encode() for number in run.shopper.numbers[:WITNESSES]]
    for name, content in chain(
        [("answers", b"\n".join(run.shopper.heard)), ("traces", b"\n".join(run.receiver.bodies))],
        ((f"metrics of {name}", _told_at(url)) for name, url in document["metrics"].items()),
        ((name, recording.content()) for name, recording in run.recordings.items()),
        places.in_redis("broker", document["brokerUrl"]),
        places.in_redis("vault", document["vaultUrl"]),
        places.in_postgres(talkative.admin(run.stack)),
    ):
        found.look(name, content, strays, witnesses)
    with outage.dead(run.stack, "postgres"):
        for name, content in places.on_disk(run.stack.home):
            # A number where a name belongs is looked up as a name, and this server logs all it is asked.
            found.look(name, content, cards if name == "logs/postgres.log" else strays, witnesses)
    outage.until_well(run.stack)
    return found


@pytest.fixture(scope="session")
def spoilt_findings(run: Run, findings: Findings) -> Findings:
    """What the same scan finds after one order, once leaks are planted; *findings* come first."""
    assert findings.leaked == {}, "a stack that leaks already proves nothing"
    (run.stack.home / spoilt.MARK).touch()
    for name in ("api", "worker-payment"):
        outage.kill(run.stack, name)
    outage.until_well(run.stack)
    answer = run.shopper.insisted(run.shopper.document(run.shopper.card()))
    number, secrets = answer.json()["trackingNumber"], _scanner(run.shopper.cards[-1:])
    log, queued = run.stack.home / "logs" / "worker-payment.log", run.stack.home / "redis-broker" / "appendonly.aof"
    until(lambda: number in log.read_text() and secrets.found_in(log.read_bytes()), seconds=outage.BACK_WITHIN_S)
    # Written up to two seconds later, while its disk is busy with what came before.
    until(lambda: secrets.found_in(queued.read_bytes()), seconds=outage.BACK_WITHIN_S)
    found = Findings()
    for name, content in places.on_disk(run.stack.home):
        if name.startswith(("logs/", "redis-broker/")):
            found.look(name, content, secrets, [number.encode()])
    return found


def _told_at(url: str) -> bytes:
    """What stands at a metrics URL, once its process serves again: the run's last deed is to kill one."""

    def asked() -> bytes:
        with suppress(httpx.TransportError):
            return httpx.get(url, trust_env=False).raise_for_status().content
        return b""

    return until(asked, seconds=outage.BACK_WITHIN_S)


def _scanner(cards: list[Canary]) -> Scanner:
    return Scanner(secret for card in cards for secret in card.secrets)
