"""Reads a file of JSON lines: one at a time, none longer than a line may be, each bad one by its number.

A reason names the field by path and never shows a value: these files hold customers, and terminals keep logs.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from pydantic import BaseModel, ValidationError

LONGEST_LINE: Final = 1 << 20
"""1 MiB: the largest offer the contract's bounds allow is smaller."""
SHOWN_REASONS: Final = 5
"""More faults of one line than this help nobody to mend it."""
BATCH: Final = 200
"""Documents a statement: few round trips, and a statement well under its time limit."""

D = TypeVar("D")
M = TypeVar("M", bound=BaseModel)


class BadLine(click.ClickException):
    """A line that cannot be imported; ends the command with exit 1."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}; nothing of the file was imported")


class Unreadable(ValueError):
    """Why a line is not the document it should be."""


def read(path: Path, parse: Callable[[bytes], D]) -> Iterator[tuple[int, D]]:
    """The documents of *path* with their line numbers; raises BadLine. Blank lines are passed over."""
    size = path.stat().st_size
    with (
        path.open("rb") as file,
        click.progressbar(length=size, label=path.name, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar,
    ):
        for number in count(1):
            line = file.readline(LONGEST_LINE + 1)
            if not line:
                return
            if len(line) > LONGEST_LINE:
                raise BadLine(number, f"longer than {LONGEST_LINE} bytes")
            bar.update(len(line))
            if line.strip():
                yield number, _parsed(number, line, parse)


def batches(documents: Iterator[D]) -> Iterator[list[D]]:
    """*documents* in lists of at most BATCH."""
    while batch := list(islice(documents, BATCH)):
        yield batch


def json_object(line: bytes) -> dict[str, Any]:
    """The object a line holds; raises Unreadable for other JSON, for none, and for a field that is told twice."""
    try:
        found = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        raise Unreadable("not JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object")
    return found


def validated(model: type[M], line: bytes) -> M:
    """*line* as a *model*; raises Unreadable with the paths of the fields at fault."""
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        reasons = [f"{_path(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}" for fault in faults]
        raise Unreadable("; ".join(reasons[:SHOWN_REASONS])) from None


def _parsed(number: int, line: bytes, parse: Callable[[bytes], D]) -> D:
    try:
        return parse(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)
    except Unreadable as fault:
        raise BadLine(number, str(fault)) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("a field is told twice in one object")
    return found


def _no_constant(_: str) -> None:
    raise Unreadable("NaN and Infinity are not JSON")


def _path(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")
    # An unknown field's name is the file's own text: shown, but never as control characters.
    printable = "".join(char if char.isprintable() else "?" for char in path[:200])
    return f"{printable}: " if printable else ""
