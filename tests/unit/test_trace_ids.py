"""The number of an order is all that anybody needs to know to find its trace."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ulid import ULID

from shared.ids import new_tracking_number
from shared.observe.traces import ids_of


def test_the_trace_of_an_order_is_its_ulid_and_is_the_same_for_whoever_asks() -> None:
    number = new_tracking_number()
    trace_id, span_id = ids_of(number)
    assert f"{trace_id:032x}" == ULID.from_str(number[4:]).hex
    assert (trace_id, span_id) == ids_of(number)
    assert 0 < span_id < 1 << 64


@pytest.mark.parametrize("number", ["trk_" + "0" * 26, "trk_" + "Z" * 26, "", "trk_x"])
def test_what_is_no_order_of_ours_has_ids_that_are_valid_all_the_same(number: str) -> None:
    trace_id, span_id = ids_of(number)
    assert 0 < trace_id < 1 << 128
    assert 0 < span_id < 1 << 64


def test_without_an_address_nothing_of_opentelemetry_is_even_imported() -> None:
    script = "import sys\nfrom shared.observe import traces\ntraces.begin('x')\n"
    script += "with traces.tracing().step('s', 'trk_x') as span:\n    span.ended('ends')\n"
    script += "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", script], env={"PATH": ""}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_where_it_is_wanted_and_not_installed_that_is_said_and_all_goes_on() -> None:
    script = "import sys\nsys.modules['opentelemetry.sdk'] = None\nfrom shared.observe import traces\n"
    script += "traces.begin('x')\nprint(type(traces.tracing()).__name__)"
    env = {"PATH": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("_Off\n")
    assert "traces.not_installed" in done.stdout
