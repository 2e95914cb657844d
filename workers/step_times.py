"""What every step leaves behind, whatever it does: its time and end, its span in the order's trace, its order's name on
each log line. Decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.logs import about_order
from shared.messages import Step
from shared.observe.metrics import step_took
from shared.observe.traces import tracing
from workers.runtime import Runtime

Work = Callable[[Runtime, str], bool | None]


def timed(step: Step, work: Work) -> Work:
    """*work*, its time and its end counted each time it is taken: what is taken straight (straight.py) as its last
    step, and what is taken twice, twice."""

    def took(run: Runtime, tracking_number: str) -> bool | None:
        began, ended = time.monotonic(), "failed"
        with about_order(tracking_number, step), tracing().step(step, tracking_number) as span:
            try:
                goes_on = work(run, tracking_number)
                ended = "goes_on" if goes_on else "ends"
                return goes_on
            finally:
                step_took(step, ended, time.monotonic() - began)
                span.ended(ended)

    return took
