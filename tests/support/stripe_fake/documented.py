"""Whether a request has only what Stripe documents for its call, and all that it requires.

Stripe publishes its parameters as the types of its library, generated from its OpenAPI description; they are read here
as data. So a parameter that we made up, or that went with a version of the API, is found.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from stripe._request_options import RequestOptions
from typing_extensions import get_type_hints, is_typeddict


def misfit(params: Any, documented: Any, path: str = "") -> str | None:
    """The name of the first parameter that does not fit *documented* (a type); None if all do."""
    origin, inner = get_origin(documented), get_args(documented)
    if origin in (NotRequired, Required):
        return misfit(params, inner[0], path)
    if origin in (Union, UnionType):
        found = [misfit(params, one, path) for one in inner]
        return None if None in found else max((one for one in found if one), key=len)
    if is_typeddict(documented):
        return _of_fields(params, documented, path)
    if origin is list:
        one_by_one = enumerate(params) if isinstance(params, list) else [(0, None)]
        return _first(misfit(value, inner[0], f"{path}[{at}]") for at, value in one_by_one)
    if origin is dict:
        return None if isinstance(params, dict) and all(isinstance(one, str) for one in params.values()) else path
    return None if _is_value(params, documented, inner) else path


def _of_fields(params: Any, documented: Any, path: str) -> str | None:
    if not isinstance(params, dict):
        return path
    fields = _fields(documented)
    missing = documented.__required_keys__ - params.keys() - _OPTIONS
    if missing:
        return f"{path}[{min(missing)}] is missing"
    return _first(
        misfit(value, fields[name], f"{path}[{name}]") if name in fields else f"{path}[{name}]"
        for name, value in params.items()
    )


def _is_value(value: Any, documented: Any, choices: tuple[Any, ...]) -> bool:
    """Whether a form's string can be read as what is documented."""
    if not isinstance(value, str):
        return False
    if get_origin(documented) is Literal:
        return value in choices
    if documented is bool:
        return value in ("true", "false")
    if documented in (int, float, Decimal):
        return value.lstrip("-").replace(".", "", documented is not int).isdecimal()
    return documented is str


_OPTIONS = frozenset(RequestOptions.__annotations__)
"""Headers, which the library lists with the parameters."""


@cache
def _fields(documented: Any) -> dict[str, Any]:
    hints = get_type_hints(
        documented,
        globalns=vars(sys.modules[documented.__module__]),
        localns={"StripeContext": object, "Mapping": dict},
        include_extras=True,
    )
    return {name: hint for name, hint in hints.items() if name not in _OPTIONS}


def _first(found: Any) -> str | None:
    return next((one for one in found if one is not None), None)
