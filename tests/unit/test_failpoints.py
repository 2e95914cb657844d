"""A failpoint does nothing unless it is named, and production cannot be told to die."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final

import pytest

from shared.config import Mode
from shared.failpoints import Failpoint, FailpointReached, FailpointsInProduction, arm, reach

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _disarmed_afterwards() -> Iterator[None]:
    yield
    arm("", Mode.DEVELOPMENT)


def test_an_unarmed_point_does_nothing() -> None:
    for point in Failpoint:
        reach(point)


def test_an_armed_point_acts_at_its_time_and_only_then() -> None:
    arm("pay.before_call#2=raise", Mode.DEVELOPMENT)
    reach(Failpoint.PAY_BEFORE_CALL)
    reach(Failpoint.PAY_AFTER_CALL)
    with pytest.raises(FailpointReached):
        reach(Failpoint.PAY_BEFORE_CALL)
    reach(Failpoint.PAY_BEFORE_CALL)


def test_several_points_may_be_armed_and_arming_again_forgets_them() -> None:
    arm("pay.before_call=raise,pay.after_call=raise", Mode.DEVELOPMENT)
    with pytest.raises(FailpointReached):
        reach(Failpoint.PAY_AFTER_CALL)
    arm("pay.after_call=raise", Mode.DEVELOPMENT)
    reach(Failpoint.PAY_BEFORE_CALL)


@pytest.mark.parametrize("named", ["pay.nowhere", "pay.before_call#0", "pay.before_call=explode", "PAY", "#1", "a b"])
def test_a_name_that_means_nothing_is_refused(named: str) -> None:
    with pytest.raises(ValueError, match=r"failpoint|Failpoint"):
        arm(named, Mode.DEVELOPMENT)


def test_production_refuses_to_start_with_one() -> None:
    with pytest.raises(FailpointsInProduction):
        arm("pay.before_call", Mode.PRODUCTION)
    arm("", Mode.PRODUCTION)


def test_every_transaction_can_be_cut_short_on_both_sides_of_its_commit() -> None:
    """A new transaction without points would be a boundary nobody has ever died at."""
    rooms = [path for room in ("api", "workers", "shared/operate") for path in sorted((ROOT / room).rglob("*.py"))]
    bare = [f"{path.name}:{line}" for path in rooms for line in bare_transactions(ast.parse(path.read_text()))]
    assert bare == []


def bare_transactions(module: ast.Module) -> Iterator[int]:
    """The lines of `with ....begin()` blocks that do not end in a point, or are not followed by one."""
    for holder in ast.walk(module):
        for block in (getattr(holder, "body", None), getattr(holder, "orelse", None)):
            if isinstance(block, list):
                yield from _bare_in(block)


def _bare_in(block: list[ast.stmt]) -> Iterator[int]:
    for statement, after in zip_longest(block, block[1:]):
        if isinstance(statement, ast.With) and _begins(statement):
            returns = isinstance(statement.body[-1], ast.Return)
            inside = any(_is_point(one) for one in statement.body)
            if not inside or not (returns or (after is not None and _is_point(after))):
                yield statement.lineno


def _begins(statement: ast.With) -> bool:
    """Whether it opens a transaction, beside whatever else."""
    return any("engine.begin()" in ast.unparse(one) for one in statement.items)


def _is_point(statement: ast.stmt) -> bool:
    return ast.unparse(statement).startswith("reach(Failpoint.")


def test_every_point_is_reached_from_exactly_one_place_of_the_product() -> None:
    """One that nobody reaches proves nothing; one reached from two places proves half of what it says."""
    code = [path.read_text() for room in ("api", "workers", "shared") for path in (ROOT / room).rglob("*.py")]
    reached = Counter(name for text in code for name in re.findall(r"reach\(Failpoint\.(\w+)\)", text))
    assert reached == dict.fromkeys((point.name for point in Failpoint), 1)
