"""Run by Python itself at the start of every process of the canary run's stack: plants leaks, once it is told to.

Told by a file, so that a stack that was found clean can be spoilt by killing two of its processes: what starts in their
place reads this again.
"""

import importlib.abc
import importlib.machinery
import os
import pathlib
import sys
from types import ModuleType

PLANTED_AFTER = {"api.server": "in_api", "workers.main": "in_worker"}
"""Which module's import is followed by which function of tests/leaks/spoilt.py."""


class Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the modules of PLANTED_AFTER as ever, and plants."""

    def find_spec(self, fullname, path=None, target=None):  # type: ignore[no-untyped-def]
        """The module's own spec, with this loader before its own."""
        if fullname not in PLANTED_AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        spec.loader_state, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        """As ever."""
        return

    def exec_module(self, module: ModuleType) -> None:
        """As ever, then plant."""
        assert module.__spec__ is not None
        module.__spec__.loader_state.exec_module(module)
        from tests.leaks import spoilt

        getattr(spoilt, PLANTED_AFTER[module.__name__])()


def _is_told() -> bool:
    home = os.environ.get("C2A_STACK_HOME")
    return home is not None and (pathlib.Path(home) / "spoil").exists()


if _is_told():
    os.environ.pop("C2A_FAILPOINTS", None)  # Nothing but the leaks is to go wrong.
    sys.meta_path.insert(0, Planter())
