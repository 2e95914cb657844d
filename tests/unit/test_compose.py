"""deploy/compose.yaml is valid, and says what the product says: its queues, settings, ports and waits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from compose_spec import PyCompose

from api.server import OPTIONS as SERVER
from deploy.container import make_secrets
from deploy.stack import redis
from shared.config import Settings
from shared.messages import queues
from tests.support import manifests
from tests.support.manifests import DEPLOY, WORKER_SERVICES, compose, seconds
from workers.main import STEP_LIMIT_S

SERVICES: Final[dict[str, dict[str, Any]]] = compose()["services"]
PROCESSES: Final = ("api", *WORKER_SERVICES)
OURS: Final = ("migrate", *PROCESSES)
CELERY_ENDS_WITHIN_S: Final = 35
"""How long a warm shutdown has taken after its last step."""


def test_it_is_a_compose_file_in_which_every_name_is_defined(say: Callable[[str], None]) -> None:
    PyCompose.from_json(json.dumps(compose())).validate()
    try:
        command = ["docker", "compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True, timeout=30)
    except (FileNotFoundError, subprocess.CalledProcessError):
        say("docker has no compose here: checked against the specification alone")
        return
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def test_every_queue_is_read_by_a_worker_as_deploy_up_starts_it() -> None:
    commands = [SERVICES[name]["command"] for name in WORKER_SERVICES]

    assert set().union(*map(manifests.queues_read, commands)) == set(queues())
    assert set(map(tuple, commands)) == manifests.commands_of_the_stack()


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_every_secret_a_file_of_that_service(name: str) -> None:
    service = SERVICES[name]
    entry = (DEPLOY / "container" / "c2a-entry").read_text()
    plain = {key: value for key, value in service["environment"].items() if not key.endswith("_URL_FILE")}
    files = {key.removesuffix("_FILE"): service["environment"][key] for key in set(service["environment"]) - set(plain)}

    assert set(plain) | set(files) <= manifests.settings()
    assert set(files) <= set(entry.split("for name in ")[1].split(";")[0].split())
    named = [*files.values(), *(path for path in plain.values() if path.startswith("/run/secrets/"))]
    assert {path.removeprefix("/run/secrets/") for path in named} == set(service["secrets"])


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in files(folder)}


def test_a_key_that_is_rotated_reaches_a_container_that_runs() -> None:
    """A file that is mounted by itself is the one that was there when the container began."""
    for name in OURS:
        settings = SERVICES[name].get("environment", {})
        if "C2A_KEYRING" in settings:
            folder = str(Path(settings["C2A_KEYRING"]).parent)
            assert f"./secrets/keys:{folder}:ro" in SERVICES[name]["volumes"], name


def test_the_secrets_are_those_that_are_made_and_nobody_else_may_look_into_their_folder(tmp_path: Path) -> None:
    make_secrets.make(tmp_path, "redis")
    made = written(tmp_path / "secrets")
    named = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    assert named <= set(made)
    assert set(made) - named == {
        "broker_password",
        "vault_password",
        "keyring.json",
    }, "what addresses and settings are made of, and what is mounted with its folder"
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0

    (tmp_path / ".env").write_text("COMPOSE_PROFILES=redis\nC2A_PUBLIC_URL=https://checkout.shop.example\n")
    make_secrets.make(tmp_path, "rabbitmq")
    again = written(tmp_path / "secrets")
    assert {name for name in made if made[name] != again[name]} == {"broker_url"}
    assert (tmp_path / ".env").read_text().splitlines() == [
        "COMPOSE_PROFILES=rabbitmq",
        "C2A_PUBLIC_URL=https://checkout.shop.example",
    ]
    assert again["broker_url"].startswith("amqp://")


def test_whoever_made_the_secrets_may_write_an_address_of_their_own_and_every_container_read_it(tmp_path: Path) -> None:
    """A container's user is another than the folder's, and a file is mounted by itself."""
    make_secrets.make(tmp_path, "redis")
    modes = {path.name: path.stat().st_mode & 0o777 for path in files(tmp_path / "secrets")}
    assert modes.pop("keyring.json") == 0o444, "its tool replaces it as a whole"
    assert (tmp_path / "secrets" / "keys").stat().st_mode & 0o777 == 0o755
    assert set(modes.values()) == {0o644}


def test_an_address_that_was_written_as_a_line_is_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/c2a\n")
    assert Settings().database_url.get_secret_value() == "postgresql://db.example/c2a"


def test_the_brokers_are_chosen_by_a_profile_of_their_kind() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"redis-broker": ["redis"], "rabbitmq": ["rabbitmq"]}
    assert {kind for [kind] in profiles.values()} == set(make_secrets.BROKERS)


def test_ports_and_images_agree() -> None:
    api = SERVICES["api"]
    port = api["command"][api["command"].index("--port") + 1]
    assert [published.split(":")[2] for published in api["ports"]] == [port]
    assert [published.split(":")[0] for published in api["ports"]] == ["127.0.0.1"], "TLS is before it"
    dockerfile = (DEPLOY / "container" / "Dockerfile").read_text()
    assert f"EXPOSE {port} {api['environment']['C2A_METRICS_PORT']}\n" in dockerfile
    assert f"http://127.0.0.1:{port}/readyz" in (DEPLOY / "container" / "c2a-healthy").read_text()
    assert {SERVICES[name]["image"] for name in OURS} == {f"c2a-checkout:{manifests.version()}"}
    assert f"c2a-checkout:{manifests.version()} " in dockerfile


def test_whoever_is_asked_to_stop_may_finish_what_it_does() -> None:
    for name in WORKER_SERVICES:
        assert seconds(SERVICES[name]["stop_grace_period"]) >= STEP_LIMIT_S + CELERY_ENDS_WITHIN_S
    assert seconds(SERVICES["api"]["stop_grace_period"]) > SERVER["graceful_timeout"]
    assert all("stop_grace_period" in service for name, service in SERVICES.items() if name != "migrate")


@pytest.mark.parametrize("name", [*OURS, "redis-vault"])
def test_what_sees_a_card_is_nobody_on_a_machine_it_cannot_write_to(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert service["ulimits"] == {"core": 0}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_its_bounds_and_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])
    assert "restart" in service
    assert "max-size" in service["logging"]["options"]
    assert name in OURS or "healthcheck" in service, "ours have the image's"
    assert ":" in service["image"]
    assert not service["image"].endswith(":latest")


def test_the_vault_is_reached_by_the_api_and_the_workers_alone_and_servers_see_no_world() -> None:
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in compose()["networks"]
    }
    assert members["vault"] == {"redis-vault", *PROCESSES}
    assert members["broker"] == {"redis-broker", "rabbitmq", *PROCESSES}
    assert members["data"] == {"postgres", *OURS}
    assert members["outside"] == {"api", "worker-payment", "worker-tokenization", "upkeep", "grafana"}
    inward = {name for name, network in compose()["networks"].items() if network.get("internal")}
    assert inward == set(members) - {"outside"}


def test_the_servers_keep_what_they_must_and_forget_what_they_must() -> None:
    vault, broker = (manifests.options(SERVICES[name]["command"]) for name in ("redis-vault", "redis-broker"))
    assert vault == {**redis.VAULT, "save": "", "maxmemory-policy": redis.COMMON["maxmemory-policy"]}
    assert broker == {**redis.BROKER, "maxmemory-policy": redis.COMMON["maxmemory-policy"]}
    assert "volumes" not in SERVICES["redis-vault"]


def test_what_is_mounted_is_there() -> None:
    mounted = [
        DEPLOY / source
        for service in SERVICES.values()
        for source in (volume.split(":")[0] for volume in service.get("volumes", []))
        if source.startswith("./") and not source.startswith("./secrets/")  # Those are made.
    ]
    assert mounted
    assert [path for path in mounted if not path.exists()] == []
    assert all(manifests.is_executable(path) for path in mounted if path.suffix == ".sh")


def test_prometheus_asks_services_that_are_there_at_the_port_that_they_open() -> None:
    asked = yaml.safe_load((DEPLOY / "observability" / "prometheus.yml").read_text())["scrape_configs"]
    found = [config for job in asked for config in job["dns_sd_configs"]]
    assert {name for config in found for name in config["names"]} == set(PROCESSES)
    assert {str(config["port"]) for config in found} == {compose()["x-settings"]["C2A_METRICS_PORT"]}
    assert all("metrics" in SERVICES[name]["networks"] for name in (*PROCESSES, "prometheus"))
