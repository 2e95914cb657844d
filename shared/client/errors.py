"""What a storefront is told when it does not get what it asked for: what happened, and what to do next.

The type says whose move it is; the code is the contract's. No error holds what was sent, and none has a cause that
does: an HTTP library's error knows its request, and that may carry a card.
"""

from __future__ import annotations

from shared.client.answers import CheckoutResult


class CheckoutError(Exception):
    """Whatever this client raises. *next_step*: what to do now, in a sentence."""

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(f"{message} ({next_step})")
        self.next_step = next_step


class Refused(CheckoutError):
    """The API understood and said no; the same call again would be refused again."""

    def __init__(
        self, code: str, message: str, *, status: int, fields: tuple[str, ...], next_step: str, after_lost: bool
    ) -> None:
        super().__init__(f"{code}: {message}" if message else code, next_step=next_step)
        self.code = code
        """The contract's messageCode; UNAUTHORIZED for a 401, which has no body."""
        self.status = status
        self.fields = fields
        """Paths of the fields at fault, as `order.items[0].quantity`; empty where it is about none."""
        self.after_lost = after_lost
        """Whether an earlier answer to the same call got lost: it may have done what this one says is done."""


class RequestAtFault(Refused):
    """The program sent what no API takes."""


class KeyAtFault(Refused):
    """The key, or the tenant beside it, may not do this."""


class OfferAtFault(Refused):
    """Another offer is needed."""


class PaymentAtFault(Refused):
    """Another card, stored method or channel is needed."""


class KeyReused(Refused):
    """Another order was submitted under this correlationId; *fields* says where the two differ."""


class OrderUnknown(Refused):
    """No order of this tenant has that tracking number."""


class NoAnswer(CheckoutError):
    """Nothing definite was heard in time: nobody can say from here whether the call took effect."""

    def __init__(
        self, why: str, *, key: str | None, may_have_happened: bool, retry_after_s: float | None, next_step: str
    ) -> None:
        super().__init__(f"no answer: {why}", next_step=next_step)
        self.why = why
        """The last code the API answered with, or the type of the network's error."""
        self.key = key
        """Under which key an order was submitted: submit it again under this one and no other."""
        self.may_have_happened = may_have_happened
        """False only where nobody can have heard the call, or all who did said that they did nothing."""
        self.retry_after_s = retry_after_s


class StillRunning(CheckoutError):
    """The order is under way and the time to wait is over; *last* is where it stood."""

    def __init__(self, last: CheckoutResult) -> None:
        super().__init__(f"{last.tracking_number} is {last.code}", next_step="wait again: no order is lost")
        self.last = last


class NotUnderstood(CheckoutError):
    """The answer is none of this API's: another server is at that address, or something between rewrote it."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what}: an answer ({status}) that is not this API's", next_step="check the base URL")


class NotGenuine(CheckoutError):
    """A webhook that the holder of the secret did not sign, or not now."""

    def __init__(self, why: str) -> None:
        super().__init__(why, next_step="answer 400 and do nothing; if it recurs, check the endpoint's secret")
