"""What a PSP tells us: verified as it was sent, stored once, settled once, whatever order it comes in."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from api import limits
from api.buckets import Quota
from api.parts import Parts
from shared.domain.cards import Card
from shared.domain.states import OrderState
from shared.psp.port import Account, Channel
from shared.store import accounts, attempts
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from shared.store.orders import Order
from shared.store.tables import order_events, psp_events
from tests.support.attempt_rows import write_ahead
from tests.support.front_door import a_shop, opened
from tests.support.order_rows import again, an_order
from tests.support.statements import counting
from tests.support.vaulted import card_of

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BEFORE: Final = "whsec_" + "A" * 32
CARD: Final = Card("Jane Doe", "4111111111111111", "2029", "12", "123", None)


@dataclass(frozen=True, slots=True)
class Psp:
    """A PSP that can sign: one account of one tenant, told through the front door."""

    client: FlaskClient
    engine: Engine
    account: Account

    def tell(
        self,
        attempt: Attempt,
        state: str,
        *,
        event_id: str | None = None,
        signed: dict[str, Any] | None = None,
        **about: Any,
    ) -> TestResponse:
        """Deliver that the charge of *attempt* is now in *state*."""
        charge = {
            "pspReference": f"sb_{attempt.psp_key}",
            "merchantReference": attempt.merchant_reference,
            "idempotencyKey": attempt.psp_key,
            "amountMinor": attempt.amount_minor,
            "currency": attempt.currency,
            "state": state,
        }
        return self.deliver({"type": f"charge.{state}", "charge": charge | about}, event_id=event_id, **signed or {})

    def deliver(
        self,
        document: dict[str, Any],
        *,
        event_id: str | None = None,
        secret: str = SECRET,
        at: datetime | None = None,
        tamper: bytes = b"",
        without: tuple[str, ...] = (),
        again: bool = False,
    ) -> TestResponse:
        """Sign and deliver any document."""
        event_id, at = event_id or f"evt_{token_hex(8)}", at or datetime.now(UTC)
        body = json.dumps({"id": event_id, "createdAt": at.isoformat()} | document)
        headers = {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(event_id, at, body),
            "content-type": "application/json",
        }
        if again:
            body = json.dumps(json.loads(body), separators=(",", ":"))
        for name in without:
            del headers[name]
        path = f"/api/v1/c2a/psp/sandbox/{self.account.account_id}/webhook"
        return self.client.post(path, data=body.encode() + tamper, headers=headers)

    def events_kept(self) -> int:
        """Rows of this tenant in the inbox."""
        with statements(self.engine) as conn:
            count = select(func.count()).where(psp_events.c.tenant_id == self.account.tenant_id)
            return int(conn.execute(count.select_from(psp_events)).scalar_one())


@pytest.fixture
def psp(parts: Parts, engine: Engine) -> Iterator[Psp]:
    shop = a_shop(engine)
    account = Account(
        tenant_id=str(shop.tenant_id),
        provider="sandbox",
        account_id=f"acc_{token_hex(12)}",
        adapter="sandbox",
        base_url="http://127.0.0.1:1",
        channels=frozenset(Channel),
        credentials={"apiKey": "unused", "webhookSecret": SECRET},
    )
    with engine.begin() as conn:
        accounts.save(conn, parts.keyring, account)
    with opened(parts) as client:
        yield Psp(client, engine, account)


def an_attempt(
    psp: Psp, state: OrderState, outcome: AttemptState = AttemptState.OPEN, **values: Any
) -> tuple[Order, Attempt]:
    """An order of the PSP's tenant with one attempt."""
    order = an_order(psp.engine, state, tenant_id=psp.account.tenant_id, **values)
    attempt = Attempt(
        tenant_id=order.tenant_id,
        tracking_number=order.tracking_number,
        attempt_no=1,
        provider="sandbox",
        psp_key=token_hex(20),
        merchant_reference=order.tracking_number,
        amount_minor=1499,
        currency="EUR",
        outcome=outcome,
        psp_reference=None,
        kept_token=None,
        looks=0,
        started_at=order.seen_at,
        asked_at=order.seen_at,
    )
    with psp.engine.begin() as conn:
        write_ahead(conn, attempt)
    return order, attempt


def attempt_now(psp: Psp, attempt: Attempt) -> AttemptState:
    with statements(psp.engine) as conn:
        return attempts.of_order(conn, attempt.tenant_id, attempt.tracking_number)[0].outcome


@pytest.mark.parametrize("state", [OrderState.PAYING, OrderState.CONFIRMING, OrderState.CHALLENGE])
def test_a_capture_moves_the_order_wherever_it_waits(psp: Psp, state: OrderState) -> None:
    order, attempt = an_attempt(psp, state)
    assert psp.tell(attempt, "captured").status_code == 200
    assert again(psp.engine, order.tracking_number).state is OrderState.CAPTURED


def test_the_same_event_twice_has_its_effect_once(psp: Psp) -> None:
    order, attempt = an_attempt(psp, OrderState.CHALLENGE)
    for _ in range(2):
        assert psp.tell(attempt, "captured", event_id="evt_same").status_code == 200
    assert psp.events_kept() == 1
    with statements(psp.engine) as conn:
        told = conn.execute(select(order_events.c.event).where(order_events.c.tracking_number == order.tracking_number))
        assert told.scalars().all() == ["payment_captured"]


def test_the_same_news_under_another_event_changes_nothing(psp: Psp) -> None:
    order, attempt = an_attempt(psp, OrderState.CHALLENGE)
    psp.tell(attempt, "captured")
    version = again(psp.engine, order.tracking_number).version
    assert psp.tell(attempt, "captured").status_code == 200
    assert again(psp.engine, order.tracking_number).version == version


def test_a_challenge_told_after_the_capture_does_not_take_the_order_back(psp: Psp) -> None:
    order, attempt = an_attempt(psp, OrderState.PAYING)
    psp.tell(attempt, "captured")
    psp.tell(attempt, "challenge", challenge={"redirectUrl": "http://127.0.0.1:1/c"})
    assert again(psp.engine, order.tracking_number).state is OrderState.CAPTURED


def test_a_decline_told_after_the_capture_changes_nothing(psp: Psp) -> None:
    order, attempt = an_attempt(psp, OrderState.PAYING)
    psp.tell(attempt, "captured")
    psp.tell(attempt, "declined", declineReason="insufficient_funds")
    assert again(psp.engine, order.tracking_number).state is OrderState.CAPTURED
    assert attempt_now(psp, attempt) is AttemptState.CAPTURED


@pytest.mark.parametrize("soft", [True, False])
def test_only_a_soft_no_lets_the_order_go_on_to_another_psp(psp: Psp, parts: Parts, soft: bool) -> None:
    """Though it was asked for twice: this PSP answers any other request with the same no. The card is still needed."""
    order, attempt = an_attempt(psp, OrderState.CONFIRMING, carries_card=True)
    with psp.engine.begin() as conn:
        write_ahead(conn, attempt)
    parts.vault.put(order.tenant_id, order.tracking_number, CARD)

    assert psp.tell(attempt, "declined", declineReason="do_not_honor", soft=soft).status_code == 200

    now = again(psp.engine, order.tracking_number)
    assert now.state is (OrderState.OFFER_LOCKED if soft else OrderState.FAILED)
    assert attempt_now(psp, attempt) is AttemptState.DECLINED
    assert (card_of(parts.vault, order.tenant_id, order.tracking_number) is not None) is soft


def test_a_capture_of_another_amount_is_not_taken_for_ours(psp: Psp) -> None:
    order, attempt = an_attempt(psp, OrderState.CONFIRMING)
    assert psp.tell(attempt, "captured", amountMinor=1).status_code == 200
    assert again(psp.engine, order.tracking_number).state is OrderState.CONFIRMING
    assert attempt_now(psp, attempt) is AttemptState.OPEN


def test_money_captured_for_a_failed_order_is_marked_to_go_back(psp: Psp) -> None:
    order, attempt = an_attempt(psp, OrderState.FAILED)
    assert psp.tell(attempt, "captured").status_code == 200
    assert again(psp.engine, order.tracking_number).state is OrderState.FAILED
    assert attempt_now(psp, attempt) is AttemptState.RETURNING


def test_news_of_a_charge_we_do_not_know_is_kept_and_acknowledged(psp: Psp) -> None:
    _, attempt = an_attempt(psp, OrderState.PAYING)
    assert psp.tell(replace(attempt, psp_key="unknown"), "captured").status_code == 200
    assert psp.events_kept() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"tamper": b" "},
        {"at": datetime.now(UTC) - timedelta(minutes=6)},
        # Reckoned when tests are collected: it must still be ahead minutes later, when this one runs.
        {"at": datetime.now(UTC) + timedelta(hours=1)},
    ],
    ids=["another secret", "one byte more", "a replay", "from the future"],
)
def test_what_does_not_verify_is_refused_and_leaves_no_row(psp: Psp, wrong: dict[str, Any]) -> None:
    """Contract section 6: a bad signature is 400 and leaves no row."""
    answer = psp.deliver({"type": "charge.captured", "charge": {}}, **wrong)
    assert answer.status_code == 400
    assert answer.json == {
        "status": {"messageCode": "INVALID_REQUEST"},
        "message": "the signature or its time stamp does not verify",
    }
    assert psp.events_kept() == 0


def test_a_signed_event_we_do_not_understand_is_kept_and_acknowledged(psp: Psp) -> None:
    assert psp.deliver({"type": "dispute.opened"}).status_code == 200
    assert psp.events_kept() == 1


def test_an_unknown_account_and_another_provider_are_not_found(psp: Psp) -> None:
    for path in (f"other/{psp.account.account_id}", "sandbox/acc_unknown"):
        assert psp.client.post(f"/api/v1/c2a/psp/{path}/webhook", data=b"{}").status_code == 404


def test_a_body_over_the_cap_is_413_however_it_is_framed(psp: Psp) -> None:
    path = f"/api/v1/c2a/psp/sandbox/{psp.account.account_id}/webhook"
    assert psp.client.post(path, data=b"x" * 70_000).status_code == 413
    chunked = {"input_stream": io.BytesIO(b"x" * 70_000), "environ_overrides": {"wsgi.input_terminated": True}}
    assert psp.client.post(path, **chunked).status_code == 413


@pytest.mark.parametrize("told", ["pending", "challenge", "captured", "declined"])
def test_the_card_leaves_the_vault_with_the_news_that_nobody_needs_it(psp: Psp, parts: Parts, told: str) -> None:
    order, attempt = an_attempt(psp, OrderState.CONFIRMING, carries_card=True)
    parts.vault.put(order.tenant_id, order.tracking_number, CARD)

    psp.tell(attempt, told, challenge={"redirectUrl": "http://127.0.0.1/page"})

    assert card_of(parts.vault, order.tenant_id, order.tracking_number) is None


OTHER: Final = "whsec_" + "B" * 32
SIGNED: Final[dict[str, tuple[dict[str, Any], int]]] = {
    "as sent": ({}, 200),
    "by the secret of before, in the overlap of a rotation": ({"secret": BEFORE}, 200),
    "by another tenant's secret": ({"secret": OTHER}, 400),
    "nothing": ({"without": ("webhook-signature",)}, 400),
    "no id": ({"without": ("webhook-id",)}, 400),
    "no time": ({"without": ("webhook-timestamp",)}, 400),
    "serialised again": ({"again": True}, 400),
    "one byte more": ({"tamper": b" "}, 400),
}


@pytest.mark.parametrize("how", SIGNED)
def test_only_what_the_accounts_own_secret_signed_as_it_was_sent_is_taken(psp: Psp, parts: Parts, how: str) -> None:
    """W1; both secrets of a rotation verify as long as the account has both."""
    order, attempt = an_attempt(psp, OrderState.CONFIRMING)
    rotating = replace(psp.account, credentials={**psp.account.credentials, "webhookSecretBefore": BEFORE})
    with psp.engine.begin() as conn:
        accounts.save(conn, parts.keyring, rotating)
    sent, status = SIGNED[how]

    answer = psp.tell(attempt, "captured", signed=sent)

    assert answer.status_code == status
    assert psp.events_kept() == (1 if status == 200 else 0)
    moved = again(psp.engine, order.tracking_number).state is OrderState.CAPTURED
    assert moved is (status == 200)


@pytest.mark.parametrize(("minutes", "status"), [(-6, 400), (-4, 200), (0, 200), (4, 200), (6, 400)])
def test_a_replay_is_taken_once_inside_the_window_and_refused_outside_and_so_is_a_stamp_of_the_future(
    parts: Parts, psp: Psp, minutes: int, status: int
) -> None:
    """W2, by our clock: what was signed *minutes* after it comes in twice."""
    order, attempt = an_attempt(psp, OrderState.CHALLENGE)
    signed_at = datetime.now(UTC)
    with opened(replace(parts, clock=lambda: signed_at - timedelta(minutes=minutes))) as client:
        late = replace(psp, client=client)
        told = [late.tell(attempt, "captured", event_id="evt_replayed", signed={"at": signed_at}) for _ in range(2)]

    assert [one.status_code for one in told] == [status, status]
    assert psp.events_kept() == (1 if status == 200 else 0)
    assert again(psp.engine, order.tracking_number).version == order.version + (1 if status == 200 else 0)


def test_a_webhook_of_a_megabyte_is_413_and_one_that_is_no_json_is_judged_by_its_signature_first(psp: Psp) -> None:
    path = f"/api/v1/c2a/psp/sandbox/{psp.account.account_id}/webhook"

    large = psp.client.post(path, data=b"{" * (1 << 20))
    broken = psp.client.post(path, data=b"{" * 1_000, headers={"webhook-id": "1", "webhook-timestamp": "1"})

    assert (large.status_code, large.get_json()["status"]) == (413, {"messageCode": "REQUEST_TOO_LARGE"})
    assert (broken.status_code, broken.get_json()["message"]) == (
        400,
        "the signature or its time stamp does not verify",
    )
    assert psp.events_kept() == 0


def test_a_flood_at_one_account_is_429_before_postgresql_is_asked_and_others_are_taken(
    psp: Psp, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOKS", Quota(limits.Kind.WEBHOOKS, 1, 20))
    flooded = "/api/v1/c2a/psp/sandbox/acc_flooded/webhook"
    for _ in range(20):
        assert psp.client.post(flooded, data=b"{}").status_code == 404
    with counting(parts.engine) as asked:
        flood = [psp.client.post(flooded, data=b"{}") for _ in range(200)]

    assert {one.status_code for one in flood} == {429}
    assert all(45 <= int(one.headers["Retry-After"]) <= 60 for one in flood), "one a minute, less what this took"
    assert asked == []
    order, attempt = an_attempt(psp, OrderState.CONFIRMING)
    assert psp.tell(attempt, "captured").status_code == 200
    assert again(psp.engine, order.tracking_number).state is OrderState.CAPTURED
