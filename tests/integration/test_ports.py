"""A port that was drawn for a server is drawn by nobody else before that server listens."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from deploy.stack import ports

DRAWS: Final = "from deploy.stack import ports; print(ports.draw(), flush=True); input()"
ENDS_WITHIN_S: Final = 20.0


def test_a_port_is_drawn_by_one_process_at_a_time() -> None:
    with subprocess.Popen([sys.executable, "-c", DRAWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert ports.is_free(port), "nobody listens yet"
        with pytest.raises(OSError, match="no free port"):
            ports.draw(among=[port])
        other.communicate(b"\n", timeout=ENDS_WITHIN_S)

    assert ports.draw(among=[port]) == port


def test_a_port_is_drawn_once_and_none_that_is_to_be_avoided() -> None:
    port = ports.draw()
    for among, avoid in (([port], []), ([port + 1], [port + 1])):
        with pytest.raises(OSError, match="no free port"):
            ports.draw(among=among, avoid=avoid)
