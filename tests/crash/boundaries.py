"""Which scenario gets a process to which boundary: the matrix, and the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.failpoints import Failpoint
from shared.failpoints import Failpoint as P
from tests.crash.api_scenarios import (
    admission,
    browser_return,
    deletion,
    keeping,
    late_admission,
    operating,
    refusal,
    repeat,
    replaying,
    webhook,
    webhook_lost,
)
from tests.crash.scenarios import (
    Scenario,
    abandoned,
    card_lost,
    declined,
    declined_softly,
    early_news,
    ending,
    going_on,
    lock_offer,
    lock_refused,
    paying,
    paying_nothing,
    paying_slowly,
    psp_away,
    reconciled,
    refunded,
    refunding,
    rescuer,
    returning,
    storing,
    storing_unanswered,
    telling,
    unanswered,
    vault_away,
    walking,
    walking_into_a_row,
    walking_lightly,
)


def _each(scenario: Scenario, *points: Failpoint) -> dict[Failpoint, tuple[Scenario, ...]]:
    return dict.fromkeys(points, (scenario,))


PAY_POINTS: Final = (
    P.PAY_BEFORE_CLAIM,
    P.PAY_AFTER_CLAIM,
    P.PAY_BEFORE_CALL,
    P.PAY_AFTER_CALL,
    P.PAY_BEFORE_CHAIN,
)
"""Tried at a PSP that remembers everything and at one that forgets what it declined."""

SCENARIOS: Final[Mapping[Failpoint, tuple[Scenario, ...]]] = {
    **_each(
        admission,
        P.ADMISSION_BEFORE_VAULT,
        P.ADMISSION_BEFORE_STATEMENT,
        P.ADMISSION_AFTER_STATEMENT,
        P.ADMISSION_AFTER_RING,
        P.ADMISSION_BEFORE_ANSWER,
    ),
    **_each(repeat, P.REPEAT_BEFORE_FORGETTING),
    **_each(refusal, P.REFUSAL_HOLDING_KEY, P.REFUSAL_BEFORE_ROLLBACK, P.REFUSAL_BEFORE_FORGETTING),
    **_each(late_admission, P.LATE_ADMISSION_BEFORE_COMMIT),
    **_each(lock_offer, P.LOCK_BEFORE_STATEMENT, P.LOCK_AFTER_STATEMENT),
    **_each(lock_refused, P.LOCK_BEFORE_REFUSAL, P.LOCK_AFTER_REFUSAL),
    **dict.fromkeys(PAY_POINTS, (paying, declined, going_on)),
    **_each(declined, P.PAY_BEFORE_COMMIT, P.PAY_AFTER_COMMIT),
    **dict.fromkeys((P.PAY_BEFORE_CAPTURE, P.PAY_AFTER_CAPTURE), (paying, walking, walking_lightly)),
    **dict.fromkeys((P.STRAIGHT_BEFORE_CLAIM, P.STRAIGHT_AFTER_CLAIM), (walking, walking_lightly)),
    **_each(walking_into_a_row, P.STRAIGHT_BEFORE_HOLD, P.STRAIGHT_AFTER_HOLD),
    **_each(
        refunded,
        P.REFUND_BEFORE_CALL,
        P.REFUND_BEFORE_AHEAD,
        P.REFUND_AFTER_AHEAD,
        P.REFUND_AFTER_CALL,
        P.REFUND_BEFORE_REFUND,
        P.REFUND_BEFORE_COMMIT,
        P.REFUND_AFTER_COMMIT,
    ),
    **_each(operating, P.ACTION_BEFORE_COMMIT, P.ACTION_AFTER_COMMIT),
    **_each(replaying, P.REPLAY_BEFORE_COMMIT, P.REPLAY_AFTER_COMMIT),
    **_each(ending, P.TOKENIZE_BEFORE_END, P.TOKENIZE_AFTER_END),
    **_each(paying_nothing, P.PAY_BEFORE_SKIP, P.PAY_AFTER_SKIP),
    **_each(vault_away, P.PAY_BEFORE_WAIT, P.PAY_AFTER_WAIT),
    **dict.fromkeys((P.PAY_BEFORE_FAILURE, P.PAY_AFTER_FAILURE), (card_lost, declined_softly)),
    **dict.fromkeys((P.PAY_BEFORE_ROW, P.PAY_AFTER_ROW), (psp_away, walking_into_a_row)),
    **_each(paying_slowly, P.HEARTBEAT_BEFORE_RENEWAL, P.HEARTBEAT_AFTER_RENEWAL),
    **_each(unanswered, P.LOOK_UP_BEFORE_CALL, P.LOOK_UP_BEFORE_COMMIT, P.LOOK_UP_AFTER_COMMIT, P.LOOK_UP_AFTER_RING),
    P.LOOK_UP_AFTER_CALL: (unanswered, abandoned),
    **_each(abandoned, P.ABANDON_BEFORE_COMMIT, P.ABANDON_AFTER_COMMIT),
    **_each(returning, P.RETURN_BEFORE_CALL),
    **_each(refunding, P.RETURN_BEFORE_REFUND),
    **dict.fromkeys(
        (P.RETURN_AFTER_CALL, P.RETURN_BEFORE_COMMIT, P.RETURN_AFTER_COMMIT), (returning, refunding, abandoned)
    ),
    **dict.fromkeys((P.TOKENIZE_BEFORE_COMMIT, P.TOKENIZE_AFTER_COMMIT), (storing, walking)),
    **_each(storing_unanswered, P.TOKENIZE_BEFORE_CALL, P.TOKENIZE_BEFORE_WAIT, P.TOKENIZE_AFTER_WAIT),
    **_each(webhook, P.WEBHOOK_BEFORE_TRANSACTION, P.WEBHOOK_BEFORE_ANSWER),
    **dict.fromkeys((P.WEBHOOK_BEFORE_COMMIT, P.WEBHOOK_AFTER_COMMIT, P.WEBHOOK_AFTER_RING), (webhook, webhook_lost)),
    **_each(browser_return, P.BROWSER_BEFORE_STATEMENT, P.BROWSER_AFTER_STATEMENT, P.BROWSER_AFTER_RING),
    **_each(
        rescuer,
        P.RESCUER_BEFORE_STATEMENT,
        P.RESCUER_BETWEEN_STATEMENTS,
        P.RESCUER_BEFORE_RINGING,
        P.RESCUER_AFTER_RINGING,
    ),
    **_each(early_news, P.RELEASE_BEFORE_COMMIT, P.RELEASE_AFTER_COMMIT, P.RELEASE_AFTER_RING),
    **_each(reconciled, P.RECONCILE_BEFORE_COMMIT, P.RECONCILE_AFTER_COMMIT),
    **_each(
        telling,
        P.TELLING_BEFORE_READING,
        P.TELLING_AFTER_READING,
        P.TELLING_AFTER_CLAIM,
        P.TELLING_AFTER_CALL,
        P.TELLING_AFTER_RECORD,
    ),
    **_each(keeping, P.KEEPING_BEFORE_CALL, P.KEEPING_AFTER_CALL, P.KEEPING_BEFORE_COMMIT, P.KEEPING_AFTER_COMMIT),
    **_each(deletion, P.DELETION_BEFORE_CALL, P.DELETION_AFTER_CALL, P.DELETION_AFTER_STATEMENT),
}
"""Every failpoint and the scenarios that reach it."""
