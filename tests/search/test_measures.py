"""Costs besides latency: as bounds, and as what to have the least of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.results.table import SetUp, Table
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.answer import ask
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.measures import (
    MEASURES,
    Bound,
    ColumnMeasure,
    accurate_enough,
    measure,
    within_bound,
)
from compofa.supernet.export.weights import weight_shapes
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from rigs.tables import make_table

SPACE = SPACES["compofa"]


def candidates(*tables: Table) -> Candidates:
    found = [Latencies(Path(f"{each.setup.device}.csv"), each) for each in tables]
    return join(found, SPACE, load_accuracy(None, SPACE))


def with_energy(table: Table, mj_per_ms: float = 2.0, known_ms: float = 1e9) -> Table:
    """The table with a column `energy_mj`, empty where the latency is above `known_ms`."""
    rows = tuple(
        replace(row, extra=(mj_per_ms * ms if (ms := row.latency_ms or 0) < known_ms else None,))
        for row in table.rows
    )
    return replace(table, rows=rows, extra=("energy_mj",))


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("int8", 1), ("float16", 2)])
def test_size_and_memory_are_those_of_the_graph_in_the_tables_dtype(dtype: str, width: int) -> None:
    table = make_table()
    table = replace(table, setup=SetUp("phone", "tflite", "1", "cpu", 1, dtype))
    found = candidates(table)
    size, memory = MEASURES["size"].of(found), MEASURES["memory"].of(found)
    for i in range(0, len(found), 97):
        cell = found.cells[i]
        graph = build_graph(SPACE, found.subnets[cell.subnet], cell.resolution)
        numbers = sum(int(np.prod(shape)) for shape in weight_shapes(graph).values())
        assert size[i] == width * numbers
        assert memory[i] == width * graph.peak_activation_bytes / 4
    (best,) = ask(found, [(20.0,)], top=1).results
    at = found.cells.index(next(c for c in found.cells if c.subnet == best.subnet))
    assert best.weight_bytes == size[at]


def test_a_bound_keeps_what_is_within_it() -> None:
    found = candidates(make_table())
    bound = Bound(MEASURES["memory"], 3e6)
    kept, reason = within_bound(found, bound)
    assert reason is None
    assert 0 < len(kept) < len(found)
    assert MEASURES["memory"].of(kept).max() <= 3e6 < MEASURES["memory"].of(found).max()


def test_a_bound_that_nothing_keeps_names_what_comes_nearest() -> None:
    _, reason = within_bound(candidates(make_table()), Bound(MEASURES["size"], 1000))
    assert reason is not None
    assert reason.startswith("no subnet has at most 1,000 bytes of weights: d22222 at ")


def test_a_column_bounds_and_cells_without_a_value_are_left_out() -> None:
    found = candidates(with_energy(make_table(), known_ms=20))
    kept, _ = within_bound(found, Bound(ColumnMeasure("energy_mj"), 30))
    assert kept.latency_ms.max() <= 15
    kept, _ = within_bound(found, Bound(ColumnMeasure("energy_mj"), 1e9))
    assert kept.latency_ms.max() < 20


def test_columns_of_several_tables_add_up() -> None:
    tables = with_energy(make_table()), with_energy(make_table("board"), 3.0)
    found = candidates(*tables, make_table("none"))
    np.testing.assert_allclose(measure("energy_mj").of(found), 5 * found.latency_ms[:, 0])


def test_the_least_of_something_is_found_among_the_accurate() -> None:
    found, _ = accurate_enough(candidates(with_energy(make_table())), 0.74)
    results = ask(found, [(25.0,)], top=5, minimise=[measure("energy_mj")]).results
    spent = [each.extra[0]["energy_mj"] or 0.0 for each in results]
    assert spent == sorted(spent)
    assert spent[0] == measure("energy_mj").of(found).min()
    assert all(each.top1 >= 0.74 for each in results)


def test_the_front_of_three_holds_the_front_of_two() -> None:
    found = candidates(make_table())
    two = {(r.subnet, r.resolution) for r in ask(found, []).results}
    three = ask(found, [], minimise=[measure("params")]).results
    assert two < {(r.subnet, r.resolution) for r in three}
    costs = np.array([(-r.top1, r.latency_ms[0], r.params) for r in three])
    for one in costs:
        assert not ((costs <= one).all(axis=1) & (costs < one).any(axis=1)).any()


def test_an_accuracy_that_nothing_has_names_the_best() -> None:
    _, reason = accurate_enough(candidates(make_table()), 0.99)
    assert reason is not None
    assert reason.startswith(
        "no subnet has a predicted top-1 of 99.00%: d44444 at 224 has the most"
    )


def test_a_name_that_is_no_column_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"no table has a column energy.*did you mean"):
        measure("energy").of(candidates(with_energy(make_table())))
