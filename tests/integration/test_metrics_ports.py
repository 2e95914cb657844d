"""Every program tells at a port of its own what all its processes counted, the dead included."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.stack import ports
from deploy.stack.home import ROOT, Home
from deploy.stack.waiting import until
from shared import keyring
from shared.config import Settings
from shared.doorbell import Doorbell
from shared.messages import Step
from tests.support import process_environment, stopping
from tests.support.scraped import scrape

STARTS_WITHIN_S = 60.0
NOBODY = "trk_" + "0" * 26


@dataclass(frozen=True, slots=True)
class Program:
    """A program of ours that runs."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    folder: Path

    def children(self) -> list[psutil.Process]:
        """Its processes but the first."""
        return psutil.Process(self.process.pid).children()


@contextmanager
def running(settings: Settings, folder: Path, *argv: str, **more: str) -> Iterator[Program]:
    """`python -m argv`, PORT among it being a free port; stopped at the end."""
    home = Home(folder).make()
    port, metrics_port = ports.kept(home, "program"), ports.kept(home, "metrics")
    named: Mapping[str, str] = {"C2A_METRICS_PORT": str(metrics_port), "C2A_METRICS_DIR": str(folder / "counts")}
    ring = folder / "keyring.json"
    keyring.save(keyring.fresh(), ring)
    with (folder / "program.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *(str(port) if word == "PORT" else word for word in argv)],
            cwd=ROOT,
            env=process_environment.of(settings.model_copy(update={"keyring": ring})) | dict(named) | more,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Program(process, port, metrics_port, folder / "counts")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def api(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """An API of two processes."""
    with running(settings, tmp_path_factory.mktemp("api"), "api.main", "--port", "PORT", "--workers", "2") as program:
        until(lambda: _answers(program, "/readyz"), "the API is ready", within_s=STARTS_WITHIN_S)
        yield program


def _answers(program: Program, path: str, port: int | None = None) -> bool:
    try:
        url = f"http://127.0.0.1:{port or program.port}{path}"
        return httpx.get(url, trust_env=False, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _seen(program: Program, status: str = "200") -> float:
    return scrape(program.metrics_port).value("c2a_http_request_seconds_count", route="/healthz", status=status)


def test_whichever_process_answers_tells_of_all_and_a_killed_one_takes_nothing_along(api: Program) -> None:
    before = _seen(api)
    for _ in range(40):  # A new connection each: both processes get some.
        assert _answers(api, "/healthz")
    for _ in range(6):
        assert _seen(api) == before + 40

    doomed = api.children()[0]
    doomed.kill()
    until(
        lambda: len([child for child in api.children() if child.pid != doomed.pid]) == 2,
        "another process serves",
        within_s=STARTS_WITHIN_S,
    )
    for _ in range(20):
        until(lambda: _answers(api, "/healthz"), "it answers", within_s=STARTS_WITHIN_S)
    assert _seen(api) >= before + 60
    assert len(list(api.folder.glob("histogram_*.db"))) <= 3, "the first process's and two, whoever lived before"


def test_metrics_are_not_told_at_the_public_port_whatever_host_is_asked_for(api: Program) -> None:
    public = f"http://127.0.0.1:{api.port}/metrics"
    for host in ("x", f"127.0.0.1:{api.metrics_port}"):
        assert httpx.get(public, headers={"Host": host}, trust_env=False).status_code == httpx.codes.NOT_FOUND


def test_nothing_but_metrics_is_told_at_their_port(api: Program) -> None:
    for path in ("/", "/healthz", "/api/v1/c2a/offer/checkout"):
        answer = httpx.get(f"http://127.0.0.1:{api.metrics_port}{path}", trust_env=False)
        assert answer.status_code == httpx.codes.NOT_FOUND


def test_what_nobody_routed_is_counted_without_a_word_of_it(api: Program) -> None:
    httpx.request("BREW", f"http://127.0.0.1:{api.port}/4111111111111111?x=4111111111111111", trust_env=False)
    told = scrape(api.metrics_port)
    assert told.value("c2a_http_request_seconds_count", route="none", method="none") >= 1
    assert "4111111111111111" not in told.text
    assert "BREW" not in told.text


def test_a_worker_of_processes_tells_what_its_children_did_and_a_killed_child_takes_nothing_along(
    settings: Settings, tmp_path: Path
) -> None:
    heartbeat = tmp_path / "heartbeat"
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    argv = ("celery", "-A", "workers.main", "worker", "-Q", "payment", "-P", "prefork", "-c", "2", *quiet)
    with running(settings, tmp_path, *argv, C2A_HEARTBEAT_FILE=str(heartbeat)) as worker:
        until(heartbeat.exists, "the worker lives", within_s=STARTS_WITHIN_S)

        def done() -> float:
            return scrape(worker.metrics_port).value("c2a_step_seconds_count", step=Step.PAY, ended="ends")

        bell = Doorbell(settings.broker_url.get_secret_value())
        try:
            for _ in range(10):
                bell.ring(Step.PAY, NOBODY)
            until(lambda: done() == 10, "ten steps were taken", within_s=20)
            dead = worker.children()
            for child in dead:
                child.send_signal(signal.SIGKILL)
            until(lambda: _replaced(worker, dead), "other children took over", within_s=STARTS_WITHIN_S)
            assert done() == 10
            for _ in range(10):
                bell.ring(Step.PAY, NOBODY)
            until(lambda: done() == 20, "ten more were taken", within_s=20)
        finally:
            bell.close()
        assert len(list(worker.folder.glob("histogram_*.db"))) <= 3
        orphan = worker.children()[0]
        stopping.stop(orphan)
        worker.process.kill()
        worker.process.wait()
        assert ports.is_free(worker.metrics_port), "a child that outlives its parent keeps no port taken"
        orphan.kill()


def _replaced(worker: Program, dead: list[psutil.Process]) -> bool:
    gone = {child.pid for child in dead}
    return len([child for child in worker.children() if child.pid not in gone]) == len(dead)
