"""c2a psps check: one harmless call to a PSP, and what is wrong with the account in our words.

What an adapter answers is made for steps that only have to know whether money moved. Whoever sets an account up has to
know more, so the call is watched where it leaves: whether anybody was reached, and the status that came back. Nothing
else of an answer is read or shown.
"""

from __future__ import annotations

import secrets
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import click

from shared.cli.database import installation, keyring_of, need_tenant
from shared.cli.show import json_option, of_tenant, show
from shared.domain.outcomes import Absent, NotSent, Unanswered
from shared.keyring import CannotOpen
from shared.psp.factory import UnknownAdapter, psp_over
from shared.psp.http import Answer, Http
from shared.psp.port import Account, ChargePage, ChargeQuery, Psp
from shared.store import accounts

REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
FAULT: Final = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: a word for scripts and a sentence for people."""

    result: str
    detail: str

    @property
    def is_good(self) -> bool:
        """Whether the account can be used."""
        return self.result == "ok"


class _Watched(Http):
    """Connections that remember what came of each call, but for what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[NotSent | Unanswered | int] = []

    def call(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer | NotSent | Unanswered:
        """As Http says."""
        reply = super().call(method, url, headers=headers, body=body)
        self.seen.append(reply.status if isinstance(reply, Answer) else reply)
        return reply


@click.command(
    epilog="""\b
Exit codes: 0 the account can be used, 1 it cannot: the answer says why.

\b
Example:
  c2a psps check stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("provider")
@json_option
def check(provider: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Make one harmless call to PROVIDER and say what is wrong, if anything is.

    It asks for a charge that nobody has made. Nothing is charged, kept or changed, here or there. The secret of its
    webhooks shows whether it is right with their first one.
    """
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        with engine.begin() as conn:
            need_tenant(conn, tenant_id)
            try:
                account = accounts.get(conn, ring, tenant_id, provider)
            except CannotOpen:
                raise click.ClickException("its credentials open with no key of C2A_KEYRING: set them again") from None
    if account is None:
        raise click.ClickException("PROVIDER: this tenant has no such account; `c2a psps list` shows them")
    verdict = examine(account)
    shown = {"provider": provider, "tenant": str(tenant_id), "result": verdict.result, "detail": verdict.detail}
    show(shown, as_json=as_json)
    sys.exit(0 if verdict.is_good else FAULT)


def examine(account: Account) -> Verdict:
    """What one harmless call to the PSP of *account* shows."""
    http = _Watched()
    try:
        understood = _asked(psp_over(account, http))
    except UnknownAdapter:
        return Verdict("no-adapter", "no adapter of this version serves it")
    finally:
        http.close()
    return _verdict(http.seen[-1] if http.seen else None, understood=understood)


def _asked(psp: Psp) -> bool:
    """Ask for what is not there; whether the PSP was understood to say so."""
    name = f"c2a-check-{secrets.token_hex(8)}"
    can = psp.capabilities
    if can.looks_up:
        return isinstance(psp.look_up(ChargeQuery(name, name)), Absent)
    if can.lists_charges:
        return isinstance(psp.charges_since(datetime.now(UTC)), ChargePage)
    return psp.forget_token(name)


def _verdict(last: NotSent | Unanswered | int | None, *, understood: bool) -> Verdict:
    if understood:
        return Verdict("ok", "it answers, and knows the account")
    match last:
        case None:
            return Verdict("not-asked", "its adapter made no call")
        case NotSent() | Unanswered():
            return Verdict(
                "unreachable", f"nobody answers at its base URL: {last.why}; its orders wait, and go on by themselves"
            )
        case int() if last in REFUSED:
            return Verdict("credentials-refused", f"it refuses the credentials (status {last}): set them again")
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Verdict("busy", "it takes no more calls now (status 429): try again in a minute")
        case int() if last >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Verdict("out-of-order", f"it answers, and is out of order (status {last}): try again later")
        case int():
            return Verdict("not-this-psp", f"what answers is not this PSP (status {last}): see adapter and base URL")
