"""What operators are handed speaks of what there is: series that are told, sections of alerts, commands that run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import click
import pytest
import yaml

from api.openapi.document import document
from shared.cli.main import main
from shared.doctor.findings import Severity
from shared.domain.states import OrderEvent, OrderState
from shared.messages import Step, queues
from shared.psp.port import Psp
from shared.psp.traffic.scripts import End
from shared.store.gauges import HOLDS, KINDS
from tests.support.observability import FOLDER, Selector, dashboards, exported, expressions, rules, selectors

RUNBOOK: Final = (FOLDER / "runbook.md").read_text()
SECTIONS: Final = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, flags=re.MULTILINE | re.DOTALL))
VALUES: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("c2a_step_seconds", "step"): frozenset(Step),
    ("c2a_step_seconds", "ended"): frozenset({"goes_on", "ends", "failed"}),
    ("c2a_psp_call_seconds", "ended"): frozenset(end.name.lower() for end in End),
    ("c2a_psp_call_seconds", "verb"): frozenset(name for name in vars(Psp) if not name.startswith("_")),
    ("c2a_rings_total", "told"): frozenset({"sent", "dropped"}),
    ("c2a_rescues_total", "state"): frozenset(OrderState) | {"returning"},
    ("c2a_order_moves_total", "event"): frozenset(OrderEvent),
    ("c2a_order_moves_total", "state"): frozenset(OrderState),
    ("c2a_orders", "kind"): frozenset(KINDS),
    ("c2a_orders_oldest_seconds", "kind"): frozenset(KINDS),
    ("c2a_open_money_attempts", "outcome"): frozenset(HOLDS),
    ("c2a_open_money_oldest_seconds", "outcome"): frozenset(HOLDS),
    ("c2a_part_up", "part"): frozenset({"postgres", "broker", "vault", "keys"}),
    ("c2a_findings", "severity"): frozenset(Severity),
    ("c2a_queue_depth", "queue"): frozenset(queues()),
    ("c2a_http_request_seconds", "route"): frozenset(
        path.removeprefix("/api/v1") for path in json.loads(document())["paths"]
    ),
}  # fmt: skip


def asked() -> Iterator[Selector]:
    """Every series that an alert or a dashboard asks for."""
    for expression in expressions():
        yield from selectors(expression)


def test_every_series_that_alerts_and_dashboards_ask_for_is_exported_with_those_labels() -> None:
    known = exported()
    for one in asked():
        assert one.name in known, one.name
        assert set(one.wanted) <= known[one.name], one


def test_every_value_they_want_of_a_label_is_one_it_can_have() -> None:
    for one in asked():
        base = re.sub(r"_(count|sum|bucket)$", "", one.name)
        for label, values in one.wanted.items():
            if (base, label) not in {("up", "job"), ("c2a_http_request_seconds", "status")}:
                assert values <= VALUES[base, label], one


def test_every_series_is_on_a_dashboard_or_in_an_alert() -> None:
    bases = {re.sub(r"_(count|sum|bucket)$", "", one.name) for one in asked()}
    assert {re.sub(r"_(count|sum|bucket)$", "", name) for name in exported()} == bases


def test_every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() -> None:
    assert list(SECTIONS) == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("alert", SECTIONS)
def test_a_section_says_what_it_means_how_to_look_and_what_to_do(alert: str) -> None:
    assert re.findall(r"^\*\*(\w+)\*\*", SECTIONS[alert], flags=re.MULTILINE) == ["Means", "Look", "Do"]


def test_every_command_in_the_runbook_is_one_that_runs() -> None:
    for line in re.findall(r"`c2a ([^`]+)`", RUNBOOK):
        command: click.Command = main
        words = line.split()
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_every_line_of_log_in_the_runbook_is_one_that_is_written() -> None:
    written = "".join(
        path.read_text() for room in ("api", "workers", "shared") for path in (FOLDER.parents[1] / room).rglob("*.py")
    )
    for event in re.findall(r"`([a-z]+\.[a-z_]+)`", RUNBOOK):
        assert f'"{event}"' in written or f"'{event}'" in written, event


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda one: str(one["uid"]))
def test_a_dashboard_is_whole(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or all(target["expr"] and target["refId"] for target in panel["targets"])
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)


def test_prometheus_asks_every_service_once() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    names = [name for job in config["scrape_configs"] for dns in job["dns_sd_configs"] for name in dns["names"]]
    assert sorted(names) == ["api", "upkeep", "worker-offer-lock", "worker-payment", "worker-tokenization"]
