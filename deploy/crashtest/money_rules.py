"""I1, I3, I11: what the PSP holds is what was sold, once, and nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from deploy.crashtest.records import MAY_HOLD, TERMINAL, UNSETTLED, Attempt, Charge, Order, Records, Violation


def one_capture(records: Records) -> Iterator[Violation]:
    """I1: at most one net capture per tenant and merchant reference."""
    for (_, reference), charges in _by_order(records).items():
        live = [charge for charge in charges if charge.net]
        if len(live) > 1:
            yield Violation("I1", reference, f"{len(live)} captures at once: {_sums(live)}")


def sold_is_paid(records: Records) -> Iterator[Violation]:
    """I3: DONE means exactly one net capture of the exact amount and currency, less what an operator refunded of it;
    FAILED means none, and none to come."""
    charged = _by_order(records)
    refunded: Counter[str] = Counter()
    for attempt in records.database.attempts:
        refunded[attempt.tracking_number] += attempt.refunded
    owed = {call.tracking_number: call.owed for call in records.calls if call.owed is not None}
    for order in records.database.orders:
        charges = charged.get((order.tenant, order.merchant_reference), [])
        if order.state == "done":
            owes = owed.get(order.tracking_number)
            yield from _done_is_paid(order, charges, owes, refunded[order.tracking_number])
        elif order.state == "failed":
            yield from _failed_is_free(order, charges)


def _done_is_paid(
    order: Order, charges: list[Charge], owed: tuple[int, str] | None, refunded: int
) -> Iterator[Violation]:
    price = (order.amount, order.currency)
    if owed is not None and owed != price:
        yield Violation("I3", order.tracking_number, f"offered for {owed}, ordered for {price}")
    held = [(charge.net, charge.currency) for charge in charges if charge.net]
    left = (order.amount or 0) - refunded
    if held != ([(left, order.currency)] if left else []):
        back = f" less {refunded} that went back" if refunded else ""
        yield Violation("I3", order.tracking_number, f"done for {price}{back}, but the PSP holds {held}")


def _failed_is_free(order: Order, charges: list[Charge]) -> Iterator[Violation]:
    held = [charge for charge in charges if charge.net or charge.state in MAY_HOLD]
    if held:
        yield Violation("I3", order.tracking_number, f"failed, but the PSP holds {_sums(held)}")


def told_is_true(records: Records) -> Iterator[Violation]:
    """I3: the end a client heard of is the end in the database."""
    states = {order.tracking_number: order.state for order in records.database.orders}
    for poll in records.polls:
        state = states.get(poll.tracking_number, "missing")
        if poll.code in TERMINAL.values() and TERMINAL.get(state) != poll.code:
            yield Violation("I3", poll.tracking_number, f"a client heard {poll.code}, the row says {state}")


def books_agree(records: Records) -> Iterator[Violation]:
    """I11: every capture belongs to an attempt, every attempt says what the PSP says, no money is open."""
    attempts = {(one.tenant, one.key): one for one in records.database.attempts}
    charges: dict[tuple[str, str], list[Charge]] = defaultdict(list)
    for charge in records.charges:
        tenant = records.database.tenant_of_account.get(charge.account)
        if tenant is not None:
            charges[tenant, charge.key].append(charge)
            if charge.net and (tenant, charge.key) not in attempts:
                yield Violation("I11", charge.merchant_reference, f"captured {_sums([charge])} without an attempt")
    for key, attempt in attempts.items():
        yield from _attempt_agrees(attempt, charges[key])


def _attempt_agrees(attempt: Attempt, charges: list[Charge]) -> Iterator[Violation]:
    name = f"{attempt.tracking_number} attempt {attempt.number}"
    if attempt.outcome in UNSETTLED:
        yield Violation("I11", name, f"its money is open: {attempt.outcome}")
    held = [charge for charge in charges if charge.net]
    is_refunded = bool(attempt.refunded) and not held  # How much of it is right, the order says.
    if attempt.outcome == "captured" and not is_refunded and [one.reference for one in held] != [attempt.reference]:
        yield Violation("I11", name, f"captured, but the PSP holds {_sums(held)}")
    if attempt.outcome in ("declined", "absent", "returned") and held:
        yield Violation("I11", name, f"{attempt.outcome}, but the PSP holds {_sums(held)}")


def no_stale_verdict(records: Records) -> Iterator[Violation]:
    """A5: no order failed on a verdict that is older than its last claim.

    Whoever claims an order asks the PSP again. If the PSP took the money then, and said no only before, then a
    worker that had lost its lease wrote its old news over the new. Where the PSP sent the shopper to a page then, the
    no may be the shopper's, who cancelled there.
    """
    claimed: dict[str, datetime] = {}
    failed: dict[str, datetime] = {}
    for event in sorted(records.database.events, key=lambda one: one.version):
        if event.event == "payment_resumed":
            claimed[event.tracking_number] = event.at
        elif event.event == "shopper_challenged":
            claimed.pop(event.tracking_number, None)
        elif event.event == "payment_declined":
            failed[event.tracking_number] = event.at
    charged = _by_order(records)
    for order in records.database.orders:
        since = claimed.get(order.tracking_number)
        if since is None or order.tracking_number not in failed:
            continue
        later = [one for one in charged.get((order.tenant, order.merchant_reference), []) if one.created_at > since]
        if later and all(one.state != "declined" for one in later):
            yield Violation("A5", order.tracking_number, "declined by a worker that had lost its lease")


def _by_order(records: Records) -> dict[tuple[str, str], list[Charge]]:
    found: dict[tuple[str, str], list[Charge]] = defaultdict(list)
    for charge in records.charges:
        tenant = records.database.tenant_of_account.get(charge.account)
        if tenant is not None:  # Another stack's or another run's account.
            found[tenant, charge.merchant_reference].append(charge)
    return found


def _sums(charges: list[Charge]) -> str:
    return ", ".join(f"{one.net or one.amount} {one.currency} {one.state}" for one in charges) or "nothing"
