"""Messages at RabbitMQ that are not ours: workers live, no order is lost, nothing of a body is shown."""

from __future__ import annotations

import json
import pickle
import uuid
from contextlib import closing
from typing import Any, Final

import pytest

from deploy.stack.product import WORKERS
from shared.depth import Depths
from shared.messages import QUEUE_OF, Step
from tests.acceptance.test_trouble_messages import CANARY, CARGO, pids
from tests.support.brokers import channel
from tests.support.psp import until
from tests.support.stack import Stack
from tests.support.storefront import DONE, Storefront, code_of
from tests.support.wire import fresh_card

QUEUE: Final = QUEUE_OF[Step.PAY]
MORE_THAN_ARE_TAKEN: Final = 1 + sum(one.concurrency for one in WORKERS if one.queue == QUEUE)
"""The broker hands a worker no more until it has answered for one of those it took, be it by refusing it."""


def stranger(body: bytes, content_type: str = "application/json", **headers: Any) -> dict[str, Any]:
    """A message that looks like one of Celery's, whatever its *body* holds."""
    ours = {"lang": "py", "task": str(Step.PAY), "id": str(uuid.uuid4()), "argsrepr": "()"} | headers
    return {"body": body, "content_type": content_type, "content_encoding": "utf-8", "headers": ours}


STRANGERS: Final[dict[str, dict[str, Any]]] = {
    "an unknown task": stranger(CARGO, task="order.steal.v1"),
    "a task of ours with too much": stranger(json.dumps([[CANARY, CANARY], {}, {}]).encode()),
    "a body that is not JSON": stranger(f"{{{CANARY}".encode()),
    "pickle": stranger(pickle.dumps(CANARY), content_type="application/x-python-serialize"),
    "no text": stranger(b"\xff\xfe" + CANARY.encode("utf-16-le")),
    "an encoding there is not": {"body": CARGO, "content_type": "text/plain", "content_encoding": CANARY},
    "nothing but a body": {"body": CARGO},
    "nothing at all": {"body": b""},
}


@pytest.mark.parametrize("message", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_message_that_is_not_ours_is_refused_unseen(stack: Stack, shop: Storefront, message: dict[str, Any]) -> None:
    before = pids(stack)

    with channel(stack.broker_url) as broker:
        for _ in range(MORE_THAN_ARE_TAKEN):
            broker.basic_publish(broker.prepare_message(**message), routing_key=QUEUE)

    assert code_of(shop.end(shop.order(fresh_card()))) == DONE
    with closing(Depths(stack.broker_url)) as depths:
        until(lambda: depths.of(QUEUE) == 0)
    assert pids(stack) == before
    assert [name for name, text in stack.logs().items() if CANARY in text] == []
