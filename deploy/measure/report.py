"""Tells what was measured: one table for people, one document for programs. Nothing that fell short is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from deploy.measure import spread
from deploy.measure.figures import GOALS, Figure, Verdict
from deploy.measure.spread import Spread

NOISE: Final = 0.1
"""Cores; a tenth of one moves a figure of a two-core machine by a twentieth."""
COLUMNS: Final = ("what", "ours", "reference", "ratio", "goal", "")


def document(
    machine: Mapping[str, Any], asked: Mapping[str, Any], figures: Sequence[Figure], failures: Mapping[str, str]
) -> dict[str, Any]:
    """The whole run for programs, numbers cut to what can be known of them."""
    told = {
        "machine": dict(machine),
        "asked": dict(asked),
        "figures": [figure.document() for figure in figures],
        "notMeasured": [name for name in GOALS if name not in {figure.name for figure in figures}],
        "failures": dict(failures),
    }
    rounded: dict[str, Any] = spread.rounded(told)
    return rounded


def show(console: Console, machine: Mapping[str, Any], figures: Sequence[Figure], failures: Mapping[str, str]) -> None:
    """The same for people."""
    table = Table(*COLUMNS, box=None, padding=(0, 2, 0, 0), title_justify="left")
    for row in rows(figures):
        table.add_row(*row)
    console.print(table)
    for figure in figures:
        for said in filter(None, (figure.note, figure.not_judged and f"not judged: {figure.not_judged}")):
            console.print(f"  {figure.name}: {said}", markup=False)
    for part, why in failures.items():
        console.print(f"  {part} could not be measured: {why}", markup=False)
    console.print(f"machine: {facts(machine)}", markup=False)
    if (cores := max(strangers(figures), default=0.0)) >= NOISE:
        console.print(
            f"strangers took up to {cores:.2g} cores while we measured: judge by processor times", markup=False
        )
    console.print(summary(figures), markup=False)


def strangers(figures: Sequence[Figure]) -> Iterator[float]:
    """Cores that went to processes that were none of ours, wherever a figure tells it."""
    waiting: list[Any] = [figure.details for figure in figures]
    while waiting:
        match waiting.pop():
            case {"coresOfStrangers": {"median": float(cores)} | float(cores), **more}:
                yield cores
                waiting.extend(more.values())
            case dict() as parts:
                waiting.extend(parts.values())
            case list() as parts:
                waiting.extend(parts)


def rows(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    """The table: each goal in its order, measured or not, then what has none."""
    by_name = {figure.name: figure for figure in figures}
    for name, goal in GOALS.items():
        yield _row(by_name[name]) if name in by_name else (name, "", "", "", str(goal), Verdict.NOT_MEASURED)
    for figure in figures:
        if figure.goal is None:
            yield _row(figure)


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{told(spread.of(figure.ours))} {figure.unit}",
        told(spread.of(figure.theirs)) if figure.theirs else "",
        told(figure.ratio) if figure.ratio else "",
        str(figure.goal or ""),
        figure.verdict,
    )


def told(values: Spread) -> str:
    """A middle with its least and greatest, where they differ as they are written."""
    middle, least, greatest = (number(value) for value in (values.middle, values.least, values.greatest))
    return middle if least == greatest else f"{middle} ({least}-{greatest})"


def number(value: float) -> str:
    """Three significant digits, thousands apart; whole numbers as they are."""
    if abs(value) >= 1_000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def facts(machine: Mapping[str, Any]) -> str:
    """The machine in a line."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def summary(figures: Sequence[Figure]) -> str:
    """How many goals were reached, and which were not."""
    judged = [figure for figure in figures if figure.verdict in (Verdict.REACHED, Verdict.MISSED)]
    missed = [figure.name for figure in judged if figure.verdict is Verdict.MISSED]
    left = len(GOALS) - len(judged)
    told = f"{len(judged) - len(missed)} of {len(judged)} judged goals reached"
    told += f"; MISSED: {', '.join(missed)}" if missed else ""
    return f"{told}; {left} not judged or not measured" if left else told
