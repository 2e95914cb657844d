"""Every way an order or a card can go through the product, each with a card nobody else has."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import httpx

from deploy.crashtest.canaries import CVC, HOLDER, Canary, bad_number
from deploy.sandbox.cards import BEHAVIOURS
from tests.leaks.shopper import ADD, SUBMIT, Shopper, insist
from tests.leaks.visitor import visits
from tests.support import outage
from tests.support.psp_side import PspSide
from tests.support.storefront import new_customer
from tests.support.wire import Document

AT_ONCE: Final = 32
"""Jobs at a time: most of them wait for a PSP that is in trouble."""
ROUNDS: Final = 12
"""Of requests that reach every failpoint of two API processes, each of which raises once and ends its request."""
OF_OUTAGES: Final = 16
"""Orders of the outages, at least: the last that were accepted."""
LAST_S: Final = 5.0
"""How long these are followed: a dropped step is rung for again within the second or two that SETTINGS say."""
SLOW: Final = frozenset({"3ds_abandoned", "timeoutBefore", "timeoutAfter", "dribble"})
PRESSED: Final = (("3ds", "decline"), ("3ds", "cancel"))
"""Beside what every behaviour is tried with: to approve."""
KEPT: Final = ("success", "generic_decline", "suspected_fraud", "declines_when_charged", "http500", "timeoutAfter")
MINE: Final = frozenset({"correlationId", "cardAlias", "storedMethodToken"})
"""Fields whose text is the merchant's own to choose and ours to keep, or that are dropped unread."""


Job = Callable[[], object]


def everywhere(shopper: Shopper) -> None:
    """All of it."""
    at_once([*payments(shopper), partial(failing, shopper), partial(all_refusals, shopper), partial(visits, shopper)])
    all_outages(shopper)
    at_once([partial(shopper.follow, number, within_s=LAST_S) for number in shopper.numbers[-OF_OUTAGES:]])


def payments(shopper: Shopper) -> Iterator[Job]:
    """Orders with every test card, those that take longest first, and cards kept without an order."""
    for one in sorted(BEHAVIOURS, key=lambda one: one.name not in SLOW):
        yield partial(shopper.buy, one.name)
    for name, press in PRESSED:
        yield partial(shopper.buy, name, press=press)
    yield partial(shopper.buy, "success", keep="never")
    yield from (partial(keep, shopper, name) for name in KEPT)
    yield partial(kept_then_used, shopper)


def at_once(jobs: Iterable[Job]) -> None:
    """Do all *jobs*, some side by side; the first error of one is raised."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def keep(shopper: Shopper, behaviour: str = "success", customer: str = "") -> httpx.Response:
    """Store a card without an order."""
    payment = shopper.card(behaviour)
    return shopper.call("POST", ADD, json={"customerUrn": customer or new_customer(), "paymentMethod": payment})


def kept_then_used(shopper: Shopper) -> None:
    """A stored card, shown, put to sleep, woken, and deleted."""
    customer = new_customer()
    urn = insist(lambda: keep(shopper, customer=customer)).json()["result"]["paymentMethodUrn"]
    shopper.call("GET", "/c2a/customer/payment/methods/list", params={"c": customer})
    for method, verb in (("GET", "info"), ("POST", "inactivate"), ("POST", "activate"), ("DELETE", "delete")):
        shopper.call(method, f"/c2a/customer/payment/methods/{verb}", params={"p": urn})


def all_refusals(shopper: Shopper) -> None:
    """Requests that are refused for every reason there is, with a card in hand."""
    for document in _impossible_cards(shopper):
        shopper.submit(document)
    whole = shopper.document(shopper.card())
    for document in _card_in_every_field(shopper, whole):
        shopper.submit(document)
    _refused_by_their_offer(shopper)
    _refused_by_their_bytes(shopper, whole)
    _card_in_addresses(shopper)
    shopper.submit(whole, headers={"x-api-key": "sk_dev_nobody"})
    shopper.submit(whole, headers={"x-tn": "00000000-0000-4000-8000-000000000000"})


def _impossible_cards(shopper: Shopper) -> Iterator[Document]:
    wrong, good = Canary(bad_number(), HOLDER + "wrong digit"), shopper.stray()
    shopper.cards.append(wrong)
    changes: tuple[dict[str, Any], ...] = (
        {"cardNumber": wrong.number, "cardHolderName": wrong.holder},
        {"cardNumber": int(good)},
        {"cardNumber": [good]},
        {"cardNumber": {"number": good}},
        {"cardNumber": f" {good}"},
        {"cardNumber": f"{good}{good}"},
        {"cvc": f"{CVC}{CVC}"},
        {"cvc": int(CVC)},
        {"expireYear": "2019"},
        {"expireMonth": "13"},
        {"CN": good},
        {"useStoredMethod": True, "storedMethodUrn": "pm.00.482.7"},
    )
    for change in changes:
        yield shopper.document(shopper.card(**change))
    yield shopper.document(shopper.card() | {"paymentChannel": "PayPal"})
    yield shopper.document(shopper.card() | {"providerIdentifier": "nobody"})


def _card_in_every_field(shopper: Shopper, whole: Document) -> Iterator[Document]:
    """A card number where something else belongs, one field at a time."""
    for path in _leaves(whole):
        if path[-1] in MINE or path[-1] == "cardNumber":
            continue
        document = copy.deepcopy(whole)
        part: Any = document
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = shopper.stray()
        yield document


def _leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if named is None:
        yield path
        return
    if path:
        yield path
    for name, part in named:
        yield from _leaves(part, *path, name)


def _refused_by_their_offer(shopper: Shopper) -> None:
    sold = shopper.document(shopper.card())
    shopper.submit(sold)
    shopper.submit(sold)  # Replayed.
    shopper.submit(sold | {"paymentMethod": shopper.card()})  # The same key, another card: IDEMPOTENCY_CONFLICT.
    shopper.submit({**sold, "order": sold["order"] | {"correlationId": "again"}})  # OFFER_ALREADY_ORDERED.
    shopper.submit(shopper.document(shopper.card(), offerIdentifier="of_nobody"))
    shopper.submit(shopper.document(shopper.card(), items=[{"itemIdentifier": "it.nobody", "quantity": 1}]))


def _refused_by_their_bytes(shopper: Shopper, whole: Document) -> None:
    text = json.dumps(whole)
    twice = text.replace('"cvc"', '"cvc": "1", "cvc"')
    bodies: tuple[tuple[bytes, str], ...] = (
        (text[: text.index('"cvc"') + 14].encode(), "application/json"),  # Cut inside the card.
        (text.encode()[:-1], "application/json"),
        (twice.encode(), "application/json"),
        (text.encode("utf-16"), "application/json"),
        (text.encode() + b"\0", "application/json"),
        (text.replace("Canary", "\ud800").encode("utf-8", "surrogatepass"), "application/json"),
        (text.replace("1,", "NaN,").encode(), "application/json"),
        (b'{"a":' * 40 + text.encode() + b"}" * 40, "application/json"),
        (text.encode() + b" " * 70_000, "application/json"),
        (text.encode(), "text/plain"),
        (text.encode(), "application/x-www-form-urlencoded"),
    )
    for body, kind in bodies:
        shopper.call("POST", SUBMIT, content=body, headers={"content-type": kind})
    shopper.raw(f"POST {SUBMIT} HTTP/1.1\r\n{text}\r\n\r\n".encode())
    shopper.raw(f"{text}\r\n\r\n".encode())


def _card_in_addresses(shopper: Shopper) -> None:
    """A number in a path, in a query, in a header that is not one of ours, and in a webhook nobody signed."""
    stray = shopper.stray()
    for method, path in (
        ("GET", f"/c2a/{stray}"),
        ("GET", f"{SUBMIT}/{stray}/status"),
        ("GET", f"{SUBMIT}/{stray}/return?state={stray}"),
        ("GET", f"/c2a/customer/payment/methods/info?p={stray}"),
        ("GET", f"/c2a/customer/payment/methods/list?c={stray}"),
        ("DELETE", f"/c2a/customer/payment/methods/delete?p={stray}"),
        ("POST", f"/c2a/psp/{stray}/{stray}/webhook"),
        (stray, SUBMIT),
    ):
        shopper.call(method, path)
    shopper.call("POST", "/c2a/psp/sandbox/acc_nobody/webhook", json=shopper.card())
    shopper.call("GET", SUBMIT, headers={"x-anything": stray, "x-api-key": stray})


def failing(shopper: Shopper) -> None:
    """Orders, refusals, cards kept and deleted, in a stack whose every failpoint raises once a process."""
    for _ in range(ROUNDS):
        document = shopper.document(shopper.card() | {"storeMethodSuccessPayment": "always"})
        shopper.submit(document, headers={"connection": "close"})  # Whichever process is free takes the next one.
        shopper.submit(document, headers={"connection": "close"})
        shopper.submit({**document, "order": document["order"] | {"correlationId": "another"}})
        kept = keep(shopper)
        if kept.status_code == httpx.codes.OK:
            urn = kept.json()["result"]["paymentMethodUrn"]
            shopper.call("DELETE", "/c2a/customer/payment/methods/delete", params={"p": urn})


def all_outages(shopper: Shopper) -> None:
    """A card in hand while a server is dead or the PSP is down."""
    stack = shopper.stack
    for server in ("redis-vault", "postgres", "redis-broker"):
        documents = [shopper.document(shopper.card()) for _ in range(4)]
        with outage.dead(stack, server):
            at_once([partial(keep, shopper), *(partial(shopper.submit, document) for document in documents)])
        outage.until_well(stack)
    psp = PspSide(stack.psp_url)
    psp.set_faults(down="closed")
    keep(shopper)
    shopper.submit(shopper.document(shopper.card()))
    outage.kill(stack, "worker-payment")  # With the card of the last order in its hands, or about to take it.
    psp.set_faults(down="no")
    psp.close()
