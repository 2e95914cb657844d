"""Each process of a program counts under a number of its own, and a dead one's number and counts go to the next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from shared.observe.slots import FILES

COUNTS = """
import os, sys
from shared.config import Settings
from shared.observe import counts, metrics
counts.share(Settings(metrics_port=1, metrics_dir=sys.argv[1]))
if len(sys.argv) > 2 and os.fork() != 0:
    os.wait()
    raise SystemExit
metrics.request_took("GET", "/api/v1/x", 200, 0.001)
print("counted", flush=True)
sys.stdin.read()
"""


@contextmanager
def counting(folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has counted one request, and stays until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTS, str(folder), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "counted\n"
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def counted(folder: Path) -> float:
    """How many requests all of them counted."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    value = registry.get_sample_value(
        "c2a_http_request_seconds_count", {"method": "GET", "route": "/x", "status": "200"}
    )
    assert value is not None, generate_latest(registry)
    return value


def files(folder: Path) -> set[str]:
    """The files that hold times: one a process."""
    return {path.name for path in folder.glob("histogram_*.db")}


def test_processes_that_live_at_once_count_in_files_of_their_own(tmp_path: Path) -> None:
    with counting(tmp_path), counting(tmp_path):
        assert counted(tmp_path) == 2
        assert files(tmp_path) == {"histogram_0.db", "histogram_1.db"}


def test_a_forked_child_takes_a_number_of_its_own(tmp_path: Path) -> None:
    with counting(tmp_path, "fork"):
        assert files(tmp_path) == {"histogram_0.db", "histogram_1.db"}, "its parent's and its own"
        assert counted(tmp_path) == 1


def test_what_a_killed_process_counted_stays_and_its_successor_goes_on_in_the_same_file(tmp_path: Path) -> None:
    with counting(tmp_path):
        for lives in range(1, 4):
            with counting(tmp_path, "fork") as program:
                assert counted(tmp_path) == 1 + 1
                assert len(files(tmp_path)) <= 3, lives
                program.kill()


def test_a_program_that_starts_again_begins_at_zero_and_leaves_the_counts_of_the_living(tmp_path: Path) -> None:
    with counting(tmp_path), counting(tmp_path):
        pass
    with counting(tmp_path):
        assert counted(tmp_path) == 1
        assert files(tmp_path) == {"histogram_0.db"}


def test_a_folder_nobody_named_goes_with_its_program(tmp_path: Path) -> None:
    script = "from shared.config import Settings\nfrom shared.observe import counts, metrics\n"
    script += "counts.share(Settings(metrics_port=1))\nmetrics.request_took('GET', '/x', 200, 0.001)\n"
    script += "import os\nprint(os.listdir(os.environ['TMPDIR']))"
    env = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "c2a-metrics-" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_process_has_room_for_its_counts_before_it_writes_any(tmp_path: Path) -> None:
    with counting(tmp_path):
        for name, size in FILES.items():
            file = (tmp_path / f"{name}_0.db").stat()
            assert file.st_size == size
            assert file.st_blocks * 512 >= size, "a page without a place on a full disk would end the process"


FULL = """
import os, resource, sys
from shared.config import Settings
from shared.observe import counts, metrics
if sys.argv[2] == "from the start":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
counts.share(Settings(metrics_port=1, metrics_dir=sys.argv[1]))
if sys.argv[2] == "later" and os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for _ in range(3):
    metrics.request_took('GET', '/x', 200, 0.001)
print('served', flush=True)
"""


@pytest.mark.parametrize(("when", "said"), [("from the start", "metrics.not_shared"), ("later", "metrics.not_counted")])
def test_where_there_is_no_room_to_count_in_that_is_said_once_and_nobody_is_in_its_way(
    tmp_path: Path, when: str, said: str
) -> None:
    """A file that may not grow stands for a disk that is full."""
    argv = [sys.executable, "-c", FULL, str(tmp_path), when]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.count(said) == 1
    assert done.stdout.endswith("served\n")
