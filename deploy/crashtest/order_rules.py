"""I2, I4, I5, I8, I9, I10, I12: what became of each order, its offer, its key, its method and its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from deploy.crashtest.records import TERMINAL, Event, Order, Records, Violation
from shared.domain.states import TRANSITIONS, OrderEvent, OrderState

ACCEPTED = 202


def every_order_ends(records: Records) -> Iterator[Violation]:
    """I2: every 202 resolves, and every order is terminal at rest."""
    known = {(order.tenant, order.tracking_number) for order in records.database.orders}
    for call in records.calls:
        if call.status == ACCEPTED and (call.tenant, call.tracking_number) not in known:
            yield Violation("I2", str(call.tracking_number), "accepted, but there is no such order")
    for order in records.database.orders:
        if order.state not in TERMINAL:
            yield Violation("I2", order.tracking_number, f"still {order.state}")
        elif order.leased:
            yield Violation("I4", order.tracking_number, f"{order.state}, but somebody holds its lease")


def offers_sell_once(records: Records) -> Iterator[Violation]:
    """I4: a single-use offer is sold at most once, its buyer holds it, and no failed order holds anything."""
    database = records.database
    buyers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for order in database.orders:
        if order.state == "done" and (order.tenant, order.offer) in database.single_use:
            buyers[order.tenant, order.offer].append(order.tracking_number)
    for offer, sold in buyers.items():
        if len(sold) > 1:
            yield Violation("I4", offer[1], f"sold {len(sold)} times")
        elif database.holds.get(offer) != sold[0]:
            yield Violation("I4", offer[1], "its buyer does not hold it")
    states = {(order.tenant, order.tracking_number): order.state for order in database.orders}
    for (tenant, offer_id), holder in database.holds.items():
        if states.get((tenant, holder), "missing") in ("failed", "missing"):
            yield Violation("I4", offer_id, f"held by an order that is {states.get((tenant, holder), 'missing')}")


def polls_never_go_back(records: Records) -> Iterator[Violation]:
    """I5: versions only grow, and nothing is heard after the end but the end."""
    version: Counter[str] = Counter()
    ended: dict[str, str] = {}
    for poll in records.polls:
        number = poll.tracking_number
        if ended.setdefault(number, poll.code) != poll.code and ended[number] in TERMINAL.values():
            yield Violation("I5", number, f"{poll.code} after {ended[number]}")
        ended[number] = poll.code
        if poll.version is not None:
            if poll.version < version[number]:
                yield Violation("I5", number, f"version {poll.version} after {version[number]}")
            version[number] = max(version[number], poll.version)


def one_method(records: Records) -> Iterator[Violation]:
    """I8: an order stores at most one method, only if asked to, only after success."""
    stored = Counter((one.tenant, one.tracking_number) for one in records.database.methods if one.tracking_number)
    orders = {(order.tenant, order.tracking_number): order for order in records.database.orders}
    for name, count in stored.items():
        order = orders.get(name)
        if count > 1:
            yield Violation("I8", str(name[1]), f"stored {count} methods")
        if order is None or order.state != "done" or not order.keeps_method:
            yield Violation("I8", str(name[1]), f"stored a method, but is {order.state if order else 'missing'}")


def history_adds_up(records: Records) -> Iterator[Violation]:
    """I9: an order's events are a path through the table of moves, one a version, and no PSP event waits for good."""
    told: dict[str, list[Event]] = defaultdict(list)
    for event in records.database.events:
        told[event.tracking_number].append(event)
    for order in records.database.orders:
        fault = _fault_of(order, sorted(told[order.tracking_number], key=lambda one: one.version))
        if fault is not None:
            yield Violation("I9", order.tracking_number, fault)
    numbers = {(one.tenant, one.key): one.tracking_number for one in records.database.attempts}
    for parked in records.database.parked & numbers.keys():
        yield Violation("I9", numbers[parked], "an event about its charge was never settled")


def _fault_of(order: Order, events: list[Event]) -> str | None:
    if [event.version for event in events] != list(range(1, order.version + 1)):
        return f"version {order.version}, but events {[event.version for event in events]}"
    state = OrderState.ADMITTED
    for event in events[1:]:
        after = TRANSITIONS.get((state, OrderEvent(event.event)))
        if after is None or after != event.state:
            return f"{event.event} led from {state} to {event.state}"
        state = after
    return None if state == order.state else f"its events end at {state}, its row says {order.state}"


def one_order_a_call(records: Records) -> Iterator[Violation]:
    """I10: one key, one order, one answer; and never more orders than calls where no key was given."""
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    keyless: Counter[tuple[str, str, str]] = Counter()
    for call in records.calls:
        if call.key is None:
            keyless[call.tenant, call.offer, call.customer] += 1
        elif call.status == ACCEPTED:
            answers[call.tenant, call.key].add(str(call.tracking_number))
    for (tenant, key), numbers in answers.items():
        kept = records.database.keys.get((tenant, key))
        if numbers != {kept}:
            yield Violation("I10", key, f"answered {sorted(numbers)}, kept {kept}")
    yield from _orders_of_one_key(records)
    made = Counter(
        (order.tenant, order.offer, order.customer) for order in records.database.orders if not order.correlation_id
    )
    for whose, count in made.items():
        if records.calls and count > keyless[whose]:
            yield Violation("I10", whose[1], f"{count} orders of {keyless[whose]} calls")


def _orders_of_one_key(records: Records) -> Iterator[Violation]:
    keyed = Counter((order.tenant, order.correlation_id) for order in records.database.orders if order.correlation_id)
    for (_, key), count in keyed.items():
        if count > 1:
            yield Violation("I10", str(key), f"{count} orders under one key")


def no_card_outlives_its_order(records: Records) -> Iterator[Violation]:
    """I12: the vault holds nothing of a terminal order, and nothing for longer than its time to live."""
    states = {(order.tenant, order.tracking_number): order.state for order in records.database.orders}
    for card in records.cards:
        state = states.get((card.tenant, card.tracking_number))
        if state in TERMINAL:
            yield Violation("I12", card.tracking_number, f"{state}, but its card is in the vault")
        if card.ttl_s is None or card.ttl_s > records.vault_ttl_s:
            yield Violation("I12", card.tracking_number, f"its card may stay for {card.ttl_s} s")
