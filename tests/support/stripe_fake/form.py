"""What a form says: `a[b][0]=c`, as Stripe's libraries write it, read back into dicts and lists."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl


def read(text: str) -> dict[str, Any]:
    """The parameters of a body or a query. Every leaf is a string."""
    top: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *way, last = re.split(r"\]\[|\[|\]", name.removesuffix("]"))
        place = top
        for step in way:
            place = place.setdefault(step, {})
        place[last] = value
    return {name: _lists(value) for name, value in top.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(part) for name, part in value.items()}
    return list(inner.values()) if inner and all(name.isdigit() for name in inner) else inner
