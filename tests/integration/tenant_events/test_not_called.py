"""In production an event is sent to no address inside, whatever its endpoint's URL was when it was saved (W3, W4)."""

from __future__ import annotations

from dataclasses import replace

from shared.config import Mode
from tests.support.doors import a_door
from tests.support.listening import Listener, goes_on, teller
from tests.support.psp import until
from workers.runtime import Runtime


def test_a_name_that_leads_inside_is_not_called_and_its_event_waits(run: Runtime, listener: Listener) -> None:
    strict = replace(run, settings=run.settings.model_copy(update={"mode": Mode.PRODUCTION}))
    listener.done()
    with a_door() as door, teller(strict) as one:
        there = f"https://localhost:{door.port}/"
        listener.sql("UPDATE event_endpoints SET url = :url WHERE tenant_id = :tenant", url=there)
        until(lambda: goes_on(one) and [log for log in listener.log() if log.answer])
        assert not door.was_knocked_at()
    [log] = listener.log()
    assert (log.state, log.answer) == ("waiting", "no connection")
