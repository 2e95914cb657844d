"""c2a orders retry, unpark and cancel: what an operator does with an order."""

from __future__ import annotations

import getpass
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import click
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared import vault
from shared.cli.database import installation, keyring_of
from shared.cli.show import json_option, show
from shared.doorbell import Doorbell
from shared.operate import actions, document, story
from shared.operate.actions import Desk, NoSuchOrder, OtherAction
from shared.operate.asking import Asked, NotAsked
from shared.operate.proving import Proof, Verdict, prove
from shared.plain import plain
from shared.settle import Terms
from shared.store.engine import statements
from shared.store.operator_actions import Acted, Outcome
from shared.vault import Vault

REFUSED: Final = 1
CODES: Final = """\b
Exit codes:
  0  done, or begun: `c2a orders explain` tells how it ends
  1  refused (and recorded), or there is no such order
  2  called wrongly
"""
F = TypeVar("F", bound=Callable[..., Any])


def whoever() -> str:
    """Who is logged in; nobody where the system does not know, and then --who has to say it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def asks(command: F) -> F:
    """The argument and the options of whatever changes an order."""
    return asks_why(click.argument("number", metavar="TRK")(command))


def asks_why(command: F) -> F:
    """The options of whatever changes something."""
    for option in (
        json_option,
        click.option("--id", "action_id", type=click.UUID, help="Its id: asked for again under it, it is done once."),
        click.option("--who", default=whoever, metavar="NAME", help="Who asks; else whoever is logged in."),
        click.option("--why", required=True, metavar="TEXT", help="Why; it is kept with the order."),
    ):
        command = option(command)
    return command


@contextmanager
def desk() -> Iterator[Desk]:
    """What actions are done with, on this installation."""
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        doorbell = Doorbell(settings.broker_url.get_secret_value())
        try:
            with vault.connect(settings.vault_url.get_secret_value()) as redis:
                limit = timedelta(seconds=settings.lease_limit_s)
                terms = Terms(ring, timedelta(seconds=settings.challenge_life_s))
                yield Desk(engine, ring, doorbell, Vault(redis, ring, settings.vault_ttl_s), terms, limit)
        finally:
            doorbell.close()


def asked(who: str, why: str, action_id: uuid.UUID | None) -> Asked:
    """Who asks and why; called wrongly if that is not said."""
    try:
        return Asked(who, why, action_id or uuid.uuid4())
    except NotAsked as error:
        raise click.UsageError(f"--{error}") from None


@contextmanager
def surely(by: Asked) -> Iterator[None]:
    """Within, an answer that gets lost leaves nobody in doubt how to ask again: an action without its id is another."""
    try:
        yield
    except (OperationalError, PoolTimeout):
        raise click.ClickException(
            f"PostgreSQL did not answer, and whether it was done is not known. Ask again with --id {by.action_id}:"
            " under its id it is done once"
        ) from None


def did(number: str, by: Asked, act: Callable[[Desk, uuid.UUID], Acted], *, as_json: bool) -> None:
    """Do *act* with the order of this number, and say what came of it."""
    with desk() as own:
        with statements(own.engine) as conn:
            order = story.find(conn, number)
        if order is None:
            raise click.ClickException("TRK: there is no such order; `c2a orders list` finds it by other names")
        try:
            with surely(by):
                acted = act(own, order.tenant_id)
        except NoSuchOrder:
            raise click.ClickException("TRK: there is no such order any more") from None
        except OtherAction as error:
            raise click.ClickException(f"--id: {error}") from None
    told(acted, as_json=as_json)


def told(acted: Acted, *, as_json: bool) -> None:
    """Print what came of an action; exits 1 if it was refused."""
    if as_json:
        click.echo(json.dumps(document.of_acted(acted)))
    else:
        show(
            {"order": acted.tracking_number or "", "action": acted.action, "outcome": acted.outcome}
            | {"told": plain(acted.told), "by": plain(acted.who), "why": plain(acted.why), "id": acted.action_id},
            as_json=False,
        )
    sys.exit(REFUSED if acted.outcome is Outcome.REFUSED else 0)


@click.command(
    epilog=f"""{CODES}
\b
Example:
  c2a orders retry trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --why "the PSP is back" """
)
@asks
def retry(number: str, who: str, why: str, action_id: uuid.UUID | None, as_json: bool) -> None:
    """Have somebody look at the order now: its next step, a look-up of its payment, or money that is to go back.

    Nothing is charged that would not be by itself, only sooner.
    """
    by = asked(who, why, action_id)
    did(number, by, lambda own, tenant: actions.retry(own, tenant, number, by), as_json=as_json)


@click.command(
    epilog=f"""{CODES}
\b
Example:
  c2a orders unpark trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --why "the crash is mended in 1.4.2" """
)
@asks
def unpark(number: str, who: str, why: str, action_id: uuid.UUID | None, as_json: bool) -> None:
    """Let workers take a parked order again, as if none had died over it.

    Mend first what took them down: it parks again after five more.
    """
    by = asked(who, why, action_id)
    did(number, by, lambda own, tenant: actions.unpark(own, tenant, number, by), as_json=as_json)


@click.command(
    epilog=f"""{CODES}
\b
Examples:
  c2a orders refund trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --full --why "withdrawn, ticket 4711"
  c2a orders refund trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --amount 500 --why "one of three came broken" """
)
@asks
@click.option("--amount", "amount_minor", type=click.IntRange(1), metavar="MINOR", help="So much, in minor units.")
@click.option("--full", is_flag=True, help="All that has not gone back yet.")
def refund(
    number: str,
    who: str,
    why: str,
    action_id: uuid.UUID | None,
    as_json: bool,
    amount_minor: int | None,
    full: bool,
) -> None:
    """Give money of a done order back, all or a part; the PSP is asked until it proves it.

    The order stays done: see that what it bought ends, too. Where you do not know whether a call arrived, repeat it
    under the same --id.
    """
    if full == (amount_minor is not None):
        raise click.UsageError("say --amount MINOR or --full")
    by = asked(who, why, action_id)
    did(number, by, lambda own, tenant: actions.refund(own, tenant, number, by, amount_minor), as_json=as_json)


@click.command(
    "prove",
    epilog=f"""{CODES}
\b
Examples:
  c2a orders prove trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA captured --reference 993617895215577D --why "seen in the console"
  c2a orders prove trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA none --why "Adyen support, case 4711: no such payment" """,
)
@asks
@click.argument("verdict", type=click.Choice([one.value for one in Verdict]))
@click.option("--reference", metavar="REF", help="What the PSP calls the charge.")
def prove_by_hand(
    number: str,
    verdict: str,
    who: str,
    why: str,
    action_id: uuid.UUID | None,
    as_json: bool,
    reference: str | None,
) -> None:
    """Say what a PSP knows of an order's payment, or of its refund, where we cannot ask the PSP.

    captured: it holds the money; declined: it said no; none: there is no such charge (no such refund); returned: the
    money went back. It counts as the PSP's own word: say in --why where you saw it. While a request may still be on its
    way, none is refused, and told from when on it counts.
    """
    by = asked(who, why, action_id)
    proof = Proof(Verdict(verdict), reference)
    did(number, by, lambda own, tenant: prove(own, tenant, number, by, proof), as_json=as_json)


@click.command(
    epilog=f"""{CODES}
\b
Example:
  c2a orders cancel trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --why "the shopper called, ticket 4711" """
)
@asks
def cancel(number: str, who: str, why: str, action_id: uuid.UUID | None, as_json: bool) -> None:
    """End a live order as CANCELLED; what was taken for it is voided, else refunded, until the PSP proves it.

    Refused while nobody knows whether a PSP holds money: retry first. A done order is refunded instead.
    """
    by = asked(who, why, action_id)
    did(number, by, lambda own, tenant: actions.cancel(own, tenant, number, by), as_json=as_json)
