"""Unit tests are about plain values: whoever reaches for the network here is told."""

from __future__ import annotations

import socket

import pytest

from tests.support.no_network import NetworkUsed


def test_a_unit_test_that_connects_is_refused() -> None:
    with pytest.raises(NetworkUsed, match=r"socket\.connect"), socket.socket() as reaching:
        reaching.connect(("127.0.0.1", 9))


def test_a_unit_test_that_looks_up_a_name_is_refused() -> None:
    with pytest.raises(NetworkUsed, match=r"socket\.getaddrinfo"):
        socket.getaddrinfo("localhost", 80)
