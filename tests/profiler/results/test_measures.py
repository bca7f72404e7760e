"""Measured columns: what each is computed from, and how tables get and keep them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.results.build import with_own_columns, write_tables
from compofa.profiler.results.columns.cost_columns import LOAD_MS
from compofa.profiler.results.journal import (
    Failure,
    JournalLine,
    PlanLine,
    Timing,
    journal_path,
    read_journal,
)
from compofa.profiler.results.measures import (
    GROUP,
    MEAN_MS,
    P50_MS,
    P90_MS,
    P99_MS,
    CellRuns,
    MeasureSpec,
    find_measures,
    interval_names,
    measure_names,
)
from compofa.profiler.results.meta import meta_path, read_meta
from compofa.profiler.results.table import Cell, read_table, write_table
from rigs.benchmarks import load_benchmark
from rigs.profiles import COMPOFA, profile_on_paper

CELL = Cell("compofa", "d22222", 160, 1)
COLUMNS = (
    *("load_ms", "load_ci_low_ms", "load_ci_high_ms"),
    *("p50_ms", "p50_ci_low_ms", "p50_ci_high_ms"),
)


def timing(session: int, *ms: float, load_ms: float = 5.0) -> Timing:
    ns = tuple(round(each * 1e6) for each in ms)
    return Timing(session, CELL, "", 1.0, round(load_ms * 1e6), (), ns, {}, "")


def runs(*timings: Timing, factors: tuple[float, ...] = ()) -> CellRuns:
    return CellRuns(CELL, timings, factors or (1.0,) * len(timings))


def test_every_measure_is_registered_under_the_name_of_its_column() -> None:
    assert {"load_ms", "mean_ms", "p50_ms", "p90_ms", "p99_ms"} <= set(measure_names())
    for name in measure_names():
        # p90_ms stands in every table, asked for or not.
        asked = [name][: name != "p90_ms"]
        ends = [end for end in interval_names(name) if end in measure_names()]
        assert [each.name for each in find_measures([name])] == asked + ends


def test_the_interval_of_a_column_holds_its_truth() -> None:
    bench = load_benchmark("bench_statistics")
    rng = np.random.default_rng(0)
    columns = {spec.name: spec for spec in find_measures(["p50_ms", "mean_ms", "p90_ms"])}
    every = np.exp(bench.heavy_runs(rng, (200_000,)))
    truths = {"p50": np.median(every), "mean": every.mean(), "p90": np.quantile(every, 0.9)}
    inside = dict.fromkeys(truths, 0)
    for _ in range(200):
        effects = np.exp(0.01 * rng.standard_normal(5))
        rows = np.exp(bench.heavy_runs(rng, (5, 60))) * effects[:, None]
        cell = runs(*(timing(n, *row.tolist()) for n, row in enumerate(rows)))
        for name, truth in truths.items():
            low = columns[f"{name}_ci_low_ms"].of(cell)
            high = columns[f"{name}_ci_high_ms"].of(cell)
            assert low is not None
            assert high is not None
            inside[name] += low <= truth <= high
    # The standard error of 200 intervals is 1.5 %; those of five sessions are made for 96 %.
    assert all(count >= 184 for count in inside.values()), inside


def test_one_session_has_no_interval_and_a_coarse_clock_no_quantiles() -> None:
    low, _ = find_measures(["p90_ms"])
    assert low.of(runs(timing(1, 2.0, 2.1))) is None
    coarse = replace(runs(timing(1, 2.0, 3.0), timing(2, 2.0, 3.0)), tick_ns=1_000_000)
    assert P50_MS.of(coarse) is None
    assert MEAN_MS.of(coarse) == pytest.approx(2.5)


def test_runs_are_corrected_for_drift_before_quantiles_are_taken() -> None:
    both = runs(timing(1, 2.0, 2.0, 2.0), timing(2, 3.0, 3.0, 3.0), factors=(1.0, 1.5))
    assert P50_MS.of(both) == P90_MS.of(both) == pytest.approx(2.0)


def test_a_number_that_stands_for_many_runs_tells_no_quantile() -> None:
    assert P90_MS.of(runs(timing(1, 2.0))) is None


def test_a_tail_needs_enough_runs_beyond_it() -> None:
    thousand = np.linspace(1, 2, 1000).tolist()
    assert P99_MS.of(runs(timing(1, *thousand[:-1]))) is None
    assert P99_MS.of(runs(timing(1, *thousand))) == pytest.approx(1.99, abs=1e-3)


def test_loading_is_the_median_of_the_sessions_that_loaded() -> None:
    loads = (timing(n, 1.0, load_ms=ms) for n, ms in enumerate((4.0, 9.0, 6.0, 0.0)))
    assert LOAD_MS.of(runs(*loads)) == 6.0


def test_what_is_no_finite_number_is_not_known() -> None:
    assert MeasureSpec("odd_ms", "Odd.", lambda _: float("nan")).of(runs()) is None


@pytest.mark.parametrize("name", ["energy", "Energy_mJ", "energy mj", "_mj", ""])
def test_a_column_without_a_unit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid name for a measured column.*energy_mj"):
        MeasureSpec(name, "", lambda _: None)


def test_an_unknown_column_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UserError, match="no measured column 'p98_ms'.*did you mean 'p9"):
        find_measures(["load_ms", "p98_ms"])
    assert GROUP == "compofa.measures"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose plan asked for two measured columns."""
    path = profile_on_paper(tmp_path_factory.mktemp("t") / "phone.csv")
    header, lines = read_journal(journal_path(path))
    lines = [
        replace(line, columns=("load_ms", "p50_ms")) if isinstance(line, PlanLine) else line
        for line in lines
    ]
    write_tables(path, COMPOFA, header, lines)
    return path


def test_measured_rows_have_the_columns_and_predicted_ones_have_them_empty(measured: Path) -> None:
    table = read_table(measured)
    assert table.extra == COLUMNS
    for row in table.rows:
        p50 = row.extra[COLUMNS.index("p50_ms")]
        assert (p50 is None) == (row.source == "predicted")
        if p50 is not None and row.latency_ms is not None:
            assert p50 == pytest.approx(row.latency_ms, rel=0.2)


def test_the_meta_file_says_what_the_columns_mean(measured: Path) -> None:
    said = json.loads(meta_path(measured).read_text())["measures"]
    assert list(said) == list(COLUMNS)
    assert said["load_ms"]["lower_is_better"] is True
    assert read_meta(meta_path(measured)).measures["p50_ms"].meaning == P50_MS.meaning


def test_a_column_measured_before_is_no_column_of_ones_own(measured: Path, tmp_path: Path) -> None:
    table = read_table(measured)
    here = tmp_path / "phone.csv"
    with_note = replace(
        table, extra=(*table.extra, "price"),
        rows=tuple(replace(row, extra=(*row.extra, 1.0)) for row in table.rows),
    )  # fmt: skip
    write_table(here, with_note)
    meta_path(here).write_text(meta_path(measured).read_text())
    plain = replace(table, extra=(), rows=tuple(replace(row, extra=()) for row in table.rows))
    again = with_own_columns(plain, here)
    assert again.extra == ("price",)
    assert {row.extra for row in again.rows} == {(1.0,)}


def test_measured_rows_have_the_slowest_tenth_and_failed_ones_nothing(tmp_path: Path) -> None:
    path = profile_on_paper(tmp_path / "phone.csv", fit=6, predicted=False)
    header, lines = read_journal(journal_path(path))
    (failed,) = {row.cell for row in read_table(path).rows[:1]}
    kept: list[JournalLine] = [
        line for line in lines if not (isinstance(line, Timing) and line.cell == failed)
    ]
    kept.append(Failure(1, failed, "out of memory", True, "0" * 64, "2026-01-01"))
    write_tables(path, COMPOFA, header, kept)
    for row in read_table(path).rows:
        if row.cell == failed:
            assert (row.status, row.latency_ms, row.p90_ms) == ("failed", None, None)
        else:
            assert row.p90_ms == pytest.approx(row.latency_ms, rel=0.2)
            assert row.p90_ms is not None
