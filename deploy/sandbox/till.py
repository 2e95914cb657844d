"""How a charge comes into being and moves on: the sandbox's own business rules.

    declined
    challenge -> captured | pending | declined | voided
    pending   -> captured | declined | voided
    captured  -> voided | refunded (in parts or whole)

Every move is one ledger line together with the webhook that tells of it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex, token_urlsafe
from typing import Final

from deploy.sandbox.asks import REDIRECTED, AskedCard, AskedCharge
from deploy.sandbox.books import Books, KeyUse
from deploy.sandbox.cards import BY_NAME, SUCCESS, Behaviour, Script, of_amount, of_card
from deploy.sandbox.faults import FaultBoard
from deploy.sandbox.records import Charge, Method, PspAccount, Token
from deploy.sandbox.webhooks import Outbox
from shared.domain.outcomes import DeclineReason

ALONE: Final = {Script.PASSES_ALONE: "captured", Script.FAILS_ALONE: "declined"}
"""What a self-driving challenge becomes after autoSeconds."""


class NotPossible(Exception):
    """The charge stands where this cannot be done to it; *code* says why."""

    def __init__(self, code: str, charge: Charge) -> None:
        super().__init__(code)
        self.code = code
        self.charge = charge


def method_of(card: AskedCard) -> Method:
    """A typed card as it may be kept: its mask and what it does."""
    today = datetime.now(UTC).date()
    behaviour = of_card(card.number, card.expire_year, card.expire_month, today=today)
    return Method(behaviour.name, **card.masked())


class Till:
    """Takes charges and moves them."""

    def __init__(self, books: Books, faults: FaultBoard, outbox: Outbox) -> None:
        self._books = books
        self._faults = faults
        self._outbox = outbox

    def resume(self) -> None:
        """Take up the charges that were to move by themselves when the process before us ended."""
        for charge in list(self._books.due()):
            self._wait_for(charge)

    def method_for(self, account: PspAccount, ask: AskedCharge) -> Method | None:
        """What *ask* wants to pay with; None when its token is not known to the account."""
        if ask.token:
            token = self._books.tokens.get(ask.token)
            return token.method if token and token.account_id == account.account_id else None
        return method_of(ask.card) if ask.card else Method(SUCCESS.name)

    def open(
        self, account: PspAccount, ask: AskedCharge, under: KeyUse, *, base_url: str, refuse: Behaviour | None = None
    ) -> Charge:
        """A new charge, at its first verdict; *refuse*: the no it gets, whatever the card would do."""
        method = self.method_for(account, ask)
        behaviour = behaviour_for(ask, method)
        no = refuse or behaviour
        now = time.time()
        reference = f"sb_{token_urlsafe(18)}"
        charge = Charge(
            reference=reference,
            account_id=account.account_id,
            merchant_reference=ask.merchant_reference,
            key=under.key,
            amount_minor=ask.amount_minor,
            currency=ask.currency,
            channel=ask.channel,
            state="declined",
            created_at=now,
            method=method or Method(behaviour.name),
            keep_method=ask.keep_method and not ask.token,
            return_url=ask.return_url,
            page_url=f"{base_url}/challenge/{reference}",
        )
        if method is None:
            charge = replace(charge, decline_reason=DeclineReason.METHOD_GONE)
        elif no.decline:
            charge = replace(charge, decline_reason=no.decline, soft=no.soft)
        else:
            charge = self._first_verdict(charge, behaviour, by_token=bool(ask.token))
        forgetful = self._faults.now.memory == "successes" and charge.state == "declined"
        return self._save(charge, under=None if forgetful else under)

    def keep(self, account: PspAccount, card: AskedCard, under: KeyUse) -> Token | DeclineReason:
        """Keep a card without charging it, or why not."""
        method = method_of(card)
        behaviour = BY_NAME[method.behaviour]
        if not behaviour.keepable and behaviour.decline:
            return behaviour.decline
        token = Token(f"tok_{token_urlsafe(18)}", account.account_id, method)
        self._books.save_token(token, under)
        return token

    def decide(self, charge: Charge, decision: str) -> Charge:
        """What the shopper said on the page; the second word changes nothing."""
        if charge.state != "challenge":
            return charge
        if decision == "cancel":
            return self._save(_voided(charge, DeclineReason.SHOPPER_CANCELLED))
        if charge.script == Script.ABANDONED:
            return charge
        if decision == "decline":
            return self._save(_declined(charge, DeclineReason.AUTHENTICATION_FAILED))
        if charge.script == Script.ISSUER_DECLINES:
            return self._save(_declined(charge, DeclineReason.GENERIC))
        if charge.channel == "Bank":
            return self._save(self._pending(charge, "captured"))
        return self._save(_captured(charge))

    def void(self, charge: Charge, under: KeyUse) -> Charge:
        """Cancel a charge; raises NotPossible for a capture past the window or refunded in part."""
        if charge.state in ("declined", "voided", "refunded"):
            return charge
        if charge.captured_at is not None:
            age_s = time.time() - charge.captured_at
            if charge.refunded_minor or age_s > self._faults.now.void_window_seconds:
                raise NotPossible("not_voidable", charge)
        return self._save(_voided(charge, None), under=under)

    def refund(self, charge: Charge, amount_minor: int, under: KeyUse) -> Charge:
        """Give part or all of a capture back; raises NotPossible when there is not that much to give."""
        if charge.state != "captured":
            raise NotPossible("not_captured", charge)
        refunded = charge.refunded_minor + amount_minor
        if refunded > charge.amount_minor:
            raise NotPossible("more_than_captured", charge)
        state = "refunded" if refunded == charge.amount_minor else "captured"
        return self._save(replace(charge, refunded_minor=refunded, state=state), under=under, event="charge.refunded")

    def _first_verdict(self, charge: Charge, behaviour: Behaviour, *, by_token: bool) -> Charge:
        if behaviour.script or (charge.channel in REDIRECTED and not by_token):
            return self._challenged(charge, behaviour.script or Script.SHOPPER)
        if behaviour.settles or charge.channel == "SEPA":
            return self._pending(charge, behaviour.settles or "captured")
        return _captured(charge)

    def _challenged(self, charge: Charge, script: Script) -> Charge:
        alone = ALONE.get(script)
        return replace(
            charge,
            state="challenge",
            script=script,
            three_d_identifier=f"3ds_{token_hex(8)}",
            due_at=time.time() + self._faults.now.auto_seconds if alone else None,
            due_state=alone,
        )

    def _pending(self, charge: Charge, then: str) -> Charge:
        return replace(charge, state="pending", due_at=time.time() + self._faults.now.settle_seconds, due_state=then)

    def _save(self, charge: Charge, *, under: KeyUse | None = None, event: str | None = None) -> Charge:
        told = self._books.save_charge(charge, event=event or f"charge.{charge.state}", under=under)
        if told:
            self._outbox.send(told)
        if charge.due_at is not None:
            self._wait_for(charge)
        return charge

    def _wait_for(self, charge: Charge) -> None:
        delay = max(0.0, (charge.due_at or 0.0) - time.time())
        asyncio.get_running_loop().call_later(delay, self._come_due, charge)

    def _come_due(self, awaited: Charge) -> None:
        charge = self._books.charges[awaited.reference]
        if charge != awaited:  # Somebody moved it first.
            return
        if charge.due_state == "captured":
            self._save(_captured(charge))
        else:
            failed_alone = charge.state == "challenge"
            reason = DeclineReason.AUTHENTICATION_FAILED if failed_alone else DeclineReason.INSUFFICIENT_FUNDS
            self._save(_declined(charge, reason))


def behaviour_for(ask: AskedCharge, method: Method | None) -> Behaviour:
    """What becomes of *ask*: its amount's row, else its method's."""
    return of_amount(ask.amount_minor) or (BY_NAME[method.behaviour] if method else SUCCESS)


def _captured(charge: Charge) -> Charge:
    kept = Token(f"tok_{token_urlsafe(18)}", charge.account_id, charge.method) if charge.keep_method else None
    return replace(charge, state="captured", captured_at=time.time(), due_at=None, due_state=None, kept=kept)


def _declined(charge: Charge, reason: DeclineReason) -> Charge:
    return replace(charge, state="declined", decline_reason=reason, due_at=None, due_state=None)


def _voided(charge: Charge, reason: DeclineReason | None) -> Charge:
    return replace(charge, state="voided", decline_reason=reason, due_at=None, due_state=None)
