"""The quick way's ends on the wire: what it needs of a request as gunicorn read it, and its answer in one write.

Gunicorn makes some forty variables of every request and writes head and body apart: two system calls, and on loopback
two wake-ups of whoever reads. What it validates of an answer's headers is not validated here: all of them are ours, and
what a caller can put into one (x-request-id) was matched before.
"""

from __future__ import annotations

import io
import time
from functools import lru_cache
from typing import Any, Final

from gunicorn import SERVER
from gunicorn.util import http_date, unquote_to_wsgi_str

from api.quick import Environ, Told

HTTP_1_1: Final = (1, 1)
_CONTENT: Final = frozenset({"CONTENT-TYPE", "CONTENT-LENGTH"})


def environ_of(req: Any, listener_name: Any) -> Environ | None:
    """The variables of *req* that the quick way reads, as WSGI names them; None where gunicorn must serve it: another
    version of HTTP, a connection that ends with it, an answer expected before the body, a header that came twice."""
    if req.version != HTTP_1_1 or req._expected_100_continue or req.should_close():
        return None
    environ = {
        "REQUEST_METHOD": req.method,
        "PATH_INFO": unquote_to_wsgi_str(req.path),
        "SERVER_PORT": str(listener_name[1]),
        "wsgi.input": req.body,
    }
    for name, value in req.headers:
        key = name.replace("-", "_")
        if name not in _CONTENT:
            key = f"HTTP_{key}"
        if key in environ:
            return None
        environ[key] = value
    _take_body(req, environ)
    return environ


def _take_body(req: Any, environ: Environ) -> None:
    """Take a body that came with its head, all of it and nothing else: whoever reads it waits for nobody."""
    length = environ.get("CONTENT_LENGTH")
    if length is None:
        return
    here = req.unreader.take_buffered()
    if str(len(here)) == length:
        req.body = environ["wsgi.input"] = io.BytesIO(here)
    else:
        req.unreader.unread(here)


def send(sock: Any, told: Told) -> None:
    """Write *told* on a connection that is kept. Raises OSError."""
    answer = head_of(told) + told.body
    sent = sock.send(answer)
    if sent < len(answer):
        sock.sendall(answer[sent:])


def head_of(told: Told, *, keeps: bool = True) -> bytes:
    """The head of *told*; *keeps*: the connection may be used again."""
    lines = "\r\n".join([f"{name}: {value}" for name, value in told.headers])
    head = f"HTTP/1.1 {told.status}\r\n{_own(int(time.time()))}Connection: {_KEEPS[keeps]}\r\n{lines}\r\n\r\n"
    return head.encode("latin-1")


_KEEPS: Final = {True: "keep-alive", False: "close"}


@lru_cache(maxsize=1)
def _own(second: int) -> str:
    """What gunicorn says of itself in the answers of one second."""
    return f"Server: {SERVER}\r\nDate: {http_date(second)}\r\n"
