"""Foreign text, as a terminal or a log may show it."""

from __future__ import annotations


def plain(text: str) -> str:
    """*text* without its control characters: what they would do to a terminal is nobody's to decide but ours."""
    return "".join(char if char.isprintable() else "?" for char in text)
