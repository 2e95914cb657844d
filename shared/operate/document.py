"""An order and its story as one JSON document: what scripts read and the console shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.operate import sentences, waiting
from shared.operate.story import Heard, Story
from shared.store.attempt_stories import AttemptStory
from shared.store.operator_actions import Acted
from shared.store.order_search import Found
from shared.store.refunds import Refund


def of_found(one: Found) -> dict[str, Any]:
    """A line of a list."""
    return {
        "trackingNumber": one.tracking_number,
        "tenant": str(one.tenant_id),
        "state": one.state,
        "amountMinor": one.amount_minor,
        "currency": one.currency,
        "channel": one.channel,
        "customerUrn": one.customer_urn,
        "correlationId": one.correlation_id,
        "failure": one.failure,
        "parked": one.parked,
        "rings": one.rings,
        "waitsFor": one.waits_for,
        "dueAt": _at(one.due_at),
        "admittedAt": _at(one.admitted_at),
        "changedAt": _at(one.changed_at),
    }


def of_story(story: Story) -> dict[str, Any]:
    """The whole story."""
    order, lease = story.order, story.lease
    return {
        "trackingNumber": order.tracking_number,
        "tenant": str(order.tenant_id),
        "state": order.state,
        "version": order.version,
        "failure": order.failure,
        "amountMinor": order.amount_minor,
        "currency": order.currency,
        "channel": order.channel,
        "customerUrn": order.customer_urn,
        "correlationId": order.correlation_id,
        "offerIdentifier": order.offer_identifier,
        "forcedProvider": order.forced_provider,
        "storedMethodUrn": order.stored_method_urn,
        "parked": order.parked,
        "crashes": order.crashes,
        "rings": order.rings,
        "waitsFor": order.waits_for,
        "admittedAt": _at(order.admitted_at),
        "dueAt": _at(order.due_at),
        "deadlineAt": _at(order.deadline_at),
        "fence": order.fence,
        "lease": None
        if lease is None
        else {
            "owner": lease.lease_owner,
            "until": _at(lease.lease_until),
            "limit": _at(lease.lease_limit),
            "runs": order.is_leased,
        },
        "offerHeldBy": story.holder,
        "movesBefore": story.moves_before,
        "moves": [
            {
                "version": move.version,
                "event": move.event,
                "state": move.state,
                "actor": move.actor,
                "attempt": move.attempt_no,
                "at": _at(move.at),
            }
            for move in story.moves
        ],
        "attempts": [_attempt(one) for one in story.attempts],
        "webhooks": [_heard(one) for one in story.heard],
        "refunds": [_refund(one) for one in story.refunds],
        "actions": [of_acted(one) for one in story.acted],
        "allowed": _allowed(story),
    }


def of_told(story: Story) -> dict[str, Any]:
    """The story as sentences."""
    return {
        "trackingNumber": story.order.tracking_number,
        "state": story.order.state,
        "happened": [{"at": _at(line.at), "text": line.text} for line in sentences.happened(story)],
        "now": list(waiting.now(story)),
        "next": waiting.comes_next(story),
        "money": list(waiting.money(story)),
        "allowed": _allowed(story),
    }


def of_acted(one: Acted) -> dict[str, Any]:
    """One operator's action."""
    return {
        "actionId": str(one.action_id),
        "trackingNumber": one.tracking_number,
        "action": one.action,
        "who": one.who,
        "why": one.why,
        "what": dict(one.what),
        "outcome": one.outcome,
        "told": one.told,
        "at": _at(one.at),
    }


def _allowed(story: Story) -> list[dict[str, Any]]:
    return [{"action": action, "allowed": why is None, "whyNot": why} for action, why in story.allowed.items()]


def _attempt(one: AttemptStory) -> dict[str, Any]:
    return {
        "attempt": one.attempt_no,
        "provider": one.provider,
        "outcome": one.outcome,
        "reason": one.reason,
        "amountMinor": one.amount_minor,
        "currency": one.currency,
        "pspReference": one.psp_reference,
        "lookUps": one.looks,
        "startedAt": _at(one.started_at),
        "askedAt": _at(one.asked_at),
        "settledAt": _at(one.settled_at),
        "returnDueAt": _at(one.due_at),
        "returnTakenAt": _at(one.taken_at),
        "returnRefusals": one.refusals,
        "route": one.route,
    }


def _refund(one: Refund) -> dict[str, Any]:
    return {
        "amountMinor": one.amount_minor,
        "currency": one.currency,
        "state": one.state,
        "attempt": one.attempt_no,
        "refusals": one.refusals,
        "askedAt": _at(one.asked_at),
        "dueAt": _at(one.due_at),
        "calledAt": _at(one.called_at),
        "takenAt": _at(one.taken_at),
        "settledAt": _at(one.settled_at),
        "doubtedAt": _at(one.doubted_at),
        "actionId": str(one.action_id),
        "byHand": one.is_by_hand,
    }


def _heard(one: Heard) -> dict[str, Any]:
    event = one.event
    return {
        "provider": event.provider,
        "eventId": event.event_id,
        "kind": event.kind,
        "told": one.outcome,
        "pspReference": event.psp_reference,
        "merchantReference": event.merchant_reference,
        "receivedAt": _at(event.received_at),
        "settledAt": _at(event.settled_at),
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
