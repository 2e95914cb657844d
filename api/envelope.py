"""How a document becomes an answer: the envelope and its media type (contract section 1).

Every answer carries "status": {"messageCode": ...}. It is application/json, or application/clientOutput+Json where
Accept prefers that; no answer may be cached unless its route says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from flask import Response, request

from api.schemas.common import Answer

JSON: Final = "application/json"
CLIENT_OUTPUT: Final = "application/clientOutput+Json"

encoded: Final = json.JSONEncoder(separators=(",", ":")).encode
"""JSON without a space, as every answer is written."""

Document = Mapping[str, Any] | Answer


def answer(
    document: Document, *, status: int = 200, headers: Mapping[str, str] | None = None, code: str | None = None
) -> Response:
    """The response that says *document*; *code* puts its status into the envelope where the document has none."""
    body = document.wire() if isinstance(document, Answer) else dict(document)
    if code is not None:
        body["status"] = {"messageCode": code}
    response = Response(encoded(body), status, headers, content_type=media_type())
    response.vary.add("Accept")
    return response


def media_type() -> str:
    """What the caller of this request would have JSON called."""
    return request.accept_mimetypes.best_match([JSON, CLIENT_OUTPUT], JSON)
