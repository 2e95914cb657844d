"""What a message is: the name of a step and a tracking number, nothing else.

A message is a doorbell; the order's row is the queue of record. It is written here by hand in Celery's protocol 2
(a chain of the steps still to come), so that the front door needs kombu alone and pays for no canvas; a test
holds it against Celery's own rendering. A published name is never reused for another meaning.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from shared.domain.states import OrderState


class Step(StrEnum):
    """The steps by their published names."""

    LOCK_OFFER = "order.lock_offer.v1"
    PAY = "order.pay.v1"
    TOKENIZE = "order.tokenize.v1"
    LOOK_UP = "order.look_up.v1"
    RETURN_MONEY = "order.return_money.v1"


QUEUE_OF: Final[Mapping[Step, str]] = {
    Step.LOCK_OFFER: "offer-lock",
    Step.PAY: "payment",
    Step.TOKENIZE: "tokenization",
    Step.LOOK_UP: "upkeep",
    Step.RETURN_MONEY: "upkeep",
}

FRONT_OF: Final[Mapping[Step, str]] = {Step.PAY: "payment-resumed"}
"""Where a step is rung for that somebody had claimed and dropped: a queue of its own beside the step's, read in turn
with it, because a shopper's money is in doubt and must not wait behind a backlog (design: 15 s)."""

ALONE_OF: Final[Mapping[Step, str]] = {Step.PAY: "payment-alone"}
"""Where a step is rung for that was dropped twice or more: read only by workers whose pool is processes, one order in
each, so that an order which takes its worker down takes no other order's worker down."""

CROWD_OF: Final[Mapping[Step, str]] = {
    Step.LOCK_OFFER: "offer-lock-crowd",
    Step.PAY: "payment-crowd",
    Step.TOKENIZE: "tokenization-crowd",
}
"""Where the orders of a tenant wait that sends far more than the others (shared/crowds.py). It is read in turn with the
step's own queue, so that a crowd has every second place at most, and who is no crowd waits for one step under way."""


class Lane(StrEnum):
    """How a step is asked for."""

    TURN = "turn"  # Behind those who came before.
    CROWD = "crowd"  # Behind those who came before, of the tenants that send most.
    FRONT = "front"  # Somebody had claimed it and let go of it.
    ALONE = "alone"  # That happened before: its order may be what takes workers down.


_QUEUES: Final[Mapping[Lane, Mapping[Step, str]]] = {
    Lane.TURN: QUEUE_OF,
    Lane.CROWD: CROWD_OF,
    Lane.FRONT: FRONT_OF,
    Lane.ALONE: ALONE_OF,
}


def queues() -> list[str]:
    """Every queue there is."""
    return sorted({queue for steps in _QUEUES.values() for queue in steps.values()})


def queue_of(step: Step, lane: Lane) -> str:
    """The queue for *step* in *lane*: the step's own where that lane has none."""
    return _QUEUES[lane].get(step, QUEUE_OF[step])


def queues_in_turn(step: Step) -> tuple[str, ...]:
    """Where orders wait that were rung for when they got to *step*."""
    return tuple(dict.fromkeys(queue_of(step, lane) for lane in (Lane.TURN, Lane.CROWD)))


CHAIN_FROM: Final[Mapping[Step, tuple[Step, ...]]] = {
    Step.LOCK_OFFER: (Step.LOCK_OFFER, Step.PAY, Step.TOKENIZE),
    Step.PAY: (Step.PAY, Step.TOKENIZE),
    Step.TOKENIZE: (Step.TOKENIZE,),
    Step.LOOK_UP: (Step.LOOK_UP,),
    Step.RETURN_MONEY: (Step.RETURN_MONEY,),
}
"""The happy path still ahead of a step; whether it is walked is decided by the row."""

STEP_FOR: Final[Mapping[OrderState, Step]] = {
    OrderState.ADMITTED: Step.LOCK_OFFER,
    OrderState.OFFER_LOCKED: Step.PAY,
    OrderState.PAYING: Step.PAY,
    OrderState.CONFIRMING: Step.LOOK_UP,
    OrderState.CHALLENGE: Step.LOOK_UP,
    OrderState.CAPTURED: Step.TOKENIZE,
}
"""What a live order in each state needs next."""


_NUMBER: Final = re.compile(r"trk_[0-9A-HJKMNP-TV-Z]{26}")
"""A tracking number (shared/ids.py): `trk_` and a ULID."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the broker gets it."""

    queue: str
    body: str
    headers: dict[str, Any]
    task_id: str


def message(step: Step, tracking_number: str, lane: Lane = Lane.TURN) -> Message:
    """The message that asks for *step* of an order, and for the steps after it when the row agrees.

    A crowd's later steps say their queue, so that it stays in its lane; all else goes where its step's name leads.
    """
    task_id = new_id()
    ids = {str(later): new_id() for later in CHAIN_FROM[step][1:]}
    body = _BODIES[step, lane is Lane.CROWD] % (ids | {"number": json.dumps(tracking_number)[1:-1]})
    headers = {**_HEADERS[step], "id": task_id, "root_id": task_id, "argsrepr": tracking_number}
    return Message(queue_of(step, lane), body, headers, task_id)


def _body_of(step: Step, *, of_crowd: bool) -> str:
    """The body of a message, wanting the order's number and, by its name, the id of each step to come."""
    later = [
        {
            "task": str(name),
            "args": ["%(number)s"],
            "kwargs": {},
            "options": {"task_id": f"%({name})s"} | ({"queue": CROWD_OF[name]} if of_crowd else {}),
            "subtask_type": None,
            "immutable": True,
        }
        for name in reversed(CHAIN_FROM[step][1:])
    ]
    embed = {"callbacks": None, "errbacks": None, "chain": later or None, "chord": None}
    return json.dumps([["%(number)s"], {}, embed])


_BODIES: Final[Mapping[tuple[Step, bool], str]] = {
    (step, of_crowd): _body_of(step, of_crowd=of_crowd) for step in Step for of_crowd in (False, True)
}
"""Put together once: every order that is admitted pays for a message."""

_HEADERS: Final[Mapping[Step, Mapping[str, Any]]] = {
    step: MappingProxyType(
        {
            "lang": "py",
            "task": str(step),
            "id": None,
            "root_id": None,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "eta": None,
            "expires": None,
            "timelimit": [None, None],
            "argsrepr": None,
            "kwargsrepr": "{}",
            "origin": "c2a",
            "ignore_result": True,
        }
    )
    for step in Step
}


def new_id() -> str:
    """A name nobody else gives; Celery's own are of as many random bits, with dashes and at thrice the price."""
    return secrets.token_hex(16)


def is_ours(content_type: object, headers: object, body: object) -> bool:
    """Whether a message asks for a step of one order, and carries nothing but the order's number and its chain."""
    match content_type, headers:
        case "application/json", {"task": str(task), "id": str()} if task in CHAIN_FROM:
            return isinstance(body, str | bytes) and _names_an_order(body)
    return False


def _names_an_order(body: str | bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:  # Also for bytes that are no text.
        return False
    match document:
        case [[str(number)], {**more}, dict()] if not more:
            return _NUMBER.fullmatch(number) is not None
    return False
