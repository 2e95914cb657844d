"""Whether a Standard Webhooks message is what its sender signed, and fresh.

The signature is the library's. The window is ours: the library measures it by the process's own clock and lets a
malformed header escape as whatever error it meets, while here *now* comes in and every failure is BadSignature.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from standardwebhooks import Webhook

from shared.psp.port import BadSignature

REPLAY_WINDOW: Final = timedelta(minutes=5)
"""Either side of now, as Standard Webhooks advises: longer than clocks differ, shorter than a replay is worth."""
SIGNATURES_READ: Final = 8
"""A rotation shows two signatures; more than a handful is somebody trying."""


def verified_id(headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str], now: datetime) -> str:
    """The webhook-id of a message one of *secrets* signed within the window; raises BadSignature.

    Several secrets are the overlap of a rotation.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "").split(" ")[:SIGNATURES_READ]
    # A second since 1970 has at most 11 digits until the year 5138; isascii keeps other scripts' digits out.
    if not (message_id and stamp.isascii() and stamp.isdigit() and len(stamp) <= 11):
        raise BadSignature("webhook headers are missing or malformed")
    signed_at = datetime.fromtimestamp(int(stamp), UTC)
    if abs(now - signed_at) > REPLAY_WINDOW:
        raise BadSignature("webhook is older or newer than the window")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadSignature("webhook body is not UTF-8") from None
    expected = [Webhook(secret).sign(message_id, signed_at, text).encode() for secret in secrets]
    if not any(hmac.compare_digest(one, other.encode()) for one in expected for other in signatures):
        raise BadSignature("webhook signature does not verify")
    return message_id
