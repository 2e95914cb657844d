"""deploy/kubernetes is valid, and says what the product says: queues, settings, ports, waits and who talks to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml

from api.openapi.routes import ROUTES
from api.server import OPTIONS as SERVER
from deploy.container import make_secrets
from deploy.stack import redis
from deploy.stack.home import ROOT
from shared.config import Settings
from shared.messages import queues
from shared.planning.pools import CONNECTIONS_OF_A_CHILD
from tests.support import keda, manifests
from tests.support.manifests import DEPLOY, OVERLAYS, WORKER_SERVICES, Document, container, kubernetes, named
from tests.unit.test_compose import CELERY_ENDS_WITHIN_S
from workers.main import STEP_LIMIT_S

VERSIONS: Final = ("1.30", "1.37")
"""The oldest that our manifests are for, and the newest whose schema is here."""
PROCESSES: Final = ("api", *WORKER_SERVICES)
EVERYTHING: Final = {overlay: kubernetes(overlay) for overlay in OVERLAYS}
BASE: Final = tuple(one for one in EVERYTHING["redis"] if one in EVERYTHING["rabbitmq"])
DEPLOYMENTS: Final = named(BASE, "Deployment")
PER_OVERLAY: Final = pytest.mark.parametrize("overlay", OVERLAYS)


def pods(objects: tuple[Document, ...]) -> dict[str, Document]:
    """The pod templates, by what makes them."""
    return {
        name: one["spec"]["template"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for name, one in named(objects, kind).items()
    }


def selected(selector: Document, objects: tuple[Document, ...]) -> set[str]:
    """Whose pods *selector* matches."""
    wanted: dict[str, str] = selector.get("matchLabels", {})
    among = {one["key"]: one["values"] for one in selector.get("matchExpressions", [])}
    return {
        name
        for name, pod in pods(objects).items()
        if wanted.items() <= pod["metadata"]["labels"].items()
        and all(pod["metadata"]["labels"].get(key) in values for key, values in among.items())
    }


@PER_OVERLAY
def test_every_object_is_one_that_kubernetes_and_keda_take(overlay: str) -> None:
    for one in EVERYTHING[overlay]:
        if one["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(one, keda.SCHEMAS[one["kind"]])
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(one, version, strict=True)
    assert all(one["metadata"].get("namespace", "c2a") == "c2a" for one in EVERYTHING[overlay])
    assert {one["metadata"]["name"] for one in EVERYTHING[overlay] if one["kind"] == "Namespace"} == {"c2a"}


def test_every_file_belongs_to_a_kustomization() -> None:
    for kustomization in (DEPLOY / "kubernetes").rglob("kustomization.yaml"):
        listed = {name for name in yaml.safe_load(kustomization.read_text())["resources"] if name.endswith(".yaml")}
        assert listed == {path.name for path in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}


@PER_OVERLAY
def test_every_queue_has_workers_as_deploy_up_starts_them_and_they_grow_with_it(overlay: str) -> None:
    commands = {name: container(DEPLOYMENTS[name])["args"] for name in WORKER_SERVICES}
    assert set(map(tuple, commands.values())) == manifests.commands_of_the_stack()

    read = {name: manifests.queues_read(command) for name, command in commands.items()}
    assert set().union(*read.values()) == set(queues())
    scaled = named(EVERYTHING[overlay], "ScaledObject")
    name_of = {"redis": "listName", "rabbitmq": "queueName"}[overlay]
    triggers = {
        one["spec"]["scaleTargetRef"]["name"]: {trigger["metadata"][name_of] for trigger in one["spec"]["triggers"]}
        for one in scaled.values()
    }
    assert triggers == read
    assert all(trigger["type"] == overlay for one in scaled.values() for trigger in one["spec"]["triggers"])
    assert not any("replicas" in DEPLOYMENTS[name]["spec"] for name in triggers), "two would have a say"


@pytest.mark.parametrize("name", PROCESSES)
def test_every_variable_is_a_setting_and_every_secret_one_that_is_made(name: str, tmp_path: Path) -> None:
    make_secrets.make(tmp_path, "redis")
    made = {path.name for path in (tmp_path / "secrets").rglob("*") if path.is_file()}
    [config] = named(BASE, "ConfigMap").values()
    own = container(DEPLOYMENTS[name])["env"]

    assert set(config["data"]) | {one["name"] for one in own} <= manifests.settings()
    keys = {one["valueFrom"]["secretKeyRef"]["key"] for one in own if "valueFrom" in one}
    volumes = [volume for pod in pods(BASE).values() for volume in pod["spec"].get("volumes", []) if "secret" in volume]
    assert keys | {item["key"] for volume in volumes for item in volume["secret"]["items"]} <= made
    assert ("api_database_url" in keys) == (name == "api"), "the API by a login of its own"


@PER_OVERLAY
def test_what_keda_asks_with_is_a_secret_that_is_made(overlay: str, tmp_path: Path) -> None:
    make_secrets.make(tmp_path, overlay)
    [asks] = named(EVERYTHING[overlay], "TriggerAuthentication").values()
    for one in asks["spec"]["secretTargetRef"]:
        assert (tmp_path / "secrets" / one["key"]).exists()
    for one in named(EVERYTHING[overlay], "ScaledObject").values():
        assert {trigger["authenticationRef"]["name"] for trigger in one["spec"]["triggers"]} == {"broker"}


def test_ports_and_images_agree() -> None:
    [config] = named(BASE, "ConfigMap").values()
    for name in PROCESSES:
        ports = {port["name"]: port["containerPort"] for port in container(DEPLOYMENTS[name])["ports"]}
        assert str(ports["metrics"]) == config["data"]["C2A_METRICS_PORT"]
    args = container(DEPLOYMENTS["api"])["args"]
    assert args[args.index("--port") + 1] == str(ports_of("api")["http"])
    images = {container(one)["image"] for one in (*DEPLOYMENTS.values(), *named(BASE, "Job").values())}
    assert images == {f"c2a-checkout:{manifests.version()}", manifests.compose()["services"]["redis-vault"]["image"]}
    assert set(named(BASE, "Job")) == {f"migrate-{manifests.version()}"}


def ports_of(name: str) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(DEPLOYMENTS[name])["ports"]}


@PER_OVERLAY
def test_every_service_leads_to_pods_with_that_port(overlay: str) -> None:
    objects = EVERYTHING[overlay]
    for name, service in named(objects, "Service").items():
        behind = selected({"matchLabels": service["spec"]["selector"]}, objects)
        assert len(behind) == 1, name
        [ports] = (pods(objects)[one]["spec"]["containers"][0]["ports"] for one in behind)
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= {port["name"] for port in ports}
    assert {"api", *WORKER_SERVICES} <= set(named(objects, "Service")), "what prometheus.yml asks by name"


def test_probes_ask_what_there_is_and_a_broker_that_is_away_ends_nobody() -> None:
    routes = {route.path for route in ROUTES if route.bare}  # Documented ones are served: test_openapi_routes.
    api = container(DEPLOYMENTS["api"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert api[probe]["httpGet"]["path"] in routes
        assert api[probe]["httpGet"]["port"] in ports_of("api")
    assert api["livenessProbe"]["httpGet"]["path"] == "/healthz", "a database that is away ends nobody either"
    assert api["readinessProbe"]["httpGet"]["path"] == "/healthz", "a vault that is away takes no polls with it"
    for name in WORKER_SERVICES:
        worker = container(DEPLOYMENTS[name])
        ages = {
            probe: worker[probe]["exec"]["command"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        assert {command[0] for command in ages.values()} == {"c2a-healthy"}
        assert int(ages["readinessProbe"][1]) < int(ages["livenessProbe"][1])
        assert "C2A_HEARTBEAT_FILE" in {one["name"] for one in worker["env"]}


def test_whoever_is_asked_to_stop_may_finish_what_it_does() -> None:
    grace = {
        name: one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for name, one in DEPLOYMENTS.items()
    }
    assert all(grace[name] >= STEP_LIMIT_S + CELERY_ENDS_WITHIN_S for name in WORKER_SERVICES)
    pause = int(container(DEPLOYMENTS["api"])["lifecycle"]["preStop"]["exec"]["command"][1])
    assert grace["api"] > pause + SERVER["graceful_timeout"]


@PER_OVERLAY
def test_every_pod_is_restricted_and_bounded(overlay: str) -> None:
    for name, pod in pods(EVERYTHING[overlay]).items():
        spec, [only] = pod["spec"], pod["spec"]["containers"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(only["resources"]["requests"])
        assert "memory" in only["resources"]["limits"]


def test_no_drain_takes_all_of_a_kind_and_copies_stand_apart() -> None:
    budgets = named(BASE, "PodDisruptionBudget")
    assert set(budgets) == set(DEPLOYMENTS)
    for name, budget in budgets.items():
        assert selected(budget["spec"]["selector"], BASE) == {name}
    for name in PROCESSES:
        spread = DEPLOYMENTS[name]["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {one["topologyKey"] for one in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(selected(one["labelSelector"], BASE) == {name} for one in spread)


@PER_OVERLAY
def test_nobody_talks_to_anybody_but_as_is_said(overlay: str) -> None:
    objects = EVERYTHING[overlay]
    policies = {name: one["spec"] for name, one in named(objects, "NetworkPolicy").items()}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(selected(policy["podSelector"], objects) for policy in policies.values())

    [only] = policies["vault"]["ingress"]
    [source] = only["from"]
    assert selected(policies["vault"]["podSelector"], objects) == {"redis-vault"}
    assert selected(source["podSelector"], objects) == set(PROCESSES)
    assert selected(policies["to-the-broker"]["podSelector"], objects) == set(PROCESSES)
    assert selected(policies["to-psps"]["podSelector"], objects) == set(PROCESSES) - {"worker-offer-lock"}
    migrating = f"migrate-{manifests.version()}"
    assert selected(policies["to-postgres"]["podSelector"], objects) == {*PROCESSES, migrating}


def test_the_servers_keep_what_they_must_and_forget_what_they_must() -> None:
    composed: dict[str, Any] = manifests.compose()["services"]
    vault = container(DEPLOYMENTS["redis-vault"])["args"]
    broker = container(named(EVERYTHING["redis"], "StatefulSet")["redis-broker"])["args"]
    assert vault == composed["redis-vault"]["command"]
    assert dict(manifests.options(broker)) == {"dir": "/data", **manifests.options(composed["redis-broker"]["command"])}
    assert redis.VAULT.items() <= manifests.options(vault).items()


@PER_OVERLAY
def test_the_readme_says_how_many_connections_all_of_it_may_take(overlay: str) -> None:
    """Above PostgreSQL's own limit the last to come answers 503."""
    settings, most = Settings(), {"api": DEPLOYMENTS["api"]["spec"]["replicas"]}
    for one in named(EVERYTHING[overlay], "ScaledObject").values():
        most[one["spec"]["scaleTargetRef"]["name"]] = one["spec"]["maxReplicaCount"]

    def of_a_pod(name: str) -> int:
        args = container(DEPLOYMENTS[name])["args"]
        if name == "api":
            return int(args[args.index("--workers") + 1]) * (settings.pool_size + settings.poll_pool_size)
        is_prefork = args[args.index("-P") + 1] == "prefork"
        return int(args[args.index("-c") + 1]) * CONNECTIONS_OF_A_CHILD if is_prefork else settings.pool_size

    taken = sum(pods * of_a_pod(name) for name, pods in most.items())
    assert f"{taken} connections of PostgreSQL" in " ".join((ROOT / "README.md").read_text().split())
