"""What can be said to deploy/up, deploy/down, deploy/test and deploy/bench.

The standard library only: it is read before anything is installed, so that --help and a misspelt option cost
nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

PSPS: Final = ("sandbox", "stripe")
BROKERS: Final = ("redis", "rabbitmq")
UP_TELLS: Final = """\
Installs what deploy/requirements.txt locks into .venv, starts PostgreSQL, two Redis servers, a sandbox payment
provider, the API and its workers, pays for two demo orders, and stays. Ctrl-C stops everything it started.

With --psp stripe the demo tenant pays through the Stripe adapter, at localstripe in Stripe's place. It is installed
from deploy/requirements-test.txt. It knows no idempotency keys, no search, no pages for shoppers and no webhooks of
payments, forgets all when it ends, listens on every address of the machine and writes what it has, cards included, to
/tmp/localstripe.pickle: for test cards only.

  DATABASE_URL, BROKER_URL, VAULT_URL   use these servers instead of starting our own
  C2A_...                               every setting of the product (README), handed on to it
"""
TEST_TELLS: Final = """\
Installs what deploy/requirements-test.txt locks into .venv, then runs the checks and the tests. Without a name:
lint, then every folder under tests/ but bench and stress; timed and chaos last, as they need the machine to themselves.
Arguments after -- go to pytest as they are. C2A_TEST_MEMORY names a folder for what the others write, three tiers at a
time: one in /dev/shm spares them the waits for a busy disk.

`deploy/test long` is for itself: crash tests of 30 minutes with three seeds, each on a stack of its own.
`deploy/test long -- --minutes 5 --seed 7` asks for others; `deploy/test long -- --help` tells the rest.
"""
BENCH_TELLS: Final = """\
Installs what deploy/requirements.txt locks into .venv, starts a stack of its own in a temporary folder, and measures
the product beside its references, in turn and on the same servers: the floor (the same server, one statement), the
naive way (threads, an ORM, a Celery chain). Tells each figure with its goal, reached or not. Some eight minutes on two
cores; nothing else should run. Load comes from wrk, which must be on the PATH. TMPDIR says where the data lies.
Stopped (Ctrl-C, SIGTERM), it tells what it measured until then. With --scale the part memory takes 100,000 orders:
--only memory --scale takes half an hour.

Exit codes: 0 all that was asked for was measured, 1 something could not be, 2 wrk is missing.
"""
PARTS: Final = ("memory", "admission", "polling", "longpoll", "drain", "latency", "cost")
"""What deploy/bench measures, in this order; scale is asked for by an option of its own."""
LARGE: Final = 10_000_000


def parser() -> argparse.ArgumentParser:
    """The parser of all four commands."""
    top = argparse.ArgumentParser(prog="deploy", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True, metavar="up | down | test | bench")
    for name, short, long, fill in (
        ("up", "start the stack and stay", UP_TELLS, _up),
        ("down", "stop the stack", "Stops the stack that runs in this folder.", _down),
        ("test", "run the checks and tests", TEST_TELLS, _test),
        ("bench", "measure the product beside its references", BENCH_TELLS, _bench),
    ):
        raw = argparse.RawDescriptionHelpFormatter
        fill(commands.add_parser(name, help=short, description=long, formatter_class=raw, allow_abbrev=False))
    return top


def tiers() -> list[str]:
    """What deploy/test can run: lint, and the folders under tests/ that hold tests."""
    folders = {path.parent.relative_to(ROOT / "tests").parts[:1] for path in (ROOT / "tests").rglob("test_*.py")}
    return ["lint", *sorted(parts[0] for parts in folders if parts)]


def _home(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--home",
        type=lambda text: Path(text).resolve(),
        default=ROOT / ".local",
        metavar="DIR",
        help="where the stack keeps its data, logs and stack.json (default: .local)",
    )


def _up(command: argparse.ArgumentParser) -> None:
    command.prog = "deploy/up"
    _home(command)
    command.add_argument("--port", type=_port, metavar="N", help="the API's port (default: 8080, else a free one)")
    command.add_argument("--detach", action="store_true", help="return once everything works; deploy/down stops it")
    command.add_argument("--reset", action="store_true", help="forget all data of this folder's stack first")
    command.add_argument(
        "--psp", choices=PSPS, default=PSPS[0], help="the PSP to run and to pay at (default: %(default)s)"
    )
    command.add_argument(
        "--broker",
        choices=BROKERS,
        default=BROKERS[0],
        help="the broker to run, unless BROKER_URL names one (default: %(default)s; rabbitmq-server must be installed)",
    )
    command.add_argument(
        "--one-pool", action="store_true", help="let one pool take an order through all its steps (default: one a step)"
    )
    command.add_argument("--no-demo", action="store_true", help="do not place the two demo orders")
    # How a detached stack tells the command that started it that it works: the number of an open pipe.
    command.add_argument("--tell", type=int, help=argparse.SUPPRESS)


def _down(command: argparse.ArgumentParser) -> None:
    command.prog = "deploy/down"
    _home(command)


def _test(command: argparse.ArgumentParser) -> None:
    command.prog = "deploy/test"
    command.add_argument("tier", nargs="*", help=f"one or more of: {', '.join(tiers())}")
    # Split off by deploy/stack/launch.py: argparse would mistake them for tiers.
    command.set_defaults(pytest_arguments=[])


def _bench(command: argparse.ArgumentParser) -> None:
    command.prog = "deploy/bench"
    parts = f"some of {','.join(PARTS)},scale (default: all but scale)"
    command.add_argument("--only", type=_parts, default=list(PARTS), metavar="PART,...", help=parts)
    command.add_argument("--seconds", type=_positive(float), metavar="S", help="a window of load (default: 4)")
    command.add_argument("--rounds", type=_positive(int), metavar="N", help="windows a figure, in turn (default: 5)")
    command.add_argument(
        "--scale",
        type=_positive(int),
        nargs="?",
        const=LARGE,
        metavar="ORDERS",
        help="also with so many orders in the table (default: ten million, 40 GB), and a hundredth of them waiting",
    )
    command.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    command.add_argument(
        "--json",
        type=lambda text: Path(text).resolve(),
        default=ROOT / ".local" / "bench.json",
        metavar="FILE",
        help="where the whole report goes (default: .local/bench.json)",
    )


def _parts(text: str) -> list[str]:
    asked = set(text.split(","))
    known = (*PARTS, "scale")
    if unknown := sorted(asked - set(known)):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return [name for name in known if name in asked]


def _positive(kind: type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError("has to be more than 0")
        return value

    return number


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port
