"""What every adapter promises of a webhook: only what the PSP signed, lately, is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from shared.domain.outcomes import Captured, Challenged, Declined, DeclineReason, Pending, Returned
from shared.psp.http import Http
from shared.psp.port import BadSignature, Channel, ChargeRequest, EventKind
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SandboxSubject, Subject, a_request
from tests.support.psp import Hook

Tamper = Callable[[dict[str, str], bytes], tuple[Mapping[str, str], bytes]]


def _now() -> datetime:
    return datetime.now(UTC)


def _hook(subject: Subject, request: ChargeRequest | None = None) -> Hook:
    subject.psp.charge(request or a_request())
    return subject.hooks.next()


def test_an_event_names_its_charge_and_tells_what_a_look_up_would(subject: Subject) -> None:
    request = a_request(keep_method=True)
    captured = subject.psp.charge(request)
    hook = subject.hooks.next()
    event = subject.psp.read_event(hook.headers, hook.body, now=_now())
    assert event.kind is EventKind.CHARGE
    assert (event.merchant_reference, event.psp_key) == (request.merchant_reference, request.psp_key)
    assert event.outcome == captured


def test_every_move_of_a_charge_is_told(subject: Subject) -> None:
    def told() -> object:
        hook = subject.hooks.next()
        return subject.psp.read_event(hook.headers, hook.body, now=_now()).outcome

    declined = subject.psp.charge(a_request("4000000000009995"))
    assert isinstance(declined, Declined)
    assert told() == declined
    request = a_request(channel=Channel.BANK)
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    assert told() == challenged
    subject.shopper(challenged.challenge, "approve")
    assert isinstance(told(), Pending)
    assert told() == Captured(challenged.reference, request.money)
    subject.psp.void(challenged.reference, psp_key="void")
    assert told() == Returned(challenged.reference)
    cancelled = subject.psp.charge(a_request("4000002760003184"))
    assert isinstance(cancelled, Challenged)
    told()
    subject.shopper(cancelled.challenge, "cancel")
    assert told() == Declined(DeclineReason.SHOPPER_CANCELLED, cancelled.reference)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_event_outside_the_window_is_refused(subject: Subject, minutes: int) -> None:
    hook = _hook(subject)
    with pytest.raises(BadSignature):
        subject.psp.read_event(hook.headers, hook.body, now=_now() + timedelta(minutes=minutes))


@pytest.mark.parametrize("minutes", [-4, 4])
def test_an_event_inside_the_window_is_read(subject: Subject, minutes: int) -> None:
    hook = _hook(subject)
    event = subject.psp.read_event(hook.headers, hook.body, now=_now() + timedelta(minutes=minutes))
    assert event.kind is EventKind.CHARGE


TAMPERED: dict[str, Tamper] = {
    "another amount": lambda headers, body: (headers, body.replace(b"1499", b"9999")),
    "one byte more": lambda headers, body: (headers, body + b" "),
    "serialised again": lambda headers, body: (headers, json.dumps(json.loads(body), indent=1).encode()),
    "not UTF-8": lambda headers, body: (headers, body + b"\xff"),
    "empty": lambda headers, body: (headers, b""),
    "another id": lambda headers, body: (headers | {"webhook-id": "evt_other"}, body),
    "another time": lambda headers, body: (headers | {"webhook-timestamp": str(int(_now().timestamp()) - 1)}, body),
    "time is not a number": lambda headers, body: (headers | {"webhook-timestamp": "nan"}, body),
    "time in other digits": lambda headers, body: (headers | {"webhook-timestamp": "١٢٣"}, body),
    "time without end": lambda headers, body: (headers | {"webhook-timestamp": "9" * 400}, body),
    "signature of nothing": lambda headers, body: (headers | {"webhook-signature": "v1,"}, body),
    "signature without version": lambda headers, body: (headers | {"webhook-signature": "abc"}, body),
    "signature not base64": lambda headers, body: (headers | {"webhook-signature": "v1,\u00e4==="}, body),
    "signature of another version": lambda headers, body: (
        headers | {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}, body,
    ),
    "no headers": lambda headers, body: ({}, body),
}  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_an_event_that_was_tampered_with_is_refused(subject: Subject, tamper: Tamper) -> None:
    hook = _hook(subject)
    headers, body = tamper({name.lower(): value for name, value in hook.headers.items()}, hook.body)
    with pytest.raises(BadSignature):
        subject.psp.read_event(headers, body, now=_now())


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
def test_a_signed_event_we_do_not_understand_is_kept_as_other(subject: Subject, body: str) -> None:
    now = _now()
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(subject.account.credentials["webhookSecret"]).sign("evt_1", now, body),
    }
    event = subject.psp.read_event(headers, body.encode(), now=now)
    assert (event.event_id, event.kind, event.outcome) == ("evt_1", EventKind.OTHER, None)
