"""What earlier versions published is still ours: a published name is never taken back and never means anything else."""

from __future__ import annotations

import json

import pytest

from shared.messages import ALONE_OF, CROWD_OF, FRONT_OF, Lane, Message, Step, is_ours, message, queues
from tests.support.published import NUMBER, Published, messages


@pytest.mark.parametrize("one", messages(), ids=str)
def test_a_message_of_an_earlier_version_is_taken(one: Published) -> None:
    assert one.queue in queues()
    assert is_ours(one.content_type, one.headers, one.body)
    assert {later["task"] for later in json.loads(one.body)[2]["chain"] or []} <= set(Step)


def test_what_this_version_publishes_is_written_down() -> None:
    """Whoever changes it adds a file to tests/golden, and what is there already is still taken."""
    now = {(one.queue, one.headers["task"], _chain(one.body)) for one in _ours()}
    assert now <= {(one.queue, one.task, _chain(one.body)) for one in messages()}


def _ours() -> list[Message]:
    lanes = {Lane.TURN: Step, Lane.FRONT: FRONT_OF, Lane.ALONE: ALONE_OF, Lane.CROWD: CROWD_OF}
    return [message(step, NUMBER, lane) for lane, steps in lanes.items() for step in steps]


def _chain(body: str) -> tuple[tuple[str, str | None], ...]:
    """The steps to come, and in which queue where it is said."""
    return tuple((later["task"], later["options"].get("queue")) for later in json.loads(body)[2]["chain"] or [])
