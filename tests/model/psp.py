"""The PSP of the model: one charge a key, a memory for first answers, a shopper, a webhook for every change.

As in deploy/sandbox: a repeat gets the first answer byte for byte, however the charge went on since. A forgetful PSP
does not remember a no: the same request later may become money.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.model.bugs import Setting
from tests.model.world import BIT, Attempt, Charge, News

SHOPPERS_WORD: Final = (Charge.CAPTURED, Charge.DECLINED, Charge.PENDING)
"""Passed; failed or cancelled; passed, and the bank takes its days."""
SETTLED: Final = (Charge.CAPTURED, Charge.DECLINED)

NEWS_OF: Final = {
    Charge.NONE: News.ABSENT,
    Charge.DECLINED: News.DECLINED,
    Charge.CHALLENGE: News.CHALLENGED,
    Charge.PENDING: News.PENDING,
    Charge.CAPTURED: News.CAPTURED,
    Charge.RETURNED: News.RETURNED,
}
"""What a look-up or a webhook says of a charge."""


def becomes(attempt: Attempt, charge: Charge) -> Attempt:
    """The charge moves on, and a webhook is under way that tells of it."""
    return attempt._replace(charge=charge, webhooks=attempt.webhooks | BIT[charge])


def asked(attempt: Attempt, setting: Setting) -> Iterator[tuple[Charge, Attempt]]:
    """A request reaches the PSP: its answers, and the books after each."""
    if attempt.first_answer is not Charge.NONE:
        yield attempt.first_answer, attempt
        return
    for verdict in setting.verdicts:
        after = becomes(_forgotten(attempt) if verdict is not Charge.DECLINED else attempt, verdict)
        if verdict is not Charge.DECLINED or setting.remembers_declines:
            after = after._replace(first_answer=verdict)
        yield verdict, after


def _forgotten(attempt: Attempt) -> Attempt:
    """A declined charge that was forgotten keeps its own webhook."""
    no = BIT[Charge.DECLINED]
    return attempt._replace(webhooks=attempt.webhooks & ~no, earlier_no=True) if attempt.webhooks & no else attempt


def voided(attempt: Attempt) -> Attempt:
    """A void or refund reaches the PSP: idempotent, and nothing to do where there is no money and no hope of any."""
    if attempt.charge in (Charge.NONE, Charge.DECLINED, Charge.RETURNED):
        return attempt
    return becomes(attempt, Charge.RETURNED)
