"""Lets a person's shell use the running stack: `. .local/env` gives it the API's address, a key, and `c2a`.

The servers' addresses stay inside the functions: in the shell itself the next deploy/up would take them for servers
of the user's own. Written for any POSIX shell, for its owner alone, and gone with the stack, as stack.json is.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deploy.stack.home import Home, write_text

PROGRAMS: Final = Path(sys.executable).parent
"""Where c2a, celery and python of the stack are."""


def write(home: Home, facts: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    """Write the file for a stack of these *facts* (stack.json's), whose processes have these *settings*."""
    told = {"C2A_URL": facts["baseUrl"], "C2A_TENANT": facts["tenant"], "C2A_KEY": facts["apiKey"]}
    inside = f"export {_assigned(settings)}; PATH={shlex.quote(str(PROGRAMS))}:$PATH"
    lines = (
        "# For a shell: the stack that runs. It holds passwords.",
        f"export {_assigned(told)}",
        f'in_stack() ( {inside}; exec "$@" )',
        'c2a() { in_stack c2a "$@"; }',
    )
    write_text(home.shell_file, "\n".join(lines) + "\n")


def _assigned(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
