"""The switches of the payment model: each plants one bug into the protocol.

A model that finds nothing proves nothing until it is seen to find something. The first group are mistakes that other
systems are known to make; the second are finer: each of them passes every test that runs without a clock against it,
and takes two workers and one badly timed pause to cost money or an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.model.world import Charge


class Bug(StrEnum):
    """A planted bug, in words."""

    NO_FENCING = "a worker that lost its lease still writes states"
    NEW_KEY_ON_RETRY = "a worker that takes over pays under a new PSP key"
    TIMEOUT_IS_FAILURE = "a PSP that did not answer counts as one that said no"
    LATE_SUCCESS_DROPPED = "a capture of a failed order is ignored"
    ABSENT_TRUSTED_AT_ONCE = "'no such charge' is believed while the request may be on its way"
    REPEATED_NOT_SENT_TRUSTED = "a repeat that never left is taken as proof for the request before it"
    REPEATED_NO_TRUSTED = "a PSP that finds a repeat invalid is taken to have said no to the request before it"
    MESSENGER_DECIDES = "a capture told by anyone but its own worker is taken for a second one"
    NO_RESCUER = "nobody rings again for a lost message"
    NO_RECONCILIATION = "nobody compares our attempts with the PSP's books"
    VOID_UNKNOWN_IS_RETURNED = "a void without an answer counts as money returned"
    OPEN_BESIDE_DONE = "reconciliation leaves alone what is still open when its order was paid by another attempt"
    WEBHOOKS_NOT_ONCE = "a webhook that comes twice is settled twice"
    EXPIRY_FAILS_UNASKED = "a challenge whose time is up fails without asking the PSP"
    PENDING_FOR_EVER = "a pending payment has no deadline"
    LOST_CARD_FAILS_OPEN = "a card gone from the vault fails the order though an attempt is open"

    FAILOVER_ON_SILENCE = "an order whose PSP did not answer goes on to another"
    FAILOVER_WITHOUT_PROOF = "an order goes on to another PSP though a request may still be on its way to the first"
    NOT_SENT_AGAIN = "a PSP that cannot be asked is not sent the request again"
    TAKEN_IS_RETURNED = "a return that was only taken in hand counts as done"

    NEWS_OF_ANOTHER_CHARGE = "a no to one charge is settled for an attempt that holds another"
    PASSED_CHALLENGE_SHOWN = "a late challenge is shown though its payment is pending at the bank"
    PROOF_FROM_FIRST_REQUEST = "the time that makes absence a proof counts from the attempt's first request"
    LOOK_UP_NOT_FENCED = "a look-up from before the order was claimed again still says 'never made'"
    VOID_BEFORE_COMMIT = "a challenge is cancelled at the PSP before our row says so"
    TIMEOUT_ENDS_CHALLENGE = "a late 'no answer' ends a challenge the shopper is still at"
    CALLED_OFF_OPEN = "an order is called off while nobody knows whether its PSP holds money"
    CALLED_OFF_PAID = "a late capture at another PSP pays an order that was called off"
    REFUND_CALLED_FIRST = "a refund is asked of the PSP before it is written down"
    LATE_LOOK_UP_DROPS_CARD = "a look-up that comes too late forgets the card of an order that is being paid"


@dataclass(frozen=True)
class Setting:
    """One configuration of the payment model. The bounds keep it finite."""

    remembers_declines: bool = True
    """A sticky PSP answers a repeat of a declined request with the same no; a forgetful one tries again."""
    verdicts: tuple[Charge, ...] = (Charge.CAPTURED, Charge.DECLINED, Charge.CHALLENGE, Charge.PENDING)
    """What the PSP may come to say."""
    workers: int = 2
    faults: int = 2
    crashes_to_park: int = 2
    psps: int = 1
    """How many the order may be paid at. With more than one the router may choose as it likes among those that did not
    say no, and a no may be soft: whoever hears it is told that another PSP might say yes."""
    costs_nothing: bool = False
    looks_up: bool = True
    """Whether the PSP can be asked. One that cannot answers the same request again, takes a return in hand without
    proof, and tells by webhooks that arrive in the end; then a promise of money holds once what it told is settled."""
    called_off: bool = False
    """Whether an operator may end the order at any moment (shared/call_off.py)."""
    refunds: bool = False
    """Whether an operator may refund the order once it is done (workers/give_refund.py)."""
    slips: bool = False
    """Whether a worker may be stopped between its last look at the clock and the socket, so that a request leaves later
    than the proof of absence allows for. Then the promises hold of net captures, after compensation."""
    bugs: frozenset[Bug] = frozenset()
