"""An operator gives a tenant endpoints, looks after them, and sends again what was sent, from a shell."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from shared import keyring
from shared.cli.main import main
from shared.config import Settings
from shared.domain.tenant_events import EventKind
from tests.support import worker_process
from tests.support.event_receiver import Receivers
from tests.support.listening import Listener, a_tenant, teller, until_heard
from tests.support.psp import until
from workers import runtime
from workers.runtime import Runtime


@pytest.fixture
def run(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """The upkeep process, and a shell with the same database and keyring."""
    path = tmp_path / "keyring.json"
    keyring.save(keyring.fresh(), path)
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("C2A_KEYRING", str(path))
    made = runtime.build(settings.model_copy(update={"keyring": path}))
    yield made
    with made.engine.begin() as conn:  # Its secrets are sealed by keys that nobody has after this test.
        conn.execute(text("UPDATE event_endpoints SET state = 'removed', secret = NULL, secret_before = NULL"))
    made.doorbell.close()
    made.engine.dispose()


def c2a(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["endpoints", *map(str, arguments)])


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return result.stderr


def test_an_endpoint_is_added_hears_is_rotated_paused_resumed_replayed_and_removed(
    run: Runtime, receivers: Receivers
) -> None:
    tenant_id, at = a_tenant(run.engine), receivers.storefront()
    mine = ("--tenant", tenant_id, "--json")

    added = said(c2a("add", at.url, *mine))
    endpoint_id = added["endpointId"]
    assert added["events"] == sorted(EventKind)
    at.answers(secrets=[added["secret"]])
    listener = Listener(run.engine, tenant_id, endpoint_id, added["secret"], at)
    with teller(run) as one:
        listener.done()
        [first] = until_heard(one, listener, 1)
        assert first.verified_by == [0]

        rotated = said(c2a("rotate", endpoint_id, *mine))
        at.answers(secrets=[added["secret"], rotated["secret"]])
        assert said(c2a("pause", endpoint_id, *mine))["state"] == "paused"
        listener.done()
        one.round(1)
        [shown] = said(c2a("list", *mine))["endpoints"]
        assert (shown["endpointId"], shown["state"], shown["url"]) == (endpoint_id, "paused: operator", at.url)
        assert not {added["secret"], rotated["secret"]} & set(map(str, shown.values()))
        [waiting] = said(c2a("deliveries", endpoint_id, *mine, "--state", "waiting"))["deliveries"]
        assert (waiting["type"], waiting["tries"]) == ("checkout.done", 0)

        assert said(c2a("resume", endpoint_id, *mine))["state"] == "active"
        assert until_heard(one, listener, 2)[1].verified_by == [0, 1]
        assert said(c2a("replay", endpoint_id, *mine, "--event-id", first.id))["sentAgain"] == 1
        assert until_heard(one, listener, 3)[2].id == first.id
        assert said(c2a("replay", endpoint_id, *mine, "--last-hours", 1))["sentAgain"] == 2
        assert len(until_heard(one, listener, 5)) == 5

        assert said(c2a("remove", endpoint_id, *mine))["state"] == "removed"
        listener.done()
        one.round(1)
    assert said(c2a("list", *mine))["endpoints"] == []
    assert len(at.heard) == 5
    assert listener.endpoint().secret is None


@pytest.mark.parametrize("command", ["rotate", "pause", "resume", "remove", "deliveries"])
def test_another_tenants_endpoint_is_as_unknown_as_none(run: Runtime, receivers: Receivers, command: str) -> None:
    owner, other = a_tenant(run.engine), a_tenant(run.engine)
    added = said(c2a("add", receivers.storefront().url, "--tenant", owner, "--json"))

    foreign = c2a(command, added["endpointId"], "--tenant", other)
    unknown = c2a(command, "ep_none", "--tenant", other)

    assert refused(foreign) == refused(unknown)
    assert "no such endpoint" in refused(unknown)


def test_a_replay_of_another_tenants_events_sends_nothing(run: Runtime, receivers: Receivers) -> None:
    owner, other = a_tenant(run.engine), a_tenant(run.engine)
    added = said(c2a("add", receivers.storefront().url, "--tenant", owner, "--json"))

    assert "no such endpoint" in refused(c2a("replay", added["endpointId"], "--tenant", other, "--last-hours", 1))
    assert c2a("replay", added["endpointId"], "--tenant", owner).exit_code == 2, "it must be said which"


def test_what_is_not_of_the_public_internet_is_refused_and_not_repeated(
    run: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2A_MODE", "production")
    tenant_id = a_tenant(run.engine)

    for url in ("http://shop.example/", "https://10.0.0.1/in", "https://[::1]/in", "https://user:pw@shop.example/"):
        told = refused(c2a("add", url, "--tenant", tenant_id))
        assert told.startswith("Error: URL: ")
        assert url not in told


def test_there_is_no_endpoint_for_a_tenant_there_is_not_nor_one_too_many(run: Runtime, receivers: Receivers) -> None:
    url, tenant_id = receivers.storefront().url, a_tenant(run.engine)
    assert "no such tenant" in refused(c2a("add", url, "--tenant", uuid.uuid4()))
    for _ in range(16):
        said(c2a("add", url, "--tenant", tenant_id, "--json"))

    assert "16 endpoints at most" in refused(c2a("add", url, "--tenant", tenant_id))


def test_a_rotation_of_the_sealing_keys_leaves_endpoints_signing(run: Runtime, receivers: Receivers) -> None:
    """After `c2a keyring reseal` the old key may be retired."""
    path = run.settings.keyring
    assert path is not None
    tenant_id, at = a_tenant(run.engine), receivers.storefront()
    added = said(c2a("add", at.url, "--tenant", tenant_id, "--json"))
    endpoint_id = added["endpointId"]
    said(c2a("rotate", endpoint_id, "--tenant", tenant_id, "--json"))
    at.answers(secrets=[added["secret"]])
    for step in (["rotate", path], ["reseal", path], ["retire", path, "k1"]):
        result = CliRunner().invoke(main, ["keyring", *map(str, step)], input="y\n")
        assert result.exit_code == 0, result.output
    listener = Listener(run.engine, tenant_id, endpoint_id, added["secret"], at)
    listener.done()

    fresh = runtime.build(run.settings)
    with teller(fresh) as one:
        [heard] = until_heard(one, listener, 1)
    fresh.doorbell.close()
    fresh.engine.dispose()

    assert heard.verified_by == [0], "the secret from before its own rotation still signs beside the new one"


def test_a_worker_of_the_upkeep_queue_tells_events_and_ends_while_one_hangs(
    run: Runtime, receivers: Receivers, tmp_path: Path
) -> None:
    """As it is started anywhere: nothing else has to run for a storefront to be told."""
    tenant_id, good, dead = a_tenant(run.engine), receivers.storefront(), receivers.storefront()
    dead.answers(always=0)
    added = [said(c2a("add", at.url, "--tenant", tenant_id, "--json")) for at in (good, dead)]
    good.answers(secrets=[added[0]["secret"]])
    listener = Listener(run.engine, tenant_id, added[0]["endpointId"], added[0]["secret"], good)

    with worker_process.running(run.settings, tmp_path, {}, queues=["upkeep"]) as worker:
        numbers = {listener.done() for _ in range(10)}
        until(lambda: len(good.heard) == 10 and dead.heard, seconds=30)
    dead.answers(always=204)

    assert {each.about for each in good.heard} == numbers
    assert all(each.verified_by == [0] for each in good.heard)
    assert worker.returncode == 0, (tmp_path / "worker.log").read_text()
