"""Columns of costs: their figures, their intervals, and predictions only where they are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.results.columns.cost_columns import (
    FIRST_MS,
    LOAD_CI_HIGH_MS,
    LOAD_CI_LOW_MS,
    PEAK_MEMORY_MB,
    THROUGHPUT_PER_S,
    columns_of,
)
from compofa.profiler.results.columns.cost_model import predict_cell_costs
from compofa.profiler.results.journal import Cost, Timing
from compofa.profiler.results.measures import CellRuns, interval_names
from compofa.profiler.results.table import Cell
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import get_space

CELL = Cell("compofa", "d22222", 160, 1)
COMPOFA = get_space("compofa")


def runs(*load_ms: float, costs: tuple[Cost, ...] = ()) -> CellRuns:
    timings = tuple(
        Timing(i, CELL, "", 1.0, round(ms * 1e6), (), (1,), {}, "", first_ns=2_000_000)
        for i, ms in enumerate(load_ms)
    )
    return CellRuns(CELL, timings, (1.0,) * len(timings), costs=costs)


def cost(kind: str, **counted: float) -> Cost:
    return Cost(kind, CELL, counted, "", "", "")


def test_memory_is_what_the_model_adds_to_the_process() -> None:
    passes = tuple(cost("memory", base_mb=100.0, peak_mb=peak) for peak in (140.0, 141.0, 150.0))
    assert PEAK_MEMORY_MB.of(runs(1.0, costs=passes)) == pytest.approx(41.0)
    assert PEAK_MEMORY_MB.of(runs(1.0)) is None
    assert PEAK_MEMORY_MB.needs == "memory"


def test_throughput_is_better_the_larger_it_is() -> None:
    assert THROUGHPUT_PER_S.of(runs(costs=(cost("throughput", per_s=50.0, streams=2.0),))) == 50.0
    assert not THROUGHPUT_PER_S.lower_is_better


def test_the_first_run_is_its_own_figure() -> None:
    assert FIRST_MS.of(runs(5.0, 6.0)) == 2.0


def test_the_interval_holds_the_median_of_loads() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        cell = runs(*np.exp(0.2 * rng.standard_normal(5)))
        low, high = LOAD_CI_LOW_MS.of(cell), LOAD_CI_HIGH_MS.of(cell)
        assert low is not None
        assert high is not None
        inside += low <= 1.0 <= high
    # The standard error of a thousand intervals is 0.7 %.
    assert 930 <= inside <= 970
    assert LOAD_CI_LOW_MS.of(runs(5.0)) is None


def test_a_unit_of_two_words_stays_at_the_end() -> None:
    assert interval_names("throughput_per_s") == (
        "throughput_ci_low_per_s",
        "throughput_ci_high_per_s",
    )
    assert interval_names("peak_memory_mb") == ("peak_memory_ci_low_mb", "peak_memory_ci_high_mb")


def test_measures_bring_their_columns() -> None:
    assert columns_of(("latency", "load", "memory")) == ("load_ms", "peak_memory_mb")
    with pytest.raises(UserError, match="knows no 'memry'.*memory"):
        columns_of(("memry",))


def known_costs(noise: float) -> dict[Cell, float]:
    rng = np.random.default_rng(1)
    keys = [COMPOFA.key(subnet) for subnet in COMPOFA.enumerate()]
    cells = [Cell("compofa", key, 192, 1) for key in rng.choice(keys, 40, replace=False)]
    graphs = [build_graph(COMPOFA, COMPOFA.parse(cell.subnet), 192) for cell in cells]
    megabytes = [5 + graph.weight_bytes / 1e6 for graph in graphs]
    return {
        cell: mb * float(np.exp(noise * rng.standard_normal()))
        for cell, mb in zip(cells, megabytes, strict=True)
    }


@pytest.mark.parametrize("invert", [False, True])
def test_costs_that_follow_the_work_are_predicted(invert: bool) -> None:
    costs = known_costs(0.0)
    if invert:
        costs = {cell: 1 / each for cell, each in costs.items()}
    cells = list(costs)
    known = {cell: costs[cell] for cell in cells[:35]}
    told = predict_cell_costs(COMPOFA, known, cells[:12], cells[35:], invert=invert)
    assert told is not None
    assert told.error_percent < 1
    for cell, value in told.values.items():
        assert value == pytest.approx(costs[cell], rel=0.02)


def test_costs_that_do_not_are_left_empty() -> None:
    costs = known_costs(0.5)
    cells = list(costs)
    known = {cell: costs[cell] for cell in cells[:35]}
    told = predict_cell_costs(COMPOFA, known, cells[:12], cells[35:])
    assert told is not None
    assert told.error_percent > 5
    assert not told.values
    few = dict(list(known.items())[:15])
    assert predict_cell_costs(COMPOFA, few, cells[:12], cells[35:]) is None


def test_what_is_left_out_by_the_jackknife_keeps_the_costs() -> None:
    one = cost("memory", base_mb=1.0, peak_mb=3.0)
    assert replace(runs(1.0, 2.0), costs=(one,)).without(0).costs == (one,)
