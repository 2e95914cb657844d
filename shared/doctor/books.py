"""Holds our attempts against a PSP's own books: the two were written by machines that do not trust each other.

What we think captured is read before the books and everything the books name is looked for after them, so that work
in progress on either side is never taken for a difference. Nothing is ever changed here. A capture that an attempt
of ours knows nothing of, or that was returned here and is held there, is handed on as news (workers/examiner.py settles
it, so it counts or goes back); whose money any other difference is, is for somebody to decide who can ask the PSP and
the shopper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from shared.doctor.findings import Check, Finding, Severity
from shared.domain.outcomes import Captured, Challenged, Pending, Returned, StillHeld, Unanswered
from shared.ids import first_number_at
from shared.psp.port import Account, ChargeRecord, Psp
from shared.store import attempts, refunds
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements

ORPHAN: Final = Check(
    name="charge-without-an-order",
    promise="Every charge in the PSP's books belongs to an attempt of ours.",
    severity=Severity.BREAK,
    next_step="Find the order by the merchant reference. If there is none, or another charge paid it, return this one "
    "at the PSP; if a failover lost the order, the shopper's repeat under the same key meets this charge again.",
)
OTHER_AMOUNT: Final = Check(
    name="charge-of-another-amount",
    promise="A charge is of the amount and currency we asked for.",
    severity=Severity.BREAK,
    next_step="Return the charge at the PSP, or the difference; the order does not count it as paid.",
)
UNKNOWN_CAPTURE: Final = Check(
    name="capture-we-do-not-count",
    promise="What the PSP captured counts here, or is on its way back.",
    severity=Severity.BREAK,
    next_step="What was charged in the last ten minutes the upkeep worker settles within two: it counts, or goes back. "
    "If it is found again, see why that worker does not examine. What is older only `c2a doctor` finds, which changes "
    "nothing: return it at the PSP.",
)
MISSING_CAPTURE: Final = Check(
    name="capture-the-psp-does-not-have",
    promise="What counts as captured here is captured in the PSP's books.",
    severity=Severity.BREAK,
    next_step="Ask the PSP for the reference before the goods go out; the order counts as paid and is not.",
)
WENT_BACK: Final = Check(
    name="done-order-was-refunded",
    promise="Money of a paid order goes back through us alone.",
    severity=Severity.ALARM,
    next_step="Somebody voided or refunded it at the PSP; the tenant is told (payment.refunded): see that the "
    "subscription ends, too.",
)
NOT_ASKED: Final = Check(
    name="books-not-compared",
    promise="Every PSP's books are compared to their end.",
    severity=Severity.ALARM,
    next_step="`c2a psps check` says what is wrong with the account. Run `c2a doctor` again once that is mended: until "
    "then nobody knows whether the books agree.",
)
NOT_REACHED: Final = Check(
    name="books-not-reached",
    promise="Every PSP's books are come to in time.",
    severity=Severity.ALARM,
    next_step="Nothing is known to be wrong with this account: the others took all the time. Run `c2a doctor --tenant` "
    "for it now. The upkeep worker goes on where it stopped and tells only of an account that it did not come to for "
    "nine minutes, so that charges may have gone unexamined: a PSP that answers slowly holds up the others (its call "
    "times are on the dashboard); if none does, there are more accounts than one examination a minute can read.",
)
NOT_LISTED: Final = Check(
    name="books-not-listed",
    promise="Every PSP lists its charges, so that its books can be compared.",
    severity=Severity.NOTE,
    next_step="Nothing alarms here: this PSP has no such list. Compare its settlement reports with the orders, and "
    "watch news-of-an-unknown-charge, which is how a charge without an order shows itself.",
)
CHECKS: Final = (ORPHAN, OTHER_AMOUNT, UNKNOWN_CAPTURE, MISSING_CAPTURE, WENT_BACK, NOT_ASKED, NOT_REACHED, NOT_LISTED)

PAGES: Final = 400
"""Pages a comparison reads at most: 100,000 charges of a PSP that shows 250 a page."""
SKEW: Final = timedelta(minutes=2)
"""How far a PSP's clock may be from ours at the window's edge."""
NEWS_ON_THE_WAY: Final = timedelta(minutes=1)
"""How long that takes, a PSP's first repetition of a webhook included; the next examination judges what is younger."""
_NOT_COUNTED: Final = frozenset({AttemptState.DECLINED, AttemptState.ABSENT, AttemptState.RETURNED})


class NotCompared(RuntimeError):
    """The books could not be read to their end; the message says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One account's books against our attempts, for what was charged since *began*.

    A charge younger than *news_within* may have changed with its news still on the way; it is judged later.
    """

    engine: Engine
    psp: Psp
    account: Account
    began: datetime
    news_within: timedelta

    @property
    def tenant_id(self) -> UUID:
        """Whose account it is."""
        return UUID(self.account.tenant_id)

    def findings(self) -> Iterator[Finding]:
        """Every difference. Raises NotCompared after those that were found until then."""
        with statements(self.engine) as conn:
            since = first_number_at(self.began + SKEW)
            ours = attempts.captured_since(conn, self.tenant_id, self.account.provider, since)
        unseen = {one.psp_key: one for one in ours}
        for page in self._pages():
            for charge in page:
                unseen.pop(charge.psp_key, None)
            yield from self._judge(page)
        for attempt in unseen.values():
            yield from self._judge_settled(attempt)

    def _pages(self) -> Iterator[tuple[ChargeRecord, ...]]:
        after: str | None = None
        for _ in range(PAGES):
            page = self.psp.charges_since(self.began, after=after)
            if isinstance(page, Unanswered):
                raise NotCompared(page.why)
            yield page.charges
            if (after := page.next) is None:
                return
        raise NotCompared(f"more than {PAGES} pages; examine a shorter window")

    def _judge(self, charges: tuple[ChargeRecord, ...]) -> Iterator[Finding]:
        with statements(self.engine) as conn:
            keys = [key for charge in charges for key in _keys(charge)]
            known = attempts.by_keys(conn, self.tenant_id, self.account.provider, keys)
        for charge in charges:
            attempt = next((known[key] for key in _keys(charge) if key in known), None)
            if not isinstance(charge.outcome, Captured | Challenged | Pending):
                if attempt is not None and _counts(attempt, charge):
                    yield from self._judge_settled(attempt)
            elif attempt is None:
                yield self._found(ORPHAN, charge, f"merchant reference {charge.merchant_reference}")
            elif charge.money != attempt.money:
                yield self._found(OTHER_AMOUNT, charge, f"of {attempt.tracking_number}, asked for {attempt.money}")
            elif isinstance(charge.outcome, Captured) and self._is_uncounted(attempt, charge):
                news = self._news_of(attempt, charge.outcome)
                if news is not None:
                    detail = f"of {attempt.tracking_number}, here {attempt.outcome}"
                    yield self._found(UNKNOWN_CAPTURE, charge, detail, news=(attempt, news))

    def _is_uncounted(self, attempt: Attempt, charge: ChargeRecord) -> bool:
        """Whether *charge* is a capture that *attempt* knows nothing of: it ended without it, or by another charge."""
        if charge.created_at > datetime.now(UTC) - self.news_within:
            return False
        another = attempt.outcome is AttemptState.CAPTURED and attempt.psp_reference != charge.reference
        return attempt.outcome in _NOT_COUNTED or another

    def _news_of(self, attempt: Attempt, captured: Captured) -> Captured | StillHeld | None:
        """What a capture says that *attempt* does not count; None: nothing any more.

        Of one that was returned its PSP is asked anew, for its money may have gone back after the books were shown. If
        the PSP still holds it, the return came to nothing.
        """
        if attempt.outcome is not AttemptState.RETURNED or attempt.psp_reference != captured.reference:
            return captured
        answer = self.psp.look_up(attempt.query)
        if isinstance(answer, Unanswered):
            raise NotCompared(answer.why)
        return StillHeld(captured.reference) if isinstance(answer, Captured) else None

    def _judge_settled(self, attempt: Attempt) -> Iterator[Finding]:
        """Ask anew about a capture of ours that the books do not show as one: it was settled before this question."""
        answer = self.psp.look_up(attempt.query)
        if isinstance(answer, Captured):
            return
        if isinstance(answer, Unanswered):
            raise NotCompared(answer.why)
        if isinstance(answer, Returned) and self._is_refunded(attempt):
            return
        check = WENT_BACK if isinstance(answer, Returned) else MISSING_CAPTURE
        detail = f"{attempt.psp_reference} is {type(answer).__name__.lower()} at {attempt.provider}"
        news = (attempt, answer) if isinstance(answer, Returned) else None
        yield Finding(check, attempt.tenant_id, attempt.tracking_number, detail, news)

    def _is_refunded(self, attempt: Attempt) -> bool:
        """Whether an operator gave all of it back, or is at it: written ahead of the call, so whoever sees that it went
        back finds it here."""
        with statements(self.engine) as conn:
            return refunds.is_ours(conn, attempt)

    def _found(
        self,
        check: Check,
        charge: ChargeRecord,
        detail: str,
        *,
        news: tuple[Attempt, Captured | StillHeld] | None = None,
    ) -> Finding:
        state = type(charge.outcome).__name__.lower()
        told = f"{state} {charge.money.amount_minor} {charge.money.currency} at {self.account.provider}, {detail}"
        return Finding(check, self.tenant_id, charge.reference, told, news)


def _keys(charge: ChargeRecord) -> tuple[str, str]:
    """The keys of the rows that may stand for *charge*: its own if it was a second one, else its attempt's."""
    return attempts.key_of_second(charge.psp_key, charge.reference), charge.psp_key


def _counts(attempt: Attempt, charge: ChargeRecord) -> bool:
    """Whether *charge* is what *attempt* counts as captured."""
    return attempt.outcome is AttemptState.CAPTURED and attempt.psp_reference == charge.reference
