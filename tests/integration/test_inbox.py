"""News of a payment may come early, late, doubled, in any order or never: the order ends in the same state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine, func, select, text, update
from structlog.testing import capture_logs

from shared.config import Settings
from shared.domain.cards import Card
from shared.domain.outcomes import Challenged, Unanswered
from shared.domain.states import OrderState
from shared.messages import QUEUE_OF, Step
from shared.settle import News, settle
from shared.store import inbox
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from shared.store.inbox import EventName
from shared.store.orders import Order
from shared.store.tables import psp_events
from tests.support.order_rows import again, an_order
from tests.support.psp import Hook, Sandbox, receiver, until
from tests.support.psp_room import PspRoom, psp_room
from tests.support.vaulted import card_of
from workers import rescuer
from workers.look_up import look_up
from workers.release import BATCH, Releases

CARD: Final = Card("Jane Doe", "4111111111111111", "2029", "12", "123", None)
CHALLENGED_CARD: Final = "4000002760003184"

COURSES: Final = {
    "in order": ["known", "challenge", "captured"],
    "reordered": ["known", "captured", "challenge"],
    "doubled": ["known", "challenge", "challenge", "captured", "captured"],
    "only the last": ["known", "captured"],
    "early": ["challenge", "captured", "known", "released"],
    "early and reordered": ["captured", "challenge", "known", "released"],
    "early and doubled": ["captured", "captured", "challenge", "challenge", "known", "released", "released"],
    "half of it early": ["challenge", "known", "captured", "released"],
    "early, then again in time": ["captured", "known", "captured", "released", "challenge"],
    "late": ["known", "unanswered", "challenge", "captured"],
    "late and reordered": ["known", "unanswered", "captured", "challenge"],
    "lost": ["known", "unanswered", "looked up"],
    "lost, then late after all": ["known", "unanswered", "looked up", "captured", "challenge"],
    "early, released after the look-up": ["captured", "known", "unanswered", "looked up", "released"],
}
"""What happens after the PSP captured the money and told us twice, a challenge and a capture."""


@dataclass
class Payment:
    """One payment of 3DS, approved at the PSP, of which we have heard nothing yet."""

    room: PspRoom
    order: Order
    attempt: Attempt
    hooks: dict[str, Hook]

    def happens(self, what: str) -> None:
        """One step of a course."""
        match what:
            case "known":
                self.room.write_ahead(self.attempt)
            case "released":
                Releases().round(self.room.run)
            case "looked up":
                look_up(self.room.run, self.order.tracking_number)
            case "unanswered":
                news = News(self.attempt, Unanswered("timed out"), actor="pay", fence=self.order.fence)
                with self.room.engine.begin() as conn:
                    settle(conn, news, self.room.run.terms)
            case event:
                self.room.deliver(self.hooks[event])

    def parked(self) -> int:
        """Events of its tenant that still wait."""
        mine = psp_events.c.tenant_id == self.order.tenant_id
        with statements(self.room.engine) as conn:
            waits = select(func.count()).select_from(psp_events).where(mine, psp_events.c.settled_at.is_(None))
            return int(conn.execute(waits).scalar_one())


@pytest.fixture
def room(settings: Settings, engine: Engine, shared_psp: Sandbox, tmp_path: Path) -> Iterator[PspRoom]:
    with receiver() as hooks, psp_room(settings, engine, shared_psp, hooks, tmp_path) as made:
        yield made
    shared_psp.heal()


@pytest.fixture
def payment(room: PspRoom) -> Payment:
    order = room.order(OrderState.PAYING)
    attempt = room.attempt(order)
    challenged = room.charge(attempt, CHALLENGED_CARD)
    assert isinstance(challenged, Challenged)
    assert challenged.challenge.redirect_url is not None
    hooks = {"challenge": room.hooks.next()}
    room.sandbox.click(challenged.challenge.redirect_url, "approve")
    return Payment(room, order, attempt, hooks | {"captured": room.hooks.next()})


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES.keys())
def test_however_the_news_come_the_order_is_captured_once(payment: Payment, course: list[str]) -> None:
    for what in course:
        payment.happens(what)
    order, attempt = again(payment.room.engine, payment.order.tracking_number), payment.room.now(payment.attempt)
    [charge] = payment.room.charges()
    assert order.state is OrderState.CAPTURED
    assert attempt.outcome is AttemptState.CAPTURED
    assert attempt.psp_reference == charge["pspReference"]
    assert payment.parked() == 0


def test_news_of_a_charge_that_stays_unknown_stay_parked(payment: Payment) -> None:
    payment.happens("captured")
    assert Releases().round(payment.room.run) == 0
    assert payment.parked() == 1
    assert again(payment.room.engine, payment.order.tracking_number).state is OrderState.PAYING


def test_two_who_release_at_once_settle_an_event_once(payment: Payment) -> None:
    payment.happens("captured")
    payment.happens("known")
    with statements(payment.room.engine) as conn:
        [name] = [one for _, one in inbox.releasable(conn, limit=10) if one.tenant_id == payment.order.tenant_id]
    with payment.room.engine.begin() as first, payment.room.engine.begin() as second:
        assert inbox.take_parked(first, name) is not None
        assert inbox.take_parked(second, name) is None


def test_released_news_ring_for_the_step_that_nobody_else_walks_to(payment: Payment) -> None:
    """The chain of an unclear payment has ended; whoever clears it up rings for what is next."""
    before = payment.room.run.depths.of(QUEUE_OF[Step.TOKENIZE])
    for what in ("captured", "known", "unanswered", "released"):
        payment.happens(what)
    until(lambda: payment.room.run.depths.of(QUEUE_OF[Step.TOKENIZE]) == before + 1)


def test_an_event_nobody_can_read_does_not_hold_the_others_up(payment: Payment) -> None:
    for what in ("captured", "challenge", "known"):
        payment.happens(what)
    broken = EventName(payment.order.tenant_id, "sandbox", payment.hooks["challenge"].event["id"])
    with payment.room.engine.begin() as conn:
        conn.execute(update(psp_events).where(psp_events.c.event_id == broken.event_id).values(outcome=b"k.broken"))
    assert Releases().round(payment.room.run) == 1
    assert again(payment.room.engine, payment.order.tracking_number).state is OrderState.CAPTURED


@contextmanager
def refused(engine: Engine, event_id: str) -> Iterator[None]:
    """The database takes no change of this event within."""
    with engine.begin() as conn:
        conn.execute(
            text(f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
            CREATE TRIGGER refused BEFORE UPDATE ON psp_events FOR EACH ROW WHEN (NEW.event_id = '{event_id}')
            EXECUTE FUNCTION refuse()""")
        )
    try:
        yield
    finally:
        with engine.begin() as conn:
            conn.execute(text("DROP FUNCTION refuse CASCADE"))


def test_an_event_that_cannot_be_settled_holds_neither_the_others_up_nor_what_upkeep_does_besides(
    payment: Payment,
) -> None:
    for what in ("challenge", "captured", "known"):
        payment.happens(what)
    run, ended = payment.room.run, an_order(payment.room.engine, OrderState.DONE)
    run.vault.put(ended.tenant_id, ended.tracking_number, CARD)

    with refused(payment.room.engine, payment.hooks["challenge"].event["id"]):
        rescuer.look(run, 0)

    assert again(payment.room.engine, payment.order.tracking_number).state is OrderState.CAPTURED
    assert payment.parked() == 1
    assert card_of(run.vault, ended.tenant_id, ended.tracking_number) is None


def test_however_many_events_cannot_be_settled_those_behind_them_have_their_turn(payment: Payment) -> None:
    for what in ("challenge", "captured", "known"):
        payment.happens(what)
    with payment.room.engine.begin() as conn:
        conn.execute(
            text("""
            INSERT INTO psp_events (tenant_id, provider, event_id, psp_key, psp_reference, merchant_reference, kind,
                                    outcome, received_at)
            SELECT tenant_id, provider, 'evt_' || n, psp_key, psp_reference, merchant_reference, kind, 'k.broken',
                   received_at - interval '1 min'
            FROM psp_events, generate_series(1, :batch) AS n WHERE tenant_id = :tenant AND event_id = :event"""),
            {
                "batch": BATCH,
                "tenant": payment.order.tenant_id,
                "event": payment.hooks["challenge"].event["id"],
            },
        )
    releases = Releases()

    with capture_logs():  # To draw each trace with its values, as structlog does on a terminal, takes a second.
        rounds = [releases.round(payment.room.run) for _ in range(3)]

    assert rounds == [0, 2, 0]
    assert again(payment.room.engine, payment.order.tracking_number).state is OrderState.CAPTURED
