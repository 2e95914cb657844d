"""Which bytes are a document and which are refused; none of them breaks us (G1-G3 of the faults)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest

from api.strict_json import MOST_DEPTH, parse
from shared.domain.refusals import InvalidRequest


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{]",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 01}',
        b'"\x01"',
        b"hello",
        b"\xff\xfe{\x00}\x00",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
    ],
)
def test_what_is_no_json_in_utf_8_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(raw)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "c": 2, "b": 3}}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[-1e999]",
        b"[" + b"9" * 101 + b"]",
        b"[" + b"9" * 60_000 + b"]",
        rb'["\u0000"]',
        rb'{"a\u0000": 1}',
        rb'["\ud800"]',
        rb'["\udc00\ud800"]',
        rb'{"\udfff": 1}',
        _nested(MOST_DEPTH + 1),
        _nested(500),
        _nested(32_000),
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)
def test_json_that_means_two_things_or_cannot_be_kept_is_an_invalid_request(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert caught.value.message.startswith("body: ")


@pytest.mark.parametrize(
    ("raw", "document"),
    [
        (b'{"a": 1}', {"a": 1}),
        (rb'["\ud83d\ude80"]', ["🚀"]),
        ('["Zoë 李"]'.encode(), ["Zoë 李"]),
        (b'{"a": {"a": {"a": 1}}}', {"a": {"a": {"a": 1}}}),
        (b"[-0.5e3]", [-500.0]),
    ],
)
def test_plain_json_is_read_as_it_is(raw: bytes, document: Any) -> None:
    assert parse(raw) == document


def test_depth_sixteen_is_not_too_deep() -> None:
    assert parse(_nested(MOST_DEPTH)) is not None


@given(raw=st.binary(max_size=200))
def test_no_bytes_break_us(raw: bytes) -> None:
    try:
        parse(raw)
    except (BadRequest, InvalidRequest):
        return


@given(text=st.text(alphabet='{}[]":,\\u0123456789eE+-.truefalsn NaInfity\ud800', max_size=60))
def test_nothing_that_looks_like_json_breaks_us(text: str) -> None:
    try:
        parse(text.encode("utf-8", "surrogatepass"))
    except (BadRequest, InvalidRequest):
        return


@given(
    document=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        st.integers(-(10**50), 10**50) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    )
)
def test_what_can_be_kept_comes_through_unchanged(document: dict[str, Any]) -> None:
    assert parse(json.dumps(document).encode()) == document
