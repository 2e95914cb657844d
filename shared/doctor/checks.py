"""The promises that the database alone can be held to, each with the statement that finds what breaks it.

A statement sees one moment of the database, and whatever belongs together is committed together: so a finding is
never work in progress. Finished orders are judged within a window of admission, live ones always.
"""

from __future__ import annotations

from typing import Final

from shared.doctor.findings import Check, Severity

ONE_CAPTURE: Final = Check(
    name="one-live-capture",
    promise="An order has at most one live capture.",
    severity=Severity.BREAK,
    next_step="Compare both references with the PSP and return the later one by hand; then look for the missing index "
    "payment_attempts_one_captured.",
    statement="""
        SELECT tenant_id, tracking_number AS subject, count(*) || ' live captures' AS detail
        FROM orders JOIN payment_attempts AS attempt USING (tracking_number, tenant_id)
        WHERE tracking_number >= :since AND attempt.outcome = 'captured'
        GROUP BY tenant_id, tracking_number HAVING count(*) > 1""",
)
FAILED_HOLDS_NOTHING: Final = Check(
    name="failed-holds-no-money",
    promise="A failed order holds no money and waits for no verdict.",
    severity=Severity.BREAK,
    next_step="Look the attempt up at its PSP by the reference shown; if it was captured, return it by hand.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('attempt %s at %s is %s', attempt_no, provider, attempt.outcome) AS detail
        FROM orders JOIN payment_attempts AS attempt USING (tracking_number, tenant_id)
        WHERE tracking_number >= :since AND orders.state = 'failed'
          AND attempt.outcome IN ('open', 'challenged', 'pending', 'captured')""",
)
DONE_IS_PAID: Final = Check(
    name="done-is-paid-exactly",
    promise="A done order has exactly one capture, of its exact amount; one that costs nothing has none.",
    severity=Severity.BREAK,
    next_step="Compare the order with the PSP's books by its merchant reference before anything is given back.",
    statement="""
        SELECT orders.tenant_id, tracking_number AS subject,
               format('%s captured, %s of the exact amount, %s unsettled', captured, exact, unsettled) AS detail
        FROM orders CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE outcome = 'captured') AS captured,
                   count(*) FILTER (WHERE outcome = 'captured' AND attempt.amount_minor = orders.amount_minor
                                      AND attempt.currency = orders.currency) AS exact,
                   count(*) FILTER (WHERE outcome IN ('open', 'challenged', 'pending')) AS unsettled
            FROM payment_attempts AS attempt
            WHERE attempt.tenant_id = orders.tenant_id AND attempt.tracking_number = orders.tracking_number) AS paid
        WHERE tracking_number >= :since AND state = 'done'
          AND (captured, exact, unsettled) <> ((amount_minor > 0)::integer, (amount_minor > 0)::integer, 0)""",
)
LIVE_IS_LOOKED_AFTER: Final = Check(
    name="live-order-is-looked-after",
    promise="Every accepted order is done or failed, or waits with a reason and a time at which somebody looks again.",
    severity=Severity.BREAK,
    next_step="See that the upkeep worker and the worker of the step run and reach broker and database; then look for "
    "the tracking number in their logs.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('%s, due for %s minutes, rung for %s times', state,
                      floor(extract(epoch FROM now() - due_at) / 60), rings) AS detail
        FROM orders
        WHERE state IN ('admitted', 'offer_locked', 'paying', 'confirming', 'challenge', 'captured')
          AND due_at < now() - CASE state WHEN 'paying' THEN interval '1 min' ELSE interval '15 min' END""",
)
HOLDS_HAVE_ORDERS: Final = Check(
    name="hold-belongs-to-an-order",
    promise="An offer is held by an order that is live or done, and by no other.",
    severity=Severity.BREAK,
    next_step="Delete the row of offer_holds once you have seen that its order failed or is not there.",
    statement="""
        SELECT hold.tenant_id, hold.tracking_number AS subject,
               format('holds offer %s and is %s', hold.offer_identifier, coalesce(orders.state, 'no order')) AS detail
        FROM offer_holds AS hold LEFT JOIN orders USING (tracking_number, tenant_id)
        WHERE hold.tracking_number >= :since
          AND (orders.state IS NULL OR orders.state = 'failed')""",
)
ORDERS_HAVE_HOLDS: Final = Check(
    name="order-holds-its-offer",
    promise="Whoever was sold a single-use offer holds it, until the order failed.",
    severity=Severity.BREAK,
    next_step="The offer may be sold twice: see who else ordered it, return the later payment, then restore the hold.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('is %s and does not hold offer %s', state, offer_identifier) AS detail
        FROM orders JOIN offers USING (tenant_id, offer_identifier)
        WHERE single_use AND state NOT IN ('admitted', 'failed')
          AND (tracking_number >= :since OR due_at IS NOT NULL)
          AND NOT EXISTS (
              SELECT FROM offer_holds AS hold
              WHERE hold.tenant_id = orders.tenant_id AND hold.offer_identifier = orders.offer_identifier
                AND hold.tracking_number = orders.tracking_number)""",
)
KEYS_HAVE_ORDERS: Final = Check(
    name="key-leads-to-an-order",
    promise="An idempotency key leads to an order.",
    severity=Severity.BREAK,
    next_step="The caller holds a 202 for this number: find the order in a backup or on the old primary, and search "
    "the PSP's books for its merchant reference.",
    statement="""
        SELECT held.tenant_id, held.tracking_number AS subject, 'a key without an order' AS detail
        FROM idempotency_keys AS held
        WHERE held.created_at >= :moment
          AND NOT EXISTS (
              SELECT FROM orders
              WHERE orders.tracking_number = held.tracking_number AND orders.tenant_id = held.tenant_id)""",
)
UNCLEAR_TOO_LONG: Final = Check(
    name="unclear-too-long",
    promise="A payment is unclear for 15 minutes at most, unless its PSP said that it takes longer.",
    severity=Severity.ALARM,
    next_step="Ask the PSP by the merchant reference; look-ups go on every 5 minutes and end the doubt by themselves. "
    "One that cannot be looked up is sent the request again while its card is here, and then tells by its webhook "
    "alone: see that it reaches us, and have the PSP send it again, or say what the PSP's console shows with "
    "`c2a orders prove`.",
    # Sent again, an order moves without coming nearer to its end: its doubt began when its attempt did.
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('%s for %s minutes', state, floor(extract(epoch FROM now() - since) / 60)) AS detail
        FROM (
            SELECT orders.*, least(changed_at, (
                       SELECT min(started_at) FROM payment_attempts AS attempt
                       WHERE attempt.tenant_id = orders.tenant_id AND attempt.tracking_number = orders.tracking_number
                         AND attempt.outcome = 'open')) AS since
            FROM orders WHERE state IN ('challenge', 'confirming') AND due_at IS NOT NULL) AS unclear
        WHERE (state = 'challenge' AND deadline_at < now() - interval '15 min')
           OR (state = 'confirming' AND since < now() - interval '15 min'
                AND (deadline_at IS NULL OR deadline_at < now()))""",
)
NOT_MOVING: Final = Check(
    name="accepted-and-not-moving",
    promise="An order is asked of its PSP within two hours, and done within 15 minutes of its capture.",
    severity=Severity.ALARM,
    next_step="Search the workers' logs for the number: its PSP takes no request (see the account), or its step fails. "
    "Unpaid, it is cancelled after a day (C2A_PAYMENT_PATIENCE_S); paid, it is done without a stored method.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('%s, admitted %s minutes ago, rung for %s times', state,
                      floor(extract(epoch FROM now() - admitted_at) / 60), rings) AS detail
        FROM orders
        WHERE due_at IS NOT NULL
          AND (state IN ('admitted', 'offer_locked', 'paying') AND admitted_at < now() - interval '2 hours'
               OR state = 'captured' AND changed_at < now() - interval '15 min')""",
)
PARKED: Final = Check(
    name="parked",
    promise="No order takes its workers down.",
    severity=Severity.ALARM,
    next_step="Find why five workers ended with it (kernel log, worker log); look-ups of its money go on.",
    statement="""
        SELECT tenant_id, tracking_number AS subject, format('%s after %s crashes', state, crashes) AS detail
        FROM orders WHERE parked AND due_at IS NOT NULL""",
)
RETURNING_TOO_LONG: Final = Check(
    name="money-on-its-way-back",
    promise="Money without a right to stay is back with the shopper within 15 minutes, or within 3 days where its PSP "
    "took that in hand and tells later.",
    severity=Severity.ALARM,
    next_step="See what the PSP says of the reference; the refund is asked for again every minute under the same key, "
    "and ever more slowly under another one where the PSP said that it did not go back.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('attempt %s at %s, %s, refused %s times', attempt_no, provider, psp_reference, refusals) AS detail
        FROM payment_attempts
        WHERE outcome = 'returning'
          AND coalesce(taken_at + interval '3 days', settled_at + interval '15 min') < now()""",
)
REFUNDS_ADD_UP: Final = Check(
    name="refunds-add-up",
    promise="What counts as refunded of a capture is what its refunds say.",
    severity=Severity.BREAK,
    next_step="Compare the order's refunds (`c2a orders show`) with the PSP's before anything more is given back.",
    statement="""
        SELECT attempt.tenant_id, attempt.tracking_number AS subject,
               format('%s count as refunded, %s say its refunds', attempt.refunded_minor, back.amount_minor) AS detail
        FROM payment_attempts AS attempt JOIN (
            SELECT tenant_id, tracking_number, attempt_no,
                   sum(amount_minor) FILTER (WHERE state <> 'refused') AS amount_minor
            FROM refunds WHERE tracking_number >= :since GROUP BY 1, 2, 3) AS back
          USING (tenant_id, tracking_number, attempt_no)
        WHERE attempt.refunded_minor <> coalesce(back.amount_minor, 0)""",
)
REFUND_TOO_LONG: Final = Check(
    name="refund-under-way-too-long",
    promise="A refund is proven within 15 minutes, or three days where its PSP takes it in hand and tells later.",
    severity=Severity.ALARM,
    next_step="It is asked for by itself while the PSP keeps its key; after that see at the PSP whether the money went "
    "back, and say so with `c2a orders prove`.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('%s %s under way, refused %s times', amount_minor, currency, refusals) AS detail
        FROM refunds
        WHERE state = 'asked'
          AND coalesce(taken_at + interval '3 days', asked_at + interval '15 min') < now()""",
)
REFUND_IN_DOUBT: Final = Check(
    name="refund-in-doubt",
    promise="A refund that failed at its PSP is asked for again.",
    severity=Severity.ALARM,
    next_step="A refund of that amount failed: this one, or one that somebody asked for at the PSP. Or it was this one "
    "while another was under way. See in the PSP's console what went back of the charge. What counts as given and is "
    "still here is given back there; what counts as refused, with `c2a orders refund`.",
    statement="""
        SELECT tenant_id, tracking_number AS subject,
               format('%s %s, %s here; a refund failed at %s', amount_minor, currency, state, doubted_at) AS detail
        FROM refunds
        WHERE doubted_at >= :moment""",
)
NEWS_OF_NOBODY: Final = Check(
    name="news-of-an-unknown-charge",
    promise="Whatever a PSP tells of a charge, an attempt of ours is known for it.",
    severity=Severity.ALARM,
    next_step="Somebody else charges through this account, or an attempt was lost: search the PSP's books for the key.",
    statement="""
        SELECT tenant_id, event_id AS subject, format('from %s, parked', provider) AS detail
        FROM psp_events
        WHERE settled_at IS NULL
          AND received_at < now() - interval '15 min'""",
)
DISPUTED: Final = Check(
    name="money-taken-from-us",
    promise="What counts as captured reached us and stays with us.",
    severity=Severity.ALARM,
    next_step="Look the charge up at its PSP: a capture failed, or its shopper disputes it. See whether the goods are "
    "out, and answer a dispute within its time; the order stays as it is.",
    statement="""
        SELECT tenant_id, coalesce(merchant_reference, event_id) AS subject,
               format('%s told %s', provider, event_id) AS detail
        FROM psp_events
        WHERE kind = 'disputed' AND received_at >= :moment""",
)
ENDPOINT_SILENT: Final = Check(
    name="endpoint-takes-no-events",
    promise="Every endpoint of a tenant takes its events, unless an operator paused it.",
    severity=Severity.ALARM,
    next_step="See `c2a endpoints deliveries` for what it answers and tell the tenant. A paused one is sent nothing "
    "until `c2a endpoints resume`; what was not taken is kept for 31 days (`c2a endpoints replay`).",
    statement="""
        SELECT tenant_id, endpoint_id AS subject,
               format('%s, %s tries in vain since %s', coalesce('paused: ' || paused_why, state), failures,
                      failing_since) AS detail
        FROM event_endpoints
        WHERE state = 'paused' AND paused_why <> 'operator'
           OR state = 'active' AND failures >= 5 AND failing_since < now() - interval '15 min'""",
)
EVENTS_LATE: Final = Check(
    name="events-are-sent",
    promise="An event that waits for nothing but being sent is sent within 15 minutes.",
    severity=Severity.ALARM,
    next_step="See that an upkeep worker runs; more of them send more.",
    statement="""
        SELECT tenant_id, endpoint_id AS subject,
               (SELECT 'event ' || event_id || ', due since ' || due_at FROM event_deliveries AS late
                WHERE late.tenant_id = endpoint.tenant_id AND late.endpoint_id = endpoint.endpoint_id
                  AND late.state = 'waiting' AND late.due_at < now() - interval '15 min'
                ORDER BY due_at LIMIT 1) AS detail
        FROM event_endpoints AS endpoint
        WHERE state = 'active' AND failures < 5 AND EXISTS (
            SELECT FROM event_deliveries AS late
            WHERE late.tenant_id = endpoint.tenant_id AND late.endpoint_id = endpoint.endpoint_id
              AND late.state = 'waiting' AND late.due_at < now() - interval '15 min'
              AND NOT EXISTS (
                  SELECT FROM event_deliveries AS earlier
                  WHERE earlier.tenant_id = late.tenant_id AND earlier.endpoint_id = late.endpoint_id
                    AND earlier.subject = late.subject AND earlier.state = 'waiting'
                    AND (earlier.place, earlier.at, earlier.event_id) < (late.place, late.at, late.event_id)))""",
)

CHECKS: Final = (
    ONE_CAPTURE,
    FAILED_HOLDS_NOTHING,
    DONE_IS_PAID,
    LIVE_IS_LOOKED_AFTER,
    HOLDS_HAVE_ORDERS,
    ORDERS_HAVE_HOLDS,
    KEYS_HAVE_ORDERS,
    UNCLEAR_TOO_LONG,
    NOT_MOVING,
    PARKED,
    RETURNING_TOO_LONG,
    REFUNDS_ADD_UP,
    REFUND_TOO_LONG,
    REFUND_IN_DOUBT,
    NEWS_OF_NOBODY,
    DISPUTED,
    ENDPOINT_SILENT,
    EVENTS_LATE,
)
