"""How patient the breakers of this installation are, and how many calls a process spends on one account."""

from __future__ import annotations

from dataclasses import dataclass

from shared.config import Settings
from shared.psp.traffic.scripts import PER_WINDOW


@dataclass(frozen=True, slots=True)
class Terms:
    """The numbers' reasons are in shared/config.py."""

    breaker_calls: int = 20
    breaker_window_s: float = 60.0
    breaker_open_s: float = 30.0
    calls_at_once: int = 220

    @property
    def slot_s(self) -> float:
        """How long the calls of one slot of the ring are counted together."""
        return self.breaker_window_s / PER_WINDOW


def terms_of(settings: Settings) -> Terms:
    """What this installation wants."""
    return Terms(settings.breaker_calls, settings.breaker_window_s, settings.breaker_open_s, settings.psp_calls_at_once)
