"""Whoever has only the README at three in the morning is told commands that exist, with options they have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from shared.cli.main import main
from shared.operate.judging import Action

README: Final = (Path(__file__).parents[2] / "README.md").read_text()
SECTION: Final = README[README.index("### Find a stuck order") : README.index("### Stripe")]
CALLS: Final = re.compile(r"(?:`|^    )c2a ([^`#\n]+)", re.MULTILINE)


def calls() -> Iterator[list[str]]:
    """The words of every command the section shows, without their values."""
    for found in CALLS.finditer(SECTION):
        yield found[1].split()


def command_of(words: list[str]) -> click.Command:
    """The command that *words* begin with; fails where there is none."""
    found: click.Command = main
    for word in words:
        if not isinstance(found, click.Group):
            break
        named = found.commands.get(word)
        assert named is not None, f"c2a {' '.join(words)}"
        found = named
    assert not isinstance(found, click.Group), f"c2a {' '.join(words)} names a group"
    return found


def test_every_command_of_the_section_exists_with_its_options() -> None:
    seen = list(calls())
    assert len(seen) > 10
    for words in seen:
        known = {name for option in command_of(words).params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, f"c2a {' '.join(words)}"


def test_every_action_is_told_of() -> None:
    told = {words[1] for words in calls() if words[0] == "orders"}
    assert {action.value for action in Action} <= told
