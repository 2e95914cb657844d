"""Which codes does a command end with, where it says nothing of its own?

Said in one place, and added to the help of each: a script that calls any of them may rely on it.
"""

from __future__ import annotations

from typing import Final

import click

USUAL: Final = """\b
Exit codes: 0 done, 1 not done, and nothing was changed (the message says why), 2 called wrongly.

"""
OF_A_GROUP: Final = """\b
Exit codes: 0 done, 1 not done, 2 called wrongly; the --help of each command tells those it has besides.

"""


def told(command: click.Command) -> None:
    """Give *command*, and all below it, the usual codes in its help where it tells none."""
    is_group = isinstance(command, click.Group)
    if "Exit code" not in (command.epilog or ""):
        command.epilog = (OF_A_GROUP if is_group else USUAL) + (command.epilog or "")
    if isinstance(command, click.Group):
        for below in command.commands.values():
            told(below)
