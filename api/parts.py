"""What the front door is built from: everything a route may touch, handed in, so that importing does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from redis import Redis
from sqlalchemy import Engine

from shared.config import Settings
from shared.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one API process."""

    settings: Settings
    engine: Engine
    redis: Redis  # The volatile Redis: rate limits and poll counts; its loss is survivable.
    keyring: Keyring
    clock: Callable[[], datetime]
