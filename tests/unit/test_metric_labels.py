"""What is counted names nobody: labels come from short lists of ours, and no value of a caller ever is one."""

from __future__ import annotations

from typing import Final

from prometheus_client.exposition import generate_latest

from shared.observe.metrics import CALL_S, REQUEST_S, STEP_S, Metrics, metrics, request_took
from shared.psp.port import READ_TIMEOUT_S, TOTAL_TIMEOUT_S
from tests.support.observability import exported

ALLOWED: Final = frozenset(
    {
        *("method", "route", "status", "step", "ended", "adapter", "verb", "told", "state", "lane"),
        *("kind", "currency", "outcome", "queue", "part", "severity", "check", "event"),
        "le",  # The edges of a histogram's buckets.
    }
)


def test_no_label_may_name_a_tenant_a_customer_or_an_order() -> None:
    ours = {name: labels for name, labels in exported().items() if name != "up"}
    assert {name: labels - ALLOWED for name, labels in ours.items() if labels - ALLOWED} == {}


def test_every_family_is_exported_by_its_name() -> None:
    """The list of all series, which others read too, leaves out none of those that a process counts itself."""
    families = Metrics().own._collector_to_names.values()
    assert all(any(name in exported() for name in names) for names in families)


def test_a_route_is_one_route_under_either_prefix() -> None:
    for rule in ("/api/v1/c2a/there", "/api/c2a/there"):
        request_took("GET", rule, 200, 0.001)
    assert metrics().requests["GET", "/c2a/there", "200"]._sum.get() == 0.002


def test_a_path_that_no_route_has_and_its_method_are_never_labels() -> None:
    request_took("4111111111111111", None, 404, 0.001)
    told = generate_latest(metrics().own).decode()
    assert "4111111111111111" not in told
    assert 'method="none",route="none",status="404"' in told


def test_the_times_that_matter_are_edges_of_buckets() -> None:
    assert 2.0 in REQUEST_S, "the contract's 503"
    assert {READ_TIMEOUT_S, TOTAL_TIMEOUT_S} <= set(CALL_S) & set(STEP_S)
