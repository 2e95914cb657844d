"""c2a doctor: does everything hold that was promised?

Unlike the other commands it also asks PSPs, for their books, and changes nothing anywhere.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import click
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.text import Text

from shared import keyrings, vault
from shared.cli.database import installation
from shared.cli.show import json_option, show_table
from shared.config import Settings
from shared.doctor.examination import OPEN_MONEY, Scope, examine
from shared.doctor.findings import Check, Finding, Report, Severity
from shared.keyring import Keyring
from shared.psp.factory import psp_for
from shared.psp.port import Account, Psp
from shared.psp.traffic.guarded import guarding
from shared.psp.traffic.terms import terms_of
from shared.psp.traffic.turns import Turns

BROKEN: Final = 3
ALARMED: Final = 4
BUDGET_S: Final = 600.0
"""Ten minutes of reading books; whoever has more of them names a tenant or a shorter window."""
OLDEST: Final = 20
"""Attempts with open money a person is shown; --json tells them all."""
LONGEST_WINDOW_MIN: Final = 366 * 24 * 60
_WORD: Final = {Severity.BREAK: "BROKEN", Severity.ALARM: "ALARM", Severity.NOTE: "NOTE"}
UNKNOWN: Final = "UNKNOWN"
_STYLES: Final = {UNKNOWN: "bold yellow", "BROKEN": "bold red", "ALARM": "bold red", "NOTE": "bold yellow"}


@click.command(
    epilog="""\b
Exit codes:
  0  everything holds
  1  it could not be examined (database away, settings that cannot be read)
  2  called wrongly
  3  a promise is broken
  4  nothing is broken, but somebody must look, or not all could be examined

\b
Examples:
  c2a doctor
  c2a doctor --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --window 1440 --json"""
)
@click.option("--tenant", "tenant_id", type=click.UUID, help="One tenant; without it all of them.")
@click.option(
    "--window",
    type=click.IntRange(1, LONGEST_WINDOW_MIN),
    default=60,
    show_default=True,
    metavar="MINUTES",
    help="How far back finished orders and PSPs' books are read; what is not finished is always examined.",
)
@json_option
def doctor(tenant_id: uuid.UUID | None, window: int, as_json: bool) -> None:
    """Examine orders, money and PSPs' books; say what is not as promised and what to do next.

    It changes nothing. The upkeep worker does the same every minute for the last minutes and logs what it finds.
    """
    with installation() as (settings, engine):
        scope = Scope(timedelta(minutes=window), BUDGET_S, tenant_id)
        with vault.connect(settings.vault_url.get_secret_value()) as redis:
            report = examine(engine, _keyring(settings), _paced(settings, redis), scope)
    if as_json:
        click.echo(json.dumps(_document(report)))
    else:
        _print(report)
    sys.exit(_exit_code(report))


def _paced(settings: Settings, redis: Redis) -> Callable[[Account], Psp]:
    """PSPs behind the gate of the installation, where it is there: a page of books is a call like any other."""
    try:
        redis.ping()
    except RedisError:
        return psp_for  # One reader more is no storm; whoever comes to see why all is down is not kept waiting.
    return guarding(psp_for, Turns(redis, terms_of(settings)))


def _keyring(settings: Settings) -> Keyring:
    try:
        return keyrings.of(settings)
    except keyrings.NoKeyring:
        raise click.ClickException("C2A_KEYRING: name the key file that the API and the workers use") from None


def _exit_code(report: Report) -> int:
    if report.has(Severity.BREAK):
        return BROKEN
    return ALARMED if report.has(Severity.ALARM) else 0


def _document(report: Report) -> dict[str, Any]:
    return {
        "checks": [
            {
                "name": check.name,
                "promise": check.promise,
                "severity": check.severity,
                "nextStep": check.next_step,
                "findings": [
                    {"tenant": one.tenant_id and str(one.tenant_id), "subject": one.subject, "detail": one.detail}
                    for one in report.of(check)
                ],
            }
            for check in report.checks
        ],
        "openMoney": [
            {
                "tenant": str(one.tenant_id),
                "trackingNumber": one.tracking_number,
                "orderState": one.state,
                "attempt": one.attempt_no,
                "attemptState": one.outcome,
                "provider": one.provider,
                "pspReference": one.psp_reference,
                "amountMinor": one.amount_minor,
                "currency": one.currency,
                "since": one.started_at.isoformat(),
            }
            for one in report.open_money
        ],
    }


def _print(report: Report) -> None:
    console = Console(highlight=False)
    show_table([_verdict(report, check) for check in report.checks], _STYLES)
    for line in _details(report):
        console.print(line, soft_wrap=True)
    for line in _money(report):
        console.print(line, soft_wrap=True)


def _verdict(report: Report, check: Check) -> dict[str, object]:
    found = len(report.of(check))
    held = UNKNOWN if check.name in report.unknown else "holds"
    return {
        "result": f"{_WORD[check.severity]} {found}" if found else held,
        "check": check.name,
        "promise": check.promise,
    }


def _details(report: Report) -> Iterator[Text]:
    for check in report.checks:
        found = report.of(check)
        if not found:
            continue
        yield Text(f"\n{check.name}: {check.promise}", style="bold")
        yield from (Text(f"  {_line(one)}") for one in found)
        yield Text(f"  Next: {check.next_step}")


def _money(report: Report) -> Iterator[Text]:
    """What may be out: a line a currency, then the oldest attempts."""
    if OPEN_MONEY in report.unknown:
        yield Text("\nOpen money: not examined.", style="bold")
        return
    if not report.open_money:
        yield Text("\nNo open money.")
        return
    sums: Counter[str] = Counter()
    for one in report.open_money:
        sums[one.currency] += one.amount_minor
    told = ", ".join(f"{amount} {currency}" for currency, amount in sorted(sums.items()))
    yield Text(f"\nOpen money: {len(report.open_money)} attempts, {told} (minor units)", style="bold")
    for one in report.open_money[:OLDEST]:
        since = f"since {one.started_at:%Y-%m-%d %H:%M:%S}"
        yield Text(
            f"  {one.tracking_number} {one.state}: attempt {one.attempt_no} at {one.provider} {one.outcome} {since}"
        )


def _line(finding: Finding) -> str:
    # A PSP's reference is foreign text: shown, but never as control characters.
    told = f"{finding.subject}  {finding.detail}  (tenant {finding.tenant_id or 'every'})"
    return "".join(char if char.isprintable() else "?" for char in told)
