"""Traces are sent beside the work: nobody waits for whoever takes them, and what has gathered goes before an end."""

from __future__ import annotations

import time

import pytest

from shared.ids import new_tracking_number
from shared.observe import otel
from tests.support.trace_receiver import receiving

ENDS_WITHIN_S = 10.0


def test_with_nobody_to_take_them_spans_hold_up_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    worker = otel.exporting("test")
    began = time.monotonic()
    for _ in range(3_000):  # More than are kept for sending.
        with worker.step("order.pay.v1", new_tracking_number()):
            pass
    assert time.monotonic() - began < ENDS_WITHIN_S
    worker.flush()
    assert time.monotonic() - began < 2 * ENDS_WITHIN_S


def test_what_has_gathered_is_sent_when_a_process_is_about_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        worker = otel.exporting("test")
        with worker.step("order.pay.v1", new_tracking_number()):
            pass
        worker.flush()
        assert [(span.name, span.service) for span in receiver.spans] == [("order.pay.v1", "test")]
