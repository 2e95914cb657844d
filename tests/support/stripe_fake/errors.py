"""Refusals in Stripe's words, with what its documents carry: type, code, parameter, a text, and the charge."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


class Refused(Exception):
    """A call that is answered with an error."""

    def __init__(self, status: int, kind: str, code: str | None = None, **more: Any) -> None:
        super().__init__(code or kind)
        self.status = status
        self.body: Document = {
            "error": {"type": kind, "code": code, "message": "STRIPE TEXT that nobody may see", **more}
        }


def invalid(code: str | None = None, **more: Any) -> Refused:
    """400: parameters, or a state, that the call cannot work with."""
    return Refused(400, "invalid_request_error", code, **more)


def missing(kind: str, param: str) -> Refused:
    """No such thing: 404 where it is what the URL names, else 400."""
    status = 404 if param in ("id", "intent") else 400
    return Refused(status, "invalid_request_error", "resource_missing", param=param, message=f"No such {kind}")
