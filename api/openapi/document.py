"""The OpenAPI 3.1 document, made from the table of routes and the models that validate and answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from openapi_pydantic import (
    Components,
    Example,
    Header,
    Info,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
    Server,
    Tag,
)
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel

from api.envelope import CLIENT_OUTPUT, JSON
from api.openapi.routes import ROUTES, Route, Told
from api.schemas.common import Refused
from api.schemas.methods import PaymentMethodResponse
from api.schemas.offers import OfferResponse

DESCRIPTION: Final = """Order an offer, poll until it is done.

Every request field may be sent under its long name or its alias, mixed freely; answers use long names. Unknown
fields are ignored. Amounts are integers in minor units of an ISO 4217 currency (1499 EUR = 14.99 EUR)."""

_REFUSALS: Final[Mapping[str, type[BaseModel]]] = {"offers": OfferResponse, "payment methods": PaymentMethodResponse}
"""Whose refusals carry a null of their own; all others are the bare envelope."""

_WORDS: Final[Mapping[int, str]] = {
    200: "Done",
    202: "Accepted; poll the status",
    204: "The stream has nothing more to tell its reader",
    303: "On to the shop's own page",
    304: "Nothing changed since the ETag",
    400: "Something in the request is wrong; `message` names it by path",
    401: "The key, the tenant or both are wrong; no body",
    403: "The key is good but may not do this",
    404: "There is no such thing",
    408: "The body took too long",
    409: "Understood and refused",
    413: "The body is larger than 64 KiB",
    415: "The body is not application/json in UTF-8",
    429: "Too many calls; come back later",
    431: "The headers are too large",
    500: "Our fault",
    503: "Something we need is away",
}
_HEADERS: Final[Mapping[str, str]] = {
    "x-request-id": "The caller's id of this request, or one of ours.",
    "Retry-After": "Seconds until it makes sense to ask again.",
    "RateLimit": "What the bucket that binds holds: the key's, or its tenant's (IETF draft).",
    "RateLimit-Policy": "The size of that bucket (IETF draft).",
    "Location": "Where to go on.",
    "Link": 'The status of the order, rel="status".',
    "Idempotent-Replayed": "true: the order was accepted before under this key.",
    "ETag": "Changes whenever what is told of the order does.",
    "Preference-Applied": "wait=N: the answer was held until there was news, at most N seconds.",
    "Cache-Control": "Terminal answers may be kept; others are no-store.",
    "WWW-Authenticate": "The scheme of x-api-key.",
}
_REQUEST_HEADERS: Final[Mapping[str, str]] = {
    "x-request-id": "Echoed, and in our logs; replaced by one of ours unless it is 1-128 printable ASCII characters.",
    "Idempotency-Key": "Stands in for order.correlationId where the body has none.",
    "If-None-Match": "The ETag of the last answer.",
    "Prefer": "wait=N: hold the answer until the status changes, at most N seconds and 30 (RFC 7240).",
    "Last-Event-ID": "The id of the last event, where a stream begins again.",
}


@cache
def document() -> str:
    """The document as JSON."""
    api = OpenAPI(
        openapi="3.1.1",
        info=Info(title="C2A checkout", version="1.0.0", description=DESCRIPTION),
        servers=[Server(url="/api/v1"), Server(url="/api", description="The published alternative.")],
        tags=[Tag(name=tag) for tag in dict.fromkeys(route.tag for route in ROUTES)],
        paths=_paths(),
        components=Components(
            securitySchemes={
                scheme: SecurityScheme.model_validate({"type": "apiKey", "name": header, "in": "header"})
                for scheme, header in (("key", "x-api-key"), ("tenant", "x-tn"))
            }
        ),
    )
    # What was set and nothing else: defaults spelled out are not allowed everywhere, and nulls in examples must stay.
    whole = construct_open_api_with_schema_class(api).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps(_without_nulls(whole))


def _paths() -> dict[str, PathItem]:
    paths: dict[str, PathItem] = {}
    for route in ROUTES:
        item = paths.setdefault(route.path, PathItem(servers=[Server(url="/")] if route.bare else None))
        setattr(item, route.method, _operation(route))
    return paths


def _operation(route: Route) -> Operation:
    return Operation(
        operationId=route.name,
        summary=route.summary,
        tags=[route.tag],
        security=[{"key": [], "tenant": []}] if route.needs_key else [],
        parameters=_parameters(route),
        requestBody=_request_body(route),
        responses={str(status): _response(status, told, route) for status, told in _answers(route)},
    )


def _parameters(route: Route) -> list[Parameter | Reference]:
    in_path = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        *(_parameter(name, "path", "", required=True) for name in in_path),
        *(_parameter(name, "query", words, required=route.needs_key) for name, words in route.query.items()),
        *(_parameter(name, "header", _REQUEST_HEADERS[name]) for name in ("x-request-id", *route.request_headers)),
    ]


def _parameter(name: str, where: str, words: str, *, required: bool = False) -> Parameter:
    # Any text may stand in a header: what we cannot use of it is passed over, not refused.
    schema = _text() if where == "header" else _text(minLength=1, maxLength=255)
    return Parameter.model_validate(
        {"name": name, "in": where, "description": words or None, "required": required, "schema": schema}
    )


def _request_body(route: Route) -> RequestBody | None:
    if route.takes is None:
        return None
    return RequestBody(required=True, content={JSON: _media(route.takes, route.takes_examples)})


def _answers(route: Route) -> Iterable[tuple[int, Told]]:
    """The route's own answers and those that every route of its kind may give."""
    refusal = _REFUSALS.get(route.tag, Refused)
    common = {431: Told(Refused, ("REQUEST_HEADERS_TOO_LARGE",)), 500: Told(refusal, ("INTERNAL_SERVER_ERROR",))}
    if not route.bare:
        common[503] = Told(refusal, ("SERVICE_UNAVAILABLE",), ("Retry-After",))
    if route.takes is not None:
        common[408] = Told(refusal, ("REQUEST_TIMEOUT",))
        common[413] = Told(refusal, ("REQUEST_TOO_LARGE",))
        common[415] = Told(refusal, ("UNSUPPORTED_MEDIA_TYPE",))
    if route.needs_key:
        common[401] = Told(None, headers=("WWW-Authenticate",))
        common[403] = Told(refusal, ("FORBIDDEN",))
    if route.is_limited:
        common[429] = Told(refusal, ("RATE_LIMITED",), ("Retry-After",))
    return sorted({**common, **route.answers}.items())


def _response(status: int, told: Told, route: Route) -> Response:
    limits = ("RateLimit", "RateLimit-Policy") if route.is_limited and status not in (401, 431) else ()
    asked = ("x-request-id", *limits, *told.headers) if status != 431 else ()
    codes = f": {', '.join(f'`{code}`' for code in told.codes)}" if told.codes else ""
    return Response(
        description=f"{_WORDS[status]}{codes}.",
        headers={name: _header(name) for name in asked},
        content=_content(told),
    )


def _content(told: Told) -> dict[str, MediaType] | None:
    if told.model is not None:
        content = {kind: _media(told.model, told.examples) for kind in (JSON, CLIENT_OUTPUT)}
        return content | ({told.media_type: MediaType()} if told.media_type else {})
    return {told.media_type: MediaType()} if told.media_type else None


def _media(model: type[BaseModel], shown: Mapping[str, Any]) -> MediaType:
    return MediaType.model_validate(
        {
            "schema": PydanticSchema.model_validate({"schema_class": model}),
            "examples": {name: Example(value=value) for name, value in shown.items()} or None,
        }
    )


def _header(name: str) -> Header:
    return Header.model_validate({"description": _HEADERS[name], "schema": _text()})


def _text(**bounds: int) -> Schema:
    return Schema.model_validate({"type": "string", **bounds})


def _without_nulls(part: Any) -> Any:
    """*part* without keys that were set to nothing; what an example shows is left as it is."""
    if isinstance(part, dict):
        return {
            name: value if name == "value" else _without_nulls(value)
            for name, value in part.items()
            if value is not None
        }
    return [_without_nulls(item) for item in part] if isinstance(part, list) else part
