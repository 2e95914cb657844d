"""The door of the product's workers with one PSP more: `celery -A deploy.measure.worker worker -Q payment`."""

from __future__ import annotations

from functools import cache
from typing import Any

from deploy.measure.at_once import psp_for
from shared.config import Settings
from workers import main


@cache
def _app() -> Any:
    return main.create(Settings(), psp_for)


def __getattr__(name: str) -> Any:
    """`app`, made when the celery command asks for it: importing this file does nothing."""
    if name == "app":
        return _app()
    raise AttributeError(name)
