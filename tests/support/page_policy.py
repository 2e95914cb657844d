"""What a page must tell a browser not to do, by its headers; one rule for every page we serve."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

OWN: Final = re.compile(r"'(self|none|sha256-[A-Za-z0-9+/=]+)'|data:")
"""Sources that are no other host and let nothing run that somebody slipped into the page."""


def check(headers: Mapping[str, str]) -> None:
    """Fail unless *headers* (names as given or in lower case) close the page.

    Content-Security-Policy Level 3: what default-src does not cover has to be named; PCI DSS 6.4.3 for the scripts.
    """
    told = {name.lower(): value for name, value in headers.items()}
    assert told["content-type"].startswith("text/html"), "not a page"
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"
    policy = {name: sources for name, *sources in map(str.split, told["content-security-policy"].split(";"))}
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    for name, sources in policy.items():
        loose = {"'unsafe-inline'"} if name == "style-src" else set()
        assert all(OWN.fullmatch(source) for source in set(sources) - loose), f"{name} lets others in"
