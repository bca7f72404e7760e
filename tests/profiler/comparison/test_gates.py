"""Gates on measured columns besides latency."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compofa.common.errors import UserError
from compofa.profiler.comparison import gates as gates_module
from compofa.profiler.comparison.changes import compare_tables
from compofa.profiler.comparison.formats.junit import render_junit
from compofa.profiler.comparison.gates import Gate, check_gates
from compofa.profiler.comparison.sentences import device_headline
from compofa.profiler.comparison.sides import Side
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.statistics.compare import Verdict

from .conftest import MakeSide

MEMORY = ("memory_mb", "memory_ci_low_mb", "memory_ci_high_mb")


def with_columns(side: Side, names: tuple[str, ...], values: tuple[float | None, ...]) -> Side:
    rows = tuple(replace(row, extra=values) for row in side.table.rows)
    return replace(side, table=replace(side.table, rows=rows, extra=names))


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        ((100.0, 99.0, 101.0), Verdict.SAME),
        ((107.0, 103.0, 111.0), Verdict.CANNOT_TELL),
        ((110.0, 109.0, 111.0), Verdict.SLOWER),
        ((90.0, 89.0, 91.0), Verdict.SAME),
    ],
)
def test_a_gate_fails_where_intervals_are_that_far_apart(
    side: MakeSide, new: tuple[float, ...], verdict: Verdict
) -> None:
    base = with_columns(side(1), MEMORY, (100.0, 99.0, 101.0))
    (result,) = check_gates(base, with_columns(side(2), MEMORY, new), [Gate("memory_mb", 0.05)])
    assert result.verdict is verdict


def test_what_is_counted_needs_no_interval(side: MakeSide) -> None:
    sides = [with_columns(side(1), ("bytes_mb",), (value,)) for value in (10.0, 10.2)]
    for share, verdict in ((0.01, Verdict.SLOWER), (0.03, Verdict.SAME)):
        (result,) = check_gates(sides[0], sides[1], [Gate("bytes_mb", share)])
        assert result.verdict is verdict


def test_more_images_a_second_are_better(side: MakeSide, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measure says of itself in which direction it gets worse."""
    monkeypatch.setattr(gates_module, "_lower_is_better", lambda _: False)
    name = ("images_per_s",)
    sides = [with_columns(side(1), name, (value,)) for value in (100.0, 50.0)]
    (worse,) = check_gates(sides[0], sides[1], [Gate(name[0], 0.05)])
    (better,) = check_gates(sides[1], sides[0], [Gate(name[0], 0.05)])
    assert (worse.verdict, better.verdict) == (Verdict.SLOWER, Verdict.SAME)


def test_a_failed_gate_decides_and_is_named(side: MakeSide) -> None:
    base, new = (with_columns(side(1), ("bytes_mb",), (value,)) for value in (10.0, 12.0))
    gates = check_gates(base, new, [Gate("bytes_mb", 0.05)])
    compared = Compared(compare_tables(base, new), None, gates)
    assert compared.verdict is Verdict.SLOWER
    assert device_headline(compared).startswith("Worse: bytes_mb: ")
    assert 'type="worse"' in render_junit(Report((compared,)))


def test_a_column_that_is_not_there_is_named(side: MakeSide) -> None:
    with pytest.raises(UserError, match="--gate bytes_mb: the table has no such column"):
        check_gates(side(1), side(2), [Gate("bytes_mb", 0.05)])
