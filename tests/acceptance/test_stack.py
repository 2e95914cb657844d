"""What deploy/up and deploy/down promise, tried on whole stacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from deploy.stack.home import ROOT
from deploy.stack.waiting import until
from tests.support import outage
from tests.support import stack as stacks
from tests.support.stack import Stack

NAMES = {
    "api",
    "worker-offer-lock",
    "worker-payment",
    "worker-tokenization",
    "worker-upkeep",
    "psp",
    "postgres",
    "redis-broker",
    "redis-vault",
}


SECOND_START_WITHIN_S = 30.0
"""It takes some six seconds on a machine of two cores that has nothing else to do; a wait in vain takes sixty."""


@pytest.fixture
def home() -> Iterator[Path]:
    with stacks.folder() as made:
        yield made


def competition() -> float:
    """How many processes share a core of this machine: 1 where nobody else works."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def all_pids(stack: Stack) -> list[int]:
    return [pid for pids in stack.document()["processes"].values() for pid in pids]


def rename_tenant(stack: Stack, name: str) -> None:
    with psycopg.connect(stack.postgres_dsn) as conn:
        conn.execute("UPDATE tenants SET name = %s WHERE tenant_id = %s", [name, stack.tenant])


def name_of_tenant(stack: Stack) -> str:
    with psycopg.connect(stack.postgres_dsn) as conn:
        ((name,),) = conn.execute("SELECT name FROM tenants WHERE tenant_id = %s", [stack.tenant])
        return str(name)


def test_the_api_and_the_workers_reach_the_database_as_who_they_are(stack: Stack) -> None:
    """The API by a login of its own, which owns no table; the workers by the owner's, whose rows are all tenants'."""
    with psycopg.connect(stack.postgres_dsn) as conn:
        logins = conn.execute("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'c2a'").fetchall()
        owners = conn.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()

    assert sorted(logins) == [("c2a",), ("c2a_api",)]
    assert owners == [("c2a",)]


def test_stack_json_tells_all_that_others_need_and_nobody_else_may_read_it(stack: Stack) -> None:
    document = stack.document()

    assert set(document) == {
        *("baseUrl", "tenant", "apiKey", "operatorKey", "postgresDsn", "brokerUrl", "vaultUrl", "psp", "metrics"),
        *("shopUrl", "processes"),
    }
    assert set(document["processes"]) == NAMES
    assert document["tenant"] == "e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"
    assert document["apiKey"].startswith("sk_dev_")
    assert (stack.home / "stack.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_process_that_dies_is_started_again_at_once_and_the_log_says_so(stack: Stack, name: str) -> None:
    (first, *_) = stack.pids(name)

    os.kill(first, signal.SIGKILL)
    until(lambda: stack.pids(name)[:1] not in ([], [first]), f"{name} runs again", within_s=30)

    # A pause before it would stand at the end of the line.
    assert f"{name} (process {first}) was killed by SIGKILL: starting it again\n" in stack.logs()["up.log"]
    until(lambda: outage.is_ready(stack), "the API is ready again", within_s=30)


def test_a_worker_that_lost_a_child_names_its_new_one(stack: Stack) -> None:
    until(lambda: len(stack.pids("worker-payment")) > 1, "the payment worker has children", within_s=30)
    main, child, *_ = stack.pids("worker-payment")

    os.kill(child, signal.SIGKILL)

    until(
        lambda: child not in stack.pids("worker-payment") and len(stack.pids("worker-payment")) > 1,
        "the new child is named",
        within_s=15,
    )
    assert stack.pids("worker-payment")[0] == main


def test_a_second_stack_in_the_same_folder_says_that_one_runs_and_exits_1(stack: Stack) -> None:
    second = stacks.command("up", stack.home, "--no-demo")

    assert second.returncode == 1
    assert "a stack already runs here" in second.stdout
    assert outage.is_ready(stack)


def test_data_outlives_a_stop_and_a_killed_supervisor_until_reset_forgets_it(stack: Stack, home: Path) -> None:
    mine, others = Stack(home), all_pids(stack)
    with ExitStack() as ends:
        ends.callback(stacks.down, home)
        stacks.up(home)
        key, first = mine.api_key, all_pids(mine)
        rename_tenant(mine, "kept")
        os.kill(int((home / "lock").read_text()), signal.SIGKILL)

        said = stacks.up(home)
        assert "left running by a stack that was killed" in said
        assert not any(map(psutil.pid_exists, first))
        assert (mine.api_key, name_of_tenant(mine)) == (key, "kept")

        stacks.down(home)
        assert not (home / "stack.json").exists()

        started = time.monotonic()
        stacks.up(home)
        assert time.monotonic() - started < SECOND_START_WITHIN_S * competition()
        assert (mine.api_key, name_of_tenant(mine)) == (key, "kept")
        last = all_pids(mine)
        assert not set(last) & set(others)

        stacks.down(home)
        assert not any(map(psutil.pid_exists, last))
        assert set(stack.document()["processes"]) == NAMES, "the other folder's stack goes on"
        assert outage.is_ready(stack)

        stacks.up(home, "--reset")
        assert mine.api_key != key
        assert name_of_tenant(mine) == "demo"


def test_a_first_start_pays_both_published_ways_and_ctrl_c_ends_all_it_started(home: Path) -> None:
    with ExitStack() as ends:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.stack", "up", "--home", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=stacks.environment({}),
        )
        ends.enter_context(process)
        ends.callback(process.kill)  # Does nothing where it has ended.
        ends.callback(stacks.down, home)
        assert process.stdout is not None
        said = ""
        while not said.endswith("deploy/down stops it.\n"):
            line = process.stdout.readline()
            assert line, said
            said += line
        pids, shop_url = all_pids(Stack(home)), Stack(home).shop_url
        assert all(map(psutil.pid_exists, pids))

        process.send_signal(signal.SIGINT)
        last, _ = process.communicate(timeout=60)

    assert "order by fresh card: DONE" in said
    assert "order by stored card pm.00.482.1: DONE" in said
    assert f"shop page  {shop_url}\n" in said
    assert (process.returncode, last) == (0, "Stopped.\n")
    assert not any(map(psutil.pid_exists, pids))


def test_a_taken_port_is_refused_before_anything_starts(stack: Stack, home: Path) -> None:
    port = stack.base_url.rsplit(":", 1)[1]

    refused = stacks.command("up", home, "--no-demo", "--port", port)

    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stdout


def test_down_says_that_nothing_runs_and_is_content(home: Path) -> None:
    assert stacks.down(home).strip() == "Nothing runs here."
