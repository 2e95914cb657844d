"""Which addresses may be called for a tenant, or its shoppers sent to (contract sections 6 and 7; OWASP SSRF).

An event goes to whatever URL a tenant names, from inside our network: so its URL is judged twice, when it is saved
and when it is used (shared/outward.py). The form first: HTTPS, no credentials, no fragment, a host in ASCII, and of
IPv4 only the one dotted form, for every other spelling (octal, hexadecimal, one number) is read differently by
somebody. Then every address the name has now: one that is not of the public internet refuses the URL, for the next
look-up may answer that one first.

Denied are the special-purpose blocks of IANA (RFC 6890 and its registries) and what carries an IPv4 address inside an
IPv6 one. `ipaddress.is_global` is not asked: what it calls global differs between Python releases.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from shared.config import Mode

LONGEST_URL: Final = 2_048
"""What every browser and proxy takes."""

Resolve = Callable[..., list[Any]]
"""socket.getaddrinfo, or a test's own."""

_DENIED: Final = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",  # This network (RFC 791).
        "10.0.0.0/8",  # Private (RFC 1918).
        "100.64.0.0/10",  # Shared by carriers (RFC 6598).
        "127.0.0.0/8",  # Loopback (RFC 1122).
        "169.254.0.0/16",  # Link-local (RFC 3927), the metadata services of clouds among it.
        "172.16.0.0/12",  # Private (RFC 1918).
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890).
        "192.0.2.0/24",  # Documentation (RFC 5737).
        "192.88.99.0/24",  # 6to4 relays (RFC 7526).
        "192.168.0.0/16",  # Private (RFC 1918).
        "198.18.0.0/15",  # Benchmarks (RFC 2544).
        "198.51.100.0/24",  # Documentation (RFC 5737).
        "203.0.113.0/24",  # Documentation (RFC 5737).
        "224.0.0.0/4",  # Multicast (RFC 5771).
        "240.0.0.0/4",  # Reserved (RFC 1112), and the broadcast address.
        "2001::/23",  # IETF protocol assignments (RFC 2928), Teredo among them: an IPv4 address inside.
        "2001:db8::/32",  # Documentation (RFC 3849).
        "2002::/16",  # 6to4 (RFC 3056): an IPv4 address inside.
        "3fff::/20",  # Documentation (RFC 9637).
    )
)
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
"""All of IPv6 that is routed (RFC 4291 2.4): mapped, translated, local and link-local addresses stand outside it."""
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_NAME: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


class UnsafeUrl(ValueError):
    """A URL that must not be called or sent to; the message says why and never repeats it."""


def may_call(address: str, mode: Mode) -> bool:
    """Whether an event may go to *address*, as a resolver gave it: one of the public internet, in development this
    machine's own, too."""
    found = _spelled(address)
    if found is None:
        return False
    if mode is Mode.DEVELOPMENT and any(found in own for own in _LOOPBACK):
        return True
    if isinstance(found, IPv6Address) and found not in _GLOBAL_UNICAST:
        return False
    return not any(found in block for block in _DENIED)


def webhook_url(url: str, mode: Mode, resolve: Resolve = socket.getaddrinfo) -> str:
    """*url*, if events may be sent there now; raises UnsafeUrl. To be asked when it is saved; it looks its name up."""
    host = host_of(url, mode)
    try:
        found = resolve(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnsafeUrl("its name cannot be looked up; name a host that the internet knows") from None
    if not _all_may_be_called((str(entry[4][0]) for entry in found), mode):
        raise UnsafeUrl("its host has an address that is not of the public internet")
    return url


def psp_url(url: str, mode: Mode, resolve: Resolve = socket.getaddrinfo) -> str:
    """*url*, if a PSP may be called there: as with a webhook, and paths can be put behind it. Raises UnsafeUrl."""
    if "?" in url:
        raise UnsafeUrl("it must not carry a query")
    return webhook_url(url, mode, resolve)


def return_url(url: str, mode: Mode) -> str:
    """*url*, if a shopper may be sent there; raises UnsafeUrl. Only its form counts: the browser goes, not we."""
    host_of(url, mode)
    return url


def host_of(url: str, mode: Mode) -> str:
    """The host of *url*, if its form is safe: HTTPS (in development HTTP, too), nothing that two readers read as two
    things. Raises UnsafeUrl."""
    if len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise UnsafeUrl(f"write it in at most {LONGEST_URL} printable ASCII characters, without backslashes")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnsafeUrl("its host or port cannot be read") from None
    if parts.scheme not in (("https", "http") if mode is Mode.DEVELOPMENT else ("https",)):
        raise UnsafeUrl("it must begin with https://")
    if "@" in parts.netloc or parts.netloc.endswith(":") or port == 0:
        raise UnsafeUrl("it must not carry a user, a password or an empty port")
    if "#" in url:
        raise UnsafeUrl("it must not carry a fragment")
    if not _is_plain_host(host, parts.netloc):
        raise UnsafeUrl("its host must be a plain name or a plain IP address")
    return host


def _is_plain_host(host: str, netloc: str) -> bool:
    """Whether every reader finds the same host: a literal in its own spelling, or a name that is no number."""
    if "[" in netloc:
        return _spelled(host) is not None and ":" in host
    last = host.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):  # Readers of URLs take it for IPv4 (WHATWG URL, ends in a number).
        return isinstance(_spelled(host), IPv4Address)
    return len(host) <= 253 and _NAME.fullmatch(host) is not None


def _spelled(host: str) -> IPv4Address | IPv6Address | None:
    """The address that *host* spells, without a zone."""
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def _all_may_be_called(addresses: Iterable[str], mode: Mode) -> bool:
    every = list(addresses)
    return bool(every) and all(may_call(address, mode) for address in every)
