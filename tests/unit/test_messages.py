"""A hand-made message is what Celery itself would have sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery

from shared.domain.states import OrderState
from shared.messages import (
    CHAIN_FROM,
    CROWD_OF,
    QUEUE_OF,
    STEP_FOR,
    Lane,
    Step,
    is_ours,
    message,
    queues,
    queues_in_turn,
)

NUMBER = "trk_01HZ9XPZ3K2A8E0VBVQH7N9XGB"


def a_step(number: str) -> str:
    """Stands for the steps: only their names are rendered."""
    return number


def celerys_own(step: Step) -> tuple[dict[str, Any], Any]:
    """The headers and body Celery renders for the chain that begins with *step*."""
    app = Celery("mirror", set_as_current=False)
    tasks = {name: app.task(a_step, name=str(name), shared=False, ignore_result=True) for name in Step}
    later = [tasks[name].si(NUMBER).set(task_id=f"id-{name}") for name in reversed(CHAIN_FROM[step][1:])]
    sent = app.amqp.as_task_v2(
        f"id-{step}", str(step), args=[NUMBER], kwargs={}, chain=later or None, ignore_result=True, origin="c2a"
    )
    return sent.headers, json.loads(json.dumps(sent.body))


@pytest.mark.parametrize("step", Step)
def test_the_body_is_celerys_own(step: Step) -> None:
    _, theirs = celerys_own(step)
    ours = json.loads(message(step, NUMBER).body)

    assert ours[:2] == theirs[:2]
    assert [one["task"] for one in ours[2]["chain"] or []] == [one["task"] for one in theirs[2]["chain"] or []]
    assert [one["args"] for one in ours[2]["chain"] or []] == [one["args"] for one in theirs[2]["chain"] or []]
    assert {name: ours[2][name] for name in ("callbacks", "errbacks", "chord")} == {
        name: theirs[2][name] for name in ("callbacks", "errbacks", "chord")
    }


@pytest.mark.parametrize("step", Step)
def test_the_headers_name_the_same_task_in_the_same_protocol(step: Step) -> None:
    theirs, _ = celerys_own(step)
    ours = message(step, NUMBER).headers

    assert ours.keys() <= theirs.keys()
    same = ("lang", "task", "group", "retries", "eta", "expires", "timelimit", "kwargsrepr", "ignore_result")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def celerys_options(step: Step, queue: str) -> dict[str, Any]:
    """What Celery makes of a later step whose queue is said."""
    app = Celery("mirror", set_as_current=False)
    later = app.task(a_step, name=str(step), shared=False, ignore_result=True).si(NUMBER)
    return dict(json.loads(json.dumps(later.set(task_id="id", queue=queue)))["options"])


@pytest.mark.parametrize("step", CROWD_OF)
def test_a_crowds_order_stays_in_its_lane_to_its_end_as_celery_itself_would_say_it(step: Step) -> None:
    one = message(step, NUMBER, Lane.CROWD)
    later = json.loads(one.body)[2]["chain"] or []

    assert one.queue == CROWD_OF[step]
    assert [each["options"] | {"task_id": "id"} for each in later] == [
        celerys_options(Step(each["task"]), CROWD_OF[Step(each["task"])]) for each in later
    ]
    assert is_ours("application/json", one.headers, one.body)


@pytest.mark.parametrize("lane", set(Lane) - {Lane.CROWD})
def test_whoever_is_no_crowd_goes_on_where_the_steps_name_leads(lane: Lane) -> None:
    assert all(
        each["options"].keys() == {"task_id"} for each in json.loads(message(Step.PAY, NUMBER, lane).body)[2]["chain"]
    )


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("step", Step)
def test_every_step_can_be_asked_for_in_every_lane(step: Step, lane: Lane) -> None:
    assert message(step, NUMBER, lane).queue in queues()


def test_orders_that_wait_for_their_turn_do_so_in_the_steps_queue_or_beside_it() -> None:
    assert queues_in_turn(Step.PAY) == ("payment", "payment-crowd")
    assert queues_in_turn(Step.LOOK_UP) == ("upkeep",)
    assert set(CROWD_OF) == {
        STEP_FOR[state] for state in (OrderState.ADMITTED, OrderState.OFFER_LOCKED, OrderState.CAPTURED)
    }


def test_a_message_says_nothing_but_a_step_and_a_tracking_number() -> None:
    """Masking arguments leaves the body readable: so only the tracking number may travel."""
    sent = message(Step.LOCK_OFFER, NUMBER)
    spoken = {value for value in _leaves([json.loads(sent.body), sent.headers]) if isinstance(value, str)}
    ids = {sent.task_id, *(one["options"]["task_id"] for one in json.loads(sent.body)[2]["chain"])}
    assert spoken - ids == {NUMBER, *map(str, CHAIN_FROM[Step.LOCK_OFFER]), "py", "{}", "c2a"}
    assert sent.queue == QUEUE_OF[Step.LOCK_OFFER]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


NUMBER = "trk_01M89PY73E23D3TE4D3MZHNWAV"


@pytest.mark.parametrize("step", list(Step))
def test_what_we_send_is_ours(step: Step) -> None:
    one = message(step, NUMBER)
    assert is_ours("application/json", one.headers, one.body)
    assert is_ours("application/json", one.headers, one.body.encode())


@pytest.mark.parametrize(
    ("content_type", "headers", "body"),
    [
        ("application/x-python-serialize", {}, None),
        (None, {}, None),
        ("application/json", {"task": "order.steal.v1"}, None),
        ("application/json", {"task": ["order.pay.v1"]}, None),
        ("application/json", {"id": 7}, None),
        ("application/json", {}, b"\xff\xfe"),
        ("application/json", {}, "{"),
        ("application/json", {}, "[]"),
        ("application/json", {}, f'[["{NUMBER}", "more"], {{}}, {{}}]'),
        ("application/json", {}, f'[["{NUMBER}"], {{"more": 1}}, {{}}]'),
        ("application/json", {}, f'[["{NUMBER}"], {{}}]'),
        ("application/json", {}, '[["4929000000006"], {}, {}]'),
        ("application/json", {}, f'[["{NUMBER}\\n"], {{}}, {{}}]'),
        ("application/json", {}, f'["{NUMBER}", {{}}, {{}}]'),
        ("application/json", {}, {"card": "4929000000006"}),
    ],
)
def test_what_is_anything_else_is_not(content_type: object, headers: dict[str, object], body: object) -> None:
    good = message(Step.PAY, NUMBER)
    assert not is_ours(content_type, good.headers | headers, good.body if body is None else body)
    assert not is_ours("application/json", None, good.body)
