"""What every adapter promises of a webhook: only what the PSP signed, lately, is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.outcomes import Captured, Challenged, Declined, Pending, Returned
from shared.psp.http import Http
from shared.psp.port import BadSignature, Channel, ChargeRequest, EventKind
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SandboxSubject, Subject, a_request, give_back
from tests.support.psp import Hook


def _now() -> datetime:
    return datetime.now(UTC)


def _hook(subject: Subject, request: ChargeRequest | None = None) -> Hook:
    subject.psp.charge(request or a_request())
    return subject.hooks.next()


def test_an_event_names_its_charge_and_tells_what_a_look_up_would(subject: Subject) -> None:
    request = a_request(keep_method=True)
    captured = subject.psp.charge(request)
    assert isinstance(captured, Captured)
    hook = subject.hooks.next()
    event = subject.psp.read_event(hook.headers, hook.body, now=_now())
    assert event.kind is EventKind.CHARGE
    assert (event.merchant_reference, event.psp_key) == (request.merchant_reference, request.psp_key)
    assert event.outcome == (captured if subject.event_names_kept else replace(captured, kept=None))


def test_every_move_of_a_charge_is_told(asked_subject: Subject) -> None:
    def told() -> object:
        hook = asked_subject.hooks.next()
        return asked_subject.psp.read_event(hook.headers, hook.body, now=_now()).outcome

    declined = asked_subject.psp.charge(a_request("4000000000009995"))
    assert isinstance(declined, Declined)
    assert told() == declined
    request = a_request(channel=Channel.BANK)
    challenged = asked_subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    assert told() == challenged
    assert challenged.reference is not None
    asked_subject.shopper(challenged.challenge, "approve")
    if asked_subject.tells_pending_transfer:
        assert isinstance(told(), Pending)
    assert told() == Captured(challenged.reference, request.money)
    give_back(asked_subject.psp, challenged.reference, request.money, psp_key="back")
    assert told() == Returned(challenged.reference, refunded=not asked_subject.psp.capabilities.voids)
    cancelled = asked_subject.psp.charge(a_request("4000002760003184"))
    assert isinstance(cancelled, Challenged)
    told()
    asked_subject.shopper(cancelled.challenge, "cancel")
    assert told() == Declined(asked_subject.cancelled, cancelled.reference)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_event_outside_the_window_is_refused(asked_subject: Subject, minutes: int) -> None:
    hook = _hook(asked_subject)
    with pytest.raises(BadSignature):
        asked_subject.psp.read_event(hook.headers, hook.body, now=_now() + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-4, 4])
def test_an_event_inside_the_window_is_read(asked_subject: Subject, minutes: int) -> None:
    hook = _hook(asked_subject)
    event = asked_subject.psp.read_event(hook.headers, hook.body, now=_now() + timedelta(minutes=minutes))
    assert event.kind is EventKind.CHARGE


RETOLD: dict[str, Callable[[bytes], bytes]] = {
    "another amount": lambda body: body.replace(b"1499", b"9999"),
    "one byte more": lambda body: body + b" ",
    "serialised again": lambda body: json.dumps(json.loads(body), indent=1).encode(),
    "not UTF-8": lambda body: body + b"\xff",
    "empty": lambda body: b"",
}


SAME_WORDS = (RETOLD["one byte more"], RETOLD["serialised again"])
"""What changes no field: a PSP that signs fields, as Adyen does, has signed this, too."""


@pytest.mark.parametrize("retell", RETOLD.values(), ids=RETOLD)
def test_an_event_whose_body_was_tampered_with_is_refused(subject: Subject, retell: Callable[[bytes], bytes]) -> None:
    hook = _hook(subject)
    assert retell(hook.body) != hook.body
    if retell in SAME_WORDS and not subject.signs_the_body:
        event = subject.psp.read_event(hook.headers, hook.body, now=_now())
        assert subject.psp.read_event(hook.headers, retell(hook.body), now=_now()) == event
        return
    with pytest.raises(BadSignature):
        subject.psp.read_event(hook.headers, retell(hook.body), now=_now())


def test_an_event_without_its_headers_is_refused(asked_subject: Subject) -> None:
    with pytest.raises(BadSignature):
        asked_subject.psp.read_event({}, _hook(asked_subject).body, now=_now())


TAMPERED: dict[str, dict[str, str]] = {
    "another id": {"webhook-id": "evt_other"},
    "another time": {"webhook-timestamp": str(int(_now().timestamp()) - 1)},
    "time is not a number": {"webhook-timestamp": "nan"},
    "time in other digits": {"webhook-timestamp": "١٢٣"},
    "time without end": {"webhook-timestamp": "9" * 400},
    "signature of nothing": {"webhook-signature": "v1,"},
    "signature without version": {"webhook-signature": "abc"},
    "signature not base64": {"webhook-signature": "v1,\u00e4==="},
    "signature of another version": {"webhook-signature": "v2,"},
}


@pytest.mark.parametrize("changed", TAMPERED.values(), ids=TAMPERED)
def test_an_event_whose_headers_were_tampered_with_is_refused(
    sandbox_subject: SandboxSubject, changed: dict[str, str]
) -> None:
    hook = _hook(sandbox_subject)
    headers = {name.lower(): value for name, value in hook.headers.items()}
    if changed.get("webhook-signature") == "v2,":
        changed = {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}
    with pytest.raises(BadSignature):
        sandbox_subject.psp.read_event(headers | changed, hook.body, now=_now())


def test_an_event_of_another_account_is_refused(sandbox_subject: SandboxSubject, http: Http) -> None:
    hook = _hook(sandbox_subject)
    stranger = SandboxPsp(sandbox_subject.sandbox.account(), http)
    with pytest.raises(BadSignature):
        stranger.read_event(hook.headers, hook.body, now=_now())


def test_both_secrets_of_a_rotation_verify(sandbox_subject: SandboxSubject, http: Http) -> None:
    hook = _hook(sandbox_subject)
    new = "whsec_" + "A" * 32
    before = sandbox_subject.account.credentials["webhookSecret"]
    credentials = {"apiKey": "k", "webhookSecret": new, "webhookSecretBefore": before}
    rotated = SandboxPsp(replace(sandbox_subject.account, credentials=credentials), http)
    event = rotated.read_event(hook.headers, hook.body, now=_now())
    assert event.kind is EventKind.CHARGE


@pytest.mark.parametrize("body", ['{"id": "evt_1", "type": "payout.paid"}', "not json", "[]", '{"type": "charge.x"}'])
def test_a_signed_event_we_do_not_understand_is_kept_as_other(asked_subject: Subject, body: str) -> None:
    now = _now()
    headers = asked_subject.sign(body, event_id="evt_1", now=now)
    event = asked_subject.psp.read_event(headers, body.encode(), now=now)
    assert (event.kind, event.psp_key, event.outcome) == (EventKind.OTHER, None, None)
    again = asked_subject.psp.read_event(headers, body.encode(), now=now)
    assert event.event_id == again.event_id  # Kept once, however often it comes.
    if '"id"' in body:
        assert event.event_id == "evt_1"
