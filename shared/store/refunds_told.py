"""Of which refund does a PSP tell that it was given, or that it failed, and what comes of that?

What failed is asked for again under another key, so a failure that is put down to the wrong refund is paid twice. Where
the PSP says what the request was called, that name decides: each key of a refund is its own, so what is told late of an
earlier try, which failed since, moves nothing. What has a name that is none of ours was asked for beside us. Where the
PSP does not say, a failure is ours if its amount fits one refund alone that may have failed so; if it fits several, or
only its name tells against us, somebody has to look at the PSP (`refund-in-doubt`), and nothing is asked for again.

Of what was given less is at stake: nothing is paid by it, only no longer asked for. There an amount that fits is
believed whatever the request was called, so that a PSP that names requests otherwise than it says stops no refund.

The order's row is locked by whoever calls these.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from shared.domain.money import Money
from shared.domain.outcomes import Returned, StillHeld
from shared.store import refunds
from shared.store.attempts import Attempt
from shared.store.refunds import Refund, RefundState

log = structlog.get_logger(__name__)

S: Final = RefundState


def told_given(conn: Connection, attempt: Attempt, told: Returned) -> None:
    """Money of *attempt* went back. A part counts as ours only once its PSP was called for ours: a merchant may give
    parts back beside us. Of all of it whatever is not ours was given beside us, also while a part of ours is under way.
    """
    every = _of(conn, attempt)
    named = _named(every, told.asked_as)
    if named is not None:
        _this_given(conn, attempt, every, *named)
        return
    is_all = told.money in (None, attempt.money)
    asked = _under_way(every)
    if asked is None:
        _given_after_all(conn, attempt, every, told.money)
    elif is_all or _fits(asked, told.money):
        refunds.given(conn, asked)
    if is_all:
        refunds.given_beside_us(conn, attempt)


def all_given(conn: Connection, attempt: Attempt, refund: Refund) -> None:
    """A look-up showed that all of *attempt* went back: *refund* of it, and the rest beside us.

    It changes nothing where *refund* does not stand as it was before the look: it was settled since, or its PSP said
    that it failed.
    """
    if refunds.given(conn, refund):
        refunds.given_beside_us(conn, attempt)


def told_held(conn: Connection, attempt: Attempt, told: StillHeld, *, pauses: tuple[timedelta, ...]) -> None:
    """A return of *attempt*, which its PSP had taken in hand or said was done, failed. If it was ours it is asked for
    again under another key, after the pause of so many refusals."""
    every = _of(conn, attempt)
    named = _named(every, told.asked_as)
    if named is not None:
        one, is_latest = named
        if is_latest:
            _this_failed(conn, attempt, one, told, pauses)
        return
    fit = [one for one in every if _may_have_failed(one, told)]
    if len(fit) == 1 and (told.asked_as is None or fit[0].is_by_hand):
        _failed(conn, attempt, fit[0], pauses)
    else:
        _doubt(conn, fit)


def _of(conn: Connection, attempt: Attempt) -> list[Refund]:
    every = refunds.of_order(conn, attempt.tenant_id, attempt.tracking_number)
    return [one for one in every if one.attempt_no == attempt.attempt_no]


def _under_way(every: list[Refund]) -> Refund | None:
    return next((one for one in every if one.state is S.ASKED), None)


def _named(every: list[Refund], asked_as: str | None) -> tuple[Refund, bool] | None:
    """The refund of ours that was asked for as *asked_as*, and whether no later request for it was."""
    for one in every:
        times = None if asked_as is None else one.refusals_before(asked_as)
        if times is not None:
            return one, times == one.refusals
    return None


def _fits(refund: Refund, money: Money | None) -> bool:
    return refund.was_sent and money == refund.money


def _this_given(conn: Connection, attempt: Attempt, every: list[Refund], one: Refund, is_latest: bool) -> None:
    if not is_latest:
        return  # Its PSP told since that it failed: news of one request may come in another order.
    if one.state is S.ASKED:
        refunds.given(conn, one)
    elif one.state is S.REFUSED:  # By somebody's word.
        asked = _under_way(every)
        if asked is not None and refunds.refunded_minor(conn, attempt) + one.amount_minor > attempt.amount_minor:
            refunds.refused(conn, asked)  # No PSP gives back more than it took: this one has to fail.
        refunds.given_after_all(conn, attempt, one)


def _given_after_all(conn: Connection, attempt: Attempt, every: list[Refund], money: Money | None) -> None:
    last = every[-1] if every else None
    if last is not None and last.state is S.REFUSED and _fits(last, money):
        refunds.given_after_all(conn, attempt, last)


def _may_have_failed(one: Refund, told: StillHeld) -> bool:
    """Whether it may be this one: what was not done so far if it was sent, what was done if that is what failed."""
    if told.money not in (None, one.money):
        return False
    return one.was_sent if one.state is S.ASKED else one.state is S.GIVEN and told.was_done is not False


def _this_failed(
    conn: Connection, attempt: Attempt, one: Refund, told: StillHeld, pauses: tuple[timedelta, ...]
) -> None:
    if one.state is S.REFUSED:
        return
    if one.state is S.GIVEN and told.was_done is False:
        # It counts as given by somebody's word, or by another's return. Where all is back it had to fail.
        if refunds.refunded_minor(conn, attempt) < attempt.amount_minor:
            _doubt(conn, [one])
        return
    _failed(conn, attempt, one, pauses)


def _failed(conn: Connection, attempt: Attempt, one: Refund, pauses: tuple[timedelta, ...]) -> None:
    log.warning("refund.failed", tracking_number=one.tracking_number, times=one.refusals + 1, by_hand=one.is_by_hand)
    if one.is_by_hand:
        refunds.not_given(conn, one)
    elif one.state is S.GIVEN and _under_way(_of(conn, attempt)) is not None:
        refunds.not_given(conn, one)  # One at a time: an operator may refund it again once the other is settled.
        _doubt(conn, [one])
    else:
        refunds.ask_again(conn, one, due_in=pauses[min(one.refusals, len(pauses) - 1)])


def _doubt(conn: Connection, every: list[Refund]) -> None:
    for one in every:
        log.error("refund.in_doubt", tracking_number=one.tracking_number, amount_minor=one.amount_minor)
        refunds.doubt(conn, one)
