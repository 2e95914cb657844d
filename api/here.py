"""Which parts the app that answers this request was built from, for code that Flask calls without arguments."""

from __future__ import annotations

from typing import Final, cast

from flask import Flask, current_app

from api.parts import Parts

_PLACE: Final = "c2a.parts"


def remember(app: Flask, parts: Parts) -> None:
    """Tie *parts* to *app*; done once, by create_app."""
    app.extensions[_PLACE] = parts


def parts() -> Parts:
    """The parts of the app that runs now."""
    return cast("Parts", current_app.extensions[_PLACE])
