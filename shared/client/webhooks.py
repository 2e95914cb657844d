"""Whether a webhook is what the API sent, and what it tells (contract section 7; Standard Webhooks)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from shared.client.errors import NotGenuine


@dataclass(frozen=True, slots=True)
class TenantEvent:
    """Something that happened. The same *event_id* may come twice: act on it once."""

    event_id: str
    type: str
    data: Mapping[str, Any]


def verify(headers: Mapping[str, str], body: bytes, secret: str) -> TenantEvent:
    """What a webhook tells, if the holder of *secret* (`whsec_...`) signed it within five minutes of now.

    *body* as it was received, byte for byte. Raises NotGenuine; whatever else a malformed message makes the library
    raise is that, too.
    """
    given = {name.lower(): value for name, value in headers.items()}
    signed_by = Webhook(secret)  # Outside: a secret that is none is not the message's fault.
    try:
        signed_by.verify(body, given, json_parse=False)
        document = json.loads(body)
        return TenantEvent(given["webhook-id"], document["type"], document["data"])
    except (WebhookVerificationError, ValueError, KeyError, TypeError):
        pass  # Raised below: what was malformed stays out of the traceback.
    raise NotGenuine("this webhook does not verify")
