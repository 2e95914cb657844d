"""Whoever asks a command for help gets an example to copy, and the codes it ends with."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from shared.cli.main import main


def every(command: click.Command, *way: str) -> Iterator[tuple[str, ...]]:
    yield way
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from every(below, *way, name)


@pytest.mark.parametrize("way", list(every(main)), ids=" ".join)
def test_help_shows_an_example_and_the_exit_codes(way: tuple[str, ...]) -> None:
    told = CliRunner().invoke(main, [*way, "--help"]).output

    assert f"    {' '.join(('c2a', *way))}" in told
    assert told.count("Exit code") == 1
