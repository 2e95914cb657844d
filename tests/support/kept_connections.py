"""How long the tests' clients keep a connection to our API that they do not use.

Its server hangs up after five seconds, which is also httpx's own patience: a request that leaves at that moment meets a
closed connection, and says nothing about the product. So our clients let go first.
"""

from __future__ import annotations

from typing import Final

import httpx

KEPT: Final = httpx.Limits(keepalive_expiry=2.0)
"""Seconds: three below the server's, so that a pause of the machine does not make the two meet."""
