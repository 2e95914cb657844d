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
    """*document* under the long names of *model*, without nulls; raises InvalidRequest where two names disagree."""
    if not isinstance(document, dict):
        return document
    found: dict[str, Any] = dict(document)
    for name, alias, inner in _names(model):
        values = [_inside(inner, document[key], _join(path, name)) for key in (name, alias) if key in document]
        if len(values) == 2 and not _same(*values):
            raise InvalidRequest(f"{_join(path, name)}: given twice, under its name and its alias, with two values")
        if alias != name:
            found.pop(alias, None)
        if values:
            found[name] = values[0]
    # A long name may also be another field's alias at another level, never at the same one: nothing is overwritten.
    return {key: value for key, value in found.items() if value is not None}


def _inside(model: type[BaseModel] | None, value: Any, path: str) -> Any:
    if model is None:
        return value
    if isinstance(value, list):
        return [canonical(model, item, f"{path}[{index}]") for index, item in enumerate(value)]
    return canonical(model, value, path)


@cache
def _names(model: type[BaseModel]) -> tuple[tuple[str, str, type[BaseModel] | None], ...]:
    """Of each field: its long name, its alias (the long name where it has none), the model inside it."""
    return tuple(
        (str(field.alias), _alias(field), next(_models(field.annotation), None))
        for field in model.model_fields.values()
    )


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
