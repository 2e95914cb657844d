"""Messages that are not ours, or ours many times over: workers live, no order is lost, nothing of a body is shown."""

from __future__ import annotations

import base64
import json
import pickle
import random
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest
import redis
from celery import Celery

from shared.depth import Depths
from shared.doorbell import Doorbell
from shared.messages import QUEUE_OF, Step
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, Storefront, code_of, new_correlation
from tests.support.wire import fresh_card

CANARY: Final = "4929000000006"
"""A valid card number that no test pays with."""
TAKEN: Final = "unacked"
"""Where kombu keeps in Redis what a worker took and has not acknowledged; a killed worker's stay for three minutes."""
WORKERS: Final = ("worker-offer-lock", "worker-payment", "worker-tokenization", "worker-upkeep")


@pytest.fixture
def broker(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.broker_url) as client:
        yield client


def envelope(body: bytes, **headers: Any) -> dict[str, Any]:
    """A message as kombu keeps it in Redis, whatever its *body* holds."""
    task_id = str(uuid.uuid4())
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": str(Step.PAY), "id": task_id, "root_id": task_id, "argsrepr": "()"} | headers,
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "payment"},
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }


CARGO: Final = json.dumps([[CANARY], {"cvc": CANARY}, {"chain": None}]).encode()
STRANGERS: Final[dict[str, str | bytes]] = {
    "an unknown task": json.dumps(envelope(CARGO, task="order.steal.v1")),
    "a task of ours with too much": json.dumps(envelope(json.dumps([[CANARY, CANARY], {}, {}]).encode())),
    "a body that is not JSON": json.dumps(envelope(f"{{{CANARY}".encode())),
    "a body of another form": json.dumps(envelope(json.dumps({"card": CANARY}).encode())),
    "pickle": json.dumps(envelope(pickle.dumps(CANARY)) | {"content-type": "application/x-python-serialize"}),
    "no task": json.dumps(envelope(CARGO) | {"headers": {"note": CANARY}}),
    "an order there is not": json.dumps(envelope(json.dumps([[CANARY], {}, {}]).encode())),
    "no envelope": json.dumps({"card": CANARY}),
    "no JSON": f"{CANARY} is no message",
    "no text": b"\xff\xfe" + CANARY.encode("utf-16-le"),
}


def pids(stack: Stack) -> dict[str, int]:
    """The supervised process of each worker."""
    return {name: stack.pids(name)[0] for name in WORKERS}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_message_that_is_not_ours_is_refused_unseen(
    stack: Stack, shop: Storefront, broker: redis.Redis, stranger: str | bytes
) -> None:
    before, in_hand = pids(stack), set(broker.hkeys(TAKEN))

    broker.lpush(QUEUE_OF[Step.PAY], stranger)

    assert code_of(shop.end(shop.order(fresh_card()))) == DONE
    until(lambda: broker.llen(QUEUE_OF[Step.PAY]) == 0)
    until(lambda: in_hand.issuperset(broker.hkeys(TAKEN)))
    assert pids(stack) == before
    assert [name for name, text in stack.logs().items() if CANARY in text] == []


def test_a_worker_takes_no_orders_from_a_broadcast(stack: Stack, shop: Storefront) -> None:
    """`shutdown` to every worker: remote control is off, so nobody listens."""
    before = pids(stack)
    with Celery("stranger", broker=stack.broker_url, set_as_current=False) as stranger:
        stranger.control.broadcast("shutdown")
    assert code_of(shop.end(shop.order(fresh_card()))) == DONE
    assert pids(stack) == before


def test_every_message_ten_times_in_any_order_is_one_order_charged_once(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    dice, correlation = random.Random(9), new_correlation()
    number = shop.order(fresh_card(storeMethodSuccessPayment="always"), correlationId=correlation)
    rung = [(step, number) for step in Step for _ in range(10)]
    dice.shuffle(rung)
    bell = Doorbell(stack.broker_url)
    for one in rung:
        bell.ring(*one)
    bell.close(within_s=10)
    assert code_of(shop.end(number)) == DONE
    with closing(Depths(stack.broker_url)) as depths:
        until(lambda: not any(map(depths.of, QUEUE_OF.values())), seconds=20)

    events = rows.events(number)
    assert len(events) == len(set(events)), events
    assert len(psp.charges(correlation)) == 1
    [(methods,)] = rows.ask("SELECT count(*) FROM stored_methods WHERE tracking_number = %s", number)
    assert methods == 1
