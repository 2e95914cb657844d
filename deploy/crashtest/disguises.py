"""How a text may look where it leaked to: as it is, or as some layer between us and the disk wrote it."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from binascii import Error as BadBase64
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

LEAST: Final = 8
"""Bytes a form must have to be looked for: shorter ones stand everywhere by chance."""
INFLATED_AT_MOST: Final = 64 << 20
"""What one compressed stream is looked into; none of ours comes near, and a bomb must not end the scan."""
PIECE: Final = 4_096
"""Of what only looks like a stream, nearly all breaks off within so many bytes."""
_PACKED: Final = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
"""How gzip (RFC 1952) and zlib (RFC 1950) streams begin."""
_PACKED_BASE64: Final = re.compile(rb"(?:H4sI|eAF|eF4|eJ[w-z]|eNo|eNp|eNq|eNr)[A-Za-z0-9+/_-]{16,}")
"""The same beginnings in base64."""


def forms(text: str) -> set[bytes]:
    """*text* in every form but the reversed one, which is found by reading backwards, and the packed ones."""
    plain = text.encode()
    hexed = plain.hex()
    escaped = json.dumps(text)[1:-1]
    found = {
        plain,
        hexed.encode(),
        hexed.upper().encode(),
        quote(text, safe="").encode(),
        quote_plus(text).encode(),
        escaped.encode(),
        json.dumps(escaped)[1:-1].encode(),  # JSON in JSON, as a body in a log line.
        *_in_base64(plain),
    }
    if text.isdigit():  # What need not be escaped may be all the same; of other texts that would be most of the work.
        found |= {
            "".join(pattern.format(byte) for byte in plain).encode()
            for pattern in ("%{:02x}", "\\u{:04x}", "\\x{:02x}")
        }
    return {form for form in found if len(form) >= LEAST}


def unpacked(content: bytes) -> Iterator[bytes]:
    """What the gzip and zlib streams in *content* hold, base64 taken off first where they wear it."""
    for found in _PACKED.finditer(content):
        yield from _inflated(memoryview(content)[found.start() :])
    for found in _PACKED_BASE64.finditer(content):
        standard = found[0].translate(bytes.maketrans(b"-_", b"+/"))
        try:
            yield from _inflated(b64decode(standard[: len(standard) // 4 * 4]))
        except BadBase64:
            continue


def _in_base64(plain: bytes) -> Iterator[bytes]:
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):  # base64 sees three bytes at a time: cut what depends on the neighbours.
            encoded = encode(b"\0" * before + plain)
            first = -(-before * 8 // 6)
            whole = (before + len(plain)) * 8 // 6
            yield encoded[first:whole]


def _inflated(packed: bytes | memoryview) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as its first bytes say.
    content = b""
    try:
        for at in range(0, len(packed), PIECE):
            content += stream.decompress(packed[at : at + PIECE])
            if stream.eof or len(content) > INFLATED_AT_MOST:
                break
    except zlib.error:
        pass  # No stream after all, or one that was cut: what came out before counts.
    if len(content) >= LEAST:
        yield content
