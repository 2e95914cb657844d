"""The desk of an operator beside an engine room."""

from __future__ import annotations

from shared.operate.actions import Desk
from workers.runtime import Runtime


def desk_beside(run: Runtime) -> Desk:
    """What actions are done with, on the installation of *run*."""
    return Desk(run.engine, run.keyring, run.doorbell, run.vault, run.terms, run.lease.limit)
