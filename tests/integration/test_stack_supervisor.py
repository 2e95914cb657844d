"""What the supervisor promises of any process: back within a second, ended when asked, and nobody else's touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.stack import leftovers, lock, signals
from deploy.stack.guard import PAUSES_S
from deploy.stack.home import ROOT, Home
from deploy.stack.program import HOME_MARK, Program, Stage
from deploy.stack.supervisor import Supervisor
from deploy.stack.waiting import until
from tests.support import without_ptrace

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
ANOTHER_PYTHON = next(str(name) for name in Path(sys.executable).parent.glob("python*") if str(name) != sys.executable)
"""The same by another name."""
CLOSED = (
    "import os, time; from shared import memory; memory.close(); child = os.fork();"
    " child and print(child, flush=True); time.sleep(600)"
)
LEFTOVERS = (
    "import sys; from pathlib import Path; from deploy.stack.leftovers import Home, end;"
    " print(end(Home(Path(sys.argv[1]))))"
)
PARENT = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('up', flush=True); time.sleep(600)"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(home: Home, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(say=said.append, changed=lambda running: leftovers.write_note(home, running.running()))
    yield made
    made.stop()


def a_program(home: Home, name: str, *argv: str, stage: Stage = Stage.PRODUCT, grace_s: float = 5.0) -> Program:
    log = home.log_of(name)
    return Program(
        name=name,
        argv=argv,
        log=log,
        cwd=home.path,
        env={"PATH": os.environ["PATH"], HOME_MARK: str(home.path)},
        is_ready=lambda: log.exists() and "up" in log.read_text(),
        grace_s=grace_s,
        stage=stage,
    )


@contextmanager
def started_by_nobody(*argv: str, mark: Home | None = None) -> Iterator[psutil.Process]:
    """A process of a session of its own whose parent is gone."""
    env = {"PATH": os.environ["PATH"]} | ({HOME_MARK: str(mark.path)} if mark else {})
    script = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=-3, stderr=-3); print(p.pid)"
    parent = [sys.executable, "-c", script, *argv]
    done = subprocess.run(parent, env=env, start_new_session=True, stdout=subprocess.PIPE, check=True)
    process = psutil.Process(int(done.stdout))
    try:
        yield process
    finally:
        if process.is_running():
            process.kill()


def pid_of(supervisor: Supervisor, name: str) -> int | None:
    return {program.name: pid for program, pid in supervisor.running()}.get(name)


def wait_for_pid(supervisor: Supervisor, name: str, *, other_than: int | None = None) -> int:
    until(lambda: pid_of(supervisor, name) not in (None, other_than), f"{name} runs", within_s=5)
    found = pid_of(supervisor, name)
    assert found is not None
    return found


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_killed_process_is_started_again_at_once_and_says_so(
    home: Home, supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start([a_program(home, "sleeper", "sleep", "600")])
    first = wait_for_pid(supervisor, "sleeper")

    os.kill(first, signal.SIGKILL)
    second = wait_for_pid(supervisor, "sleeper", other_than=first)

    assert is_alive(second)
    # A pause before it would stand at the end of the line.
    assert said == [f"sleeper (process {first}) was killed by SIGKILL: starting it again"]


def test_what_a_dead_process_left_of_its_group_is_ended_before_it_starts_again(
    home: Home, supervisor: Supervisor
) -> None:
    program = a_program(home, "parent", sys.executable, "-c", PARENT)
    supervisor.start([program])
    supervisor.wait_until_ready([program], within_s=10)
    first = wait_for_pid(supervisor, "parent")
    (orphan,) = psutil.Process(first).children()

    os.kill(first, signal.SIGKILL)
    wait_for_pid(supervisor, "parent", other_than=first)

    until(lambda: not is_alive(orphan.pid), "the orphan is gone", within_s=2)


def test_a_program_that_cannot_live_is_tried_ever_more_slowly_and_never_given_up(
    home: Home, supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start([a_program(home, "hopeless", "false")])

    until(lambda: len(said) >= 4, "four deaths", within_s=10)

    assert said[0].endswith("exited with 1: starting it again")
    assert [line.rsplit(" in ")[-1] for line in said[1:4]] == [f"{pause:g} s" for pause in PAUSES_S[1:4]]


def test_a_program_that_is_not_there_is_reported_and_tried_again(
    home: Home, supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start([a_program(home, "absent", "/no/such/program")])

    until(lambda: len(said) >= 4, "two tries", within_s=5)

    assert said[0].startswith("absent cannot be started: ")
    assert "did not start: starting it again" in said[1]


def test_stopping_ends_everything_and_the_youngest_stage_first(home: Home, said: list[str]) -> None:
    ended: list[str] = []
    supervisor = Supervisor(
        say=said.append, changed=lambda running: ended.append(" ".join(p.name for p, _ in running.running()))
    )
    server = a_program(home, "server", "sleep", "600", stage=Stage.SERVER)
    product = a_program(home, "product", "sleep", "600", stage=Stage.PRODUCT)
    supervisor.start([server, product])
    pids = [wait_for_pid(supervisor, name) for name in ("server", "product")]

    supervisor.stop()

    assert not any(map(is_alive, pids))
    assert ended[-2:] == ["server", ""]
    assert said == []


def test_one_program_is_stopped_for_good_while_the_others_go_on(
    home: Home, supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start([a_program(home, name, "sleep", "600") for name in ("one", "other")])
    pids = [wait_for_pid(supervisor, name) for name in ("one", "other")]

    supervisor.stop_one("one")

    assert [is_alive(pid) for pid in pids] == [False, True]
    assert [program.name for program, _ in supervisor.running()] == ["other"]
    supervisor.start([a_program(home, "one", "sleep", "600")])
    assert wait_for_pid(supervisor, "one") != pids[0]
    assert said == []


def test_a_process_that_will_not_end_is_killed_after_its_grace(
    home: Home, supervisor: Supervisor, said: list[str]
) -> None:
    program = a_program(home, "stubborn", sys.executable, "-c", STUBBORN, grace_s=0.3)
    supervisor.start([program])
    supervisor.wait_until_ready([program], within_s=10)
    pid = wait_for_pid(supervisor, "stubborn")

    supervisor.stop()

    assert not is_alive(pid)
    assert said == ["stubborn did not stop within 0.3 s: killed"]


def test_leftovers_of_a_killed_supervisor_are_ended_by_number_and_start_time(home: Home) -> None:
    with started_by_nobody("sleep", "600") as ours, started_by_nobody("sleep", "600") as strangers:
        # The stranger has a number we once noted: it came round again.
        noted = {str(ours.pid): ours.create_time(), str(strangers.pid): strangers.create_time() - 3_600}
        (home.run / "processes.json").write_text(json.dumps(noted))

        ended = leftovers.end(home)

        assert ended == [f"process {ours.pid}"]
        assert not is_alive(ours.pid)
        assert is_alive(strangers.pid)
        assert leftovers.end(home) == []


def test_a_child_whose_noted_parent_is_dead_is_a_leftover_only_with_our_mark(home: Home) -> None:
    with started_by_nobody("sleep", "600", mark=home) as child:
        (home.run / "processes.json").write_text(json.dumps({str(os.getpgid(child.pid)): 1.0}))
        another = Home(home.path / "another").make()
        (another.run / "processes.json").write_text((home.run / "processes.json").read_text())

        assert leftovers.end(another) == []
        assert leftovers.end(home) == [f"process {child.pid}"]
        assert not is_alive(child.pid)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_child_that_closed_its_memory_is_known_by_the_python_it_runs(home: Home, is_ours: bool) -> None:
    """Its environment, and our mark in it, are shown to root alone."""
    with subprocess.Popen(
        [sys.executable if is_ours else ANOTHER_PYTHON, "-c", CLOSED],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), HOME_MARK: str(home.path)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        preexec_fn=without_ptrace.give_up,
    ) as first:
        assert first.stdout is not None
        child = int(first.stdout.readline())
        first.kill()
    # Its group outlives the noted process, as a worker's children do their main one.
    (home.run / "processes.json").write_text(json.dumps({str(first.pid): 1.0}))

    done = without_ptrace.run(LEFTOVERS, str(home.path))

    try:
        assert done.stdout == (f"['process {child}']\n" if is_ours else "[]\n"), done.stderr
    finally:
        if is_alive(child):
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("number", signals.STOPPING, ids=lambda each: str(each.name))
def test_every_way_to_ask_a_stack_to_stop_is_heard_where_we_wait(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with signals.heard():
        signals.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        with pytest.raises(signals.StopAsked):
            until(lambda: False, "nothing", within_s=5)
        with pytest.raises(signals.StopAsked):
            signals.wait()
    assert signal.getsignal(number) is before


def test_one_home_has_one_supervisor_and_the_lock_dies_with_it(home: Home) -> None:
    with lock.held(home.lock_file):
        assert lock.holder(home.lock_file) == os.getpid()
        with pytest.raises(lock.AlreadyRunning, match=f"process {os.getpid()}"), lock.held(home.lock_file):
            pass
    assert lock.holder(home.lock_file) is None
