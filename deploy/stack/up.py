"""deploy/up: one stack in the foreground, from nothing to two paid orders, until somebody stops it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.stack import account, binaries, leftovers, lock, product, signals
from deploy.stack.demo import DemoFailed, run_demo
from deploy.stack.home import Home
from deploy.stack.postgres import DataOfAnotherVersion
from deploy.stack.psps import PSPS
from deploy.stack.shop import Refused
from deploy.stack.show import Show
from deploy.stack.startup import Choice, PortTaken, Stack, started
from deploy.stack.waiting import WaitedInVain

TROUBLE = (
    lock.AlreadyRunning,
    account.NoAccount,
    binaries.NotFound,
    DataOfAnotherVersion,
    PortTaken,
    PermissionError,
    DemoFailed,
    Refused,
    WaitedInVain,
)
"""What a person can mend: told in one line, without a traceback."""


def main(asked: argparse.Namespace) -> int:
    """Run deploy/up; its exit code: 0 after a stop that was asked for, 1 for trouble."""
    show = Show()
    try:
        workers = product.ONE_POOL if asked.one_pool else product.WORKERS
        choice = Choice(PSPS[asked.psp], workers, asked.broker, asked.port)
        with signals.heard(), _home(asked, show) as home, started(home, choice, show) as stack:
            if not asked.no_demo:
                run_demo(stack, show)
            _tell(stack, show, is_followed=asked.tell is None)
            _tell_starter(asked.tell)
            signals.wait()
    except signals.StopAsked:
        show.say("Stopped.")
    except TROUBLE as trouble:
        show.say(f"deploy/up: {trouble}")
        return 1
    except subprocess.CalledProcessError as failed:
        show.say(f"deploy/up: {failed.cmd[0]} failed: {failed.stderr or failed}")
        return 1
    return 0


@contextmanager
def _home(asked: argparse.Namespace, show: Show) -> Iterator[Home]:
    """The home, locked, without what an earlier supervisor left, and empty if that was asked for."""
    home = Home(asked.home).make()
    with lock.held(home.lock_file):
        for left in leftovers.end(home):
            show.say(f"Ended {left}, left running by a stack that was killed")
        for told in (home.stack_file, home.shell_file):
            told.unlink(missing_ok=True)
        if asked.reset:
            _forget(home)
            show.say(f"Forgot all data in {home.path}")
        yield home


def _forget(home: Home) -> None:
    """Remove everything but the lock we hold and the log we may be writing."""
    account.forget(home.path)
    keep = {home.lock_file, home.logs, home.log_of("up")}
    for entry in [*home.logs.iterdir(), *home.path.iterdir()]:
        if entry in keep:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    home.make()


def _tell(stack: Stack, show: Show, *, is_followed: bool) -> None:
    wiring = stack.wiring
    base = f"{wiring.base_url}/api/v1/c2a"
    show.say("")
    show.say(f"  API        {base}")
    show.say(f"  its page   {base}/docs")
    if "shopUrl" in stack.facts:
        show.say(f"  shop page  {stack.facts['shopUrl']}")
    shown = f"   ledger {wiring.psp_url}{stack.psp.shows}" if stack.psp.shows else ""
    show.say(f"  PSP        {wiring.psp_url} ({stack.psp.name}){shown}")
    show.say(f"  console    {wiring.base_url}/ops   key: operatorKey in {stack.home.stack_file}")
    show.say(f"  logs       {stack.home.logs}")
    show.say("")
    show.say("  In a shell of yours (it then knows C2A_URL, C2A_TENANT, C2A_KEY and the command c2a):")
    show.say("")
    show.say(f"    . {stack.home.shell_file}")
    show.say("""    curl -s "$C2A_URL/api/v1/c2a/offer/bundles" -H "x-api-key: $C2A_KEY" -H "x-tn: $C2A_TENANT" \\""")
    show.say("""      -H 'content-type: application/json' \\""")
    show.say("""      -d '{"context": {"customerUrn": "cu.00.482", "interactionType": "NewAcquisition"}}'""")
    show.say("")
    show.say(f"The stack runs. {'Ctrl-C or ' if is_followed else ''}deploy/down stops it.")


def _tell_starter(pipe: int | None) -> None:
    if pipe is not None:
        os.write(pipe, b"ready")
        os.close(pipe)
