"""How a request's aliases become long names before anything looks at the values.

Every field is accepted under its long name or its alias, mixed freely at any level (contract section 2). Both
present with the same value say the same thing; both present and different are refused by path, because to
prefer one of them would be to guess. null means absent, for that is how clients write a field they do not use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.domain.refusals import InvalidRequest


def canonical(model: type[BaseModel], document: Any, path: str = "") -> Any:
    """What *model* knows of *document*, by long names, without nulls; raises InvalidRequest where two disagree."""
    if not isinstance(document, dict):
        return document
    found: dict[str, Any] = {}
    fields = _fields(model)
    for key, given in document.items():
        if key not in fields:
            continue
        name, inner = fields[key]
        value = given if inner is None else _inside(inner, given, _join(path, name))
        if value is None:
            continue
        if name in found and not _same(found[name], value):
            raise InvalidRequest(f"{_join(path, name)}: given twice, under its name and its alias, with two values")
        found[name] = value
    return found


def _inside(model: type[BaseModel], value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [canonical(model, item, f"{path}[{index}]") for index, item in enumerate(value)]
    return canonical(model, value, path)


@cache
def _fields(model: type[BaseModel]) -> dict[str, tuple[str, type[BaseModel] | None]]:
    """Under its long name and under its alias, each field's long name and the model inside it.

    A long name may also be another field's alias at another level, never at the same one.
    """
    return {
        key: (str(field.alias), next(_models(field.annotation), None))
        for field in model.model_fields.values()
        for key in (str(field.alias), _alias(field))
    }


def _alias(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["x-alias"] if isinstance(extra, dict) and "x-alias" in extra else field.alias)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models named anywhere in a type: X, X | None, tuple[X, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1, 1.0 and true are three values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
