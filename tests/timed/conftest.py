"""What the measurements run on: the same stack as the acceptance tests, which has the machine to itself."""

from __future__ import annotations

from tests.acceptance.conftest import psp, rows, shop

__all__ = ["psp", "rows", "shop"]
