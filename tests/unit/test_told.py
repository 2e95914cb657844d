"""What an event told comes out of the inbox as it went in, for its own tenant and event alone."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import get_args

import pytest

from shared import keyring
from shared.domain.money import Money
from shared.domain.outcomes import (
    Absent,
    Captured,
    Challenge,
    Challenged,
    Declined,
    DeclineReason,
    KeptMethod,
    LookUpOutcome,
    Pending,
    Returned,
    StillHeld,
    Unanswered,
)
from shared.keyring import CannotOpen
from shared.told import UnreadableTold, open_told, seal_told

RING = keyring.fresh()
TENANT = uuid.uuid4()
KEPT = KeptMethod("tok_secret", "411111******1111", "VISA", "2029", "12")
TOLD: list[LookUpOutcome] = [
    Captured("sb_1", Money(1499, "EUR"), KEPT),
    Captured("sb_1", Money(1499, "EUR")),
    Declined(DeclineReason.INSUFFICIENT_FUNDS, "sb_1", soft=True),
    Declined(DeclineReason.GENERIC),
    Challenged("sb_1", Challenge("https://psp.example/c", None, "3ds_1")),
    Pending("sb_1", timedelta(days=14)),
    Unanswered("timed out"),
    Absent(),
    Challenged(None, Challenge(None, "<dl></dl>"), timedelta(days=7)),
    Returned("sb_1"),
    Returned("sb_1", Money(500, "EUR")),
    Returned("sb_1", Money(500, "EUR"), asked_as="rf1"),
    Returned("sb_1", refunded=False),
    StillHeld("sb_1"),
    StillHeld("sb_1", Money(500, "EUR"), "rf1", was_done=True),
]


@pytest.mark.parametrize("outcome", TOLD, ids=lambda outcome: type(outcome).__name__)
def test_what_was_told_comes_back_as_it_was(outcome: LookUpOutcome) -> None:
    assert open_told(RING, TENANT, "evt_1", seal_told(RING, TENANT, "evt_1", outcome)) == outcome


@pytest.mark.parametrize("shape", [Returned, StillHeld], ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("more", [{}, {"ofTheNextVersion": True}], ids=["an earlier", "a later"])
def test_what_another_version_put_in_comes_out_as_far_as_this_one_knows_it(
    shape: type[LookUpOutcome], more: dict[str, object]
) -> None:
    """Both run while a new version takes over."""
    document = {"shape": shape.__name__, "says": {"reference": "sb_1", **more}}
    sealed = RING.seal(json.dumps(document).encode(), bound_to=f"event:{TENANT}:evt_1")
    assert open_told(RING, TENANT, "evt_1", sealed) == (Returned("sb_1") if shape is Returned else StillHeld("sb_1"))


def test_every_shape_of_a_look_up_is_tried_here() -> None:
    assert {type(outcome) for outcome in TOLD} == set(get_args(LookUpOutcome))


def test_the_token_is_not_to_be_read_in_the_row() -> None:
    assert b"tok_secret" not in seal_told(RING, TENANT, "evt_1", TOLD[0])


@pytest.mark.parametrize(("tenant", "event"), [(TENANT, "evt_2"), (uuid.uuid4(), "evt_1")])
def test_a_row_moved_to_another_event_or_tenant_does_not_open(tenant: uuid.UUID, event: str) -> None:
    sealed = seal_told(RING, TENANT, "evt_1", TOLD[0])
    with pytest.raises(CannotOpen):
        open_told(RING, tenant, event, sealed)


@pytest.mark.parametrize(
    "document",
    [
        {"shape": "NoneType", "says": None},
        {"shape": "Refunded", "says": {"reference": "sb_1"}},
        {"shape": "Captured", "says": {"reference": "sb_1", "money": "much"}},
    ],
)
def test_a_shape_we_do_not_know_is_refused_without_quoting_it(document: dict[str, object]) -> None:
    sealed = RING.seal(json.dumps(document).encode(), bound_to=f"event:{TENANT}:evt_1")
    with pytest.raises(UnreadableTold) as refused:
        open_told(RING, TENANT, "evt_1", sealed)
    assert "much" not in str(refused.value)
