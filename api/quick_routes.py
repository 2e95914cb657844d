"""What the quick way answers (api/quick.py): an order that is accepted, and where an order stands."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from werkzeug.exceptions import ClientDisconnected

from api import hold, limits, validation
from api.checkout import SUBMIT, accept, read_status
from api.envelope import JSON, encoded
from api.follow_up import FINAL_LIFE_S, document_of, is_known
from api.handed_on import SoFar
from api.held import Held, seat_of
from api.limits import Kind, Limits
from api.parts import Parts
from api.prefer import wait_s
from api.quick import Environ, Told
from api.schemas.checkout import CheckoutRequest
from api.strict_json import MOST_BYTES, parse
from shared.store.keys import Caller
from shared.store.status import Status

_NOTHING: Final[Mapping[str, str]] = {}
_STATUS: Final = re.compile(r"(/api(?:/v1)?)/c2a/offer/checkout/(trk_[0-9A-Za-z]{26})/status")
_LENGTH: Final = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Submit:
    """POST /c2a/offer/checkout."""

    parts: Parts
    limits: Limits
    method: ClassVar[str] = "POST"
    reads_status: ClassVar[bool] = False

    def named(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """Both prefixes."""
        return (path, _NOTHING) if path in SUBMIT else None

    def answer(self, environ: Environ, caller: Caller, _: Mapping[str, str], so_far: SoFar) -> Told | None:
        """202 for an order that is accepted, or was before."""
        began_ns, length = time.time_ns(), environ.get("CONTENT_LENGTH", "")
        if environ.get("CONTENT_TYPE") != JSON or not _LENGTH.fullmatch(length) or int(length) > MOST_BYTES:
            return None
        so_far.verdict = verdict = self.limits.take(caller, Kind.CHANGES)
        if not verdict.is_plain:
            return None
        document = parse(_body(environ, int(length)))
        ask = validation.read(CheckoutRequest, document)
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        now, where = accept(self.parts, caller.tenant_id, ask, header_key=key, began_ns=began_ns)
        body, again = _document(self.parts, now, polls=0)
        headers = [*_content(body), *again, *where.items(), NO_STORE]
        return Told("202 ACCEPTED", headers, body)


@dataclass(frozen=True, slots=True)
class Poll:
    """GET /c2a/offer/checkout/{trackingNumber}/status."""

    parts: Parts
    limits: Limits
    method: ClassVar[str] = "GET"
    reads_status: ClassVar[bool] = True

    def named(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """Both prefixes; only numbers we could have minted."""
        met = _STATUS.fullmatch(path)
        return met and (f"{met[1]}/c2a/offer/checkout/<tracking_number>/status", {"tracking_number": met[2]})

    def answer(self, environ: Environ, caller: Caller, named: Mapping[str, str], so_far: SoFar) -> Told | None:
        """200 where an order stands; 304 while it stands as their ETag says; later, if the caller prefers to wait."""
        number = named["tracking_number"]
        count = limits.counter(caller.tenant_id, number)
        so_far.verdict = verdict = self.limits.take(caller, Kind.STATUS, count)
        if not verdict.is_plain:
            return None
        polls, known = verdict.count or 0, environ.get("HTTP_IF_NONE_MATCH")
        seconds = wait_s(environ.get("HTTP_PREFER"))
        if not seconds:
            told = self._told(read_status(self.parts, caller.tenant_id, number), polls, known)
            self._remember(caller, count, told)
            return told
        seat, unread = seat_of(environ), Status.fresh(number)
        held = Held(
            self.parts,
            caller,
            number,
            seconds,
            is_stream=False,
            known=unread,
            media_type=JSON,
            request_id=so_far.request_id,
            polls=polls,
        )
        with hold.entered(held, seat):
            held.known = read_status(self.parts, caller.tenant_id, number)
            told = self._told(held.known, polls, known)
            self._remember(caller, count, told)
            applied = hold.keep(held, seat, status=int(told.status[:3]), if_none_match=known)
            return Told(told.status, [*told.headers, *applied.items()], told.body)

    def _remember(self, caller: Caller, count: str, told: Told) -> None:
        advice = next((int(value) for name, value in told.headers if name == "Retry-After"), None)
        if advice is not None:
            self.limits.advised(caller, count, advice)

    def _told(self, now: Status, polls: int, known: str | None) -> Told:
        body, again = _document(self.parts, now, polls=polls)
        etag = ("ETag", f'W/"{now.tag}"')
        headers = [etag, ("Cache-Control", f"private, max-age={FINAL_LIFE_S}") if now.is_final else NO_STORE, *again]
        if is_known(now, known):
            return Told("304 NOT MODIFIED", headers, b"")
        return Told("200 OK", [*_content(body), *headers], body)


NO_STORE: Final = ("Cache-Control", "no-store")


def _body(environ: Environ, length: int) -> bytes:
    """The body; it can be read once more, by Flask."""
    raw: bytes = environ["wsgi.input"].read(length)
    if len(raw) != length:
        raise ClientDisconnected
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw


def _document(parts: Parts, now: Status, *, polls: int) -> tuple[bytes, list[tuple[str, str]]]:
    """The body, and the header that says when to come back, if there is a reason to."""
    document: dict[str, Any] = document_of(parts, now, polls=polls)
    seconds = document["followUpInstructions"].get("retryAfterSeconds")
    return encoded(document).encode(), [] if seconds is None else [("Retry-After", str(seconds))]


def _content(body: bytes) -> list[tuple[str, str]]:
    return [("Content-Type", JSON), ("Content-Length", str(len(body)))]
