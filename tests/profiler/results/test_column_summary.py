"""What is said of measured columns on the terminal, as JSON and on pages."""

from __future__ import annotations

from typing import Literal

from compofa.profiler.report.facts import column_facts
from compofa.profiler.results.columns.column_summary import described_columns, summarise_columns
from compofa.profiler.results.meta import MeasuredColumn, Meta
from compofa.profiler.results.table import Cell, Row, SetUp, Table

SETUP = SetUp("here", "onnxruntime", "1.2", "cpu", 1, "float32")
NAMES = ("peak_memory_mb", "peak_memory_ci_low_mb", "p99_ms", "mine")


def row(subnet: str, source: Literal["measured", "predicted"], *extra: float | None) -> Row:
    cell = Cell("compofa", subnet, 160, 1)
    return Row(cell, 1.0, 1.0, 1.0, 0.95, 1.0, source, "ok", 5, 50, "", "", extra)


TABLE = Table(
    SETUP,
    (
        row("d22222", "measured", 40.0, 39.0, None, 1.0),
        row("d33333", "measured", 60.0, 59.0, None, 1.0),
        row("d44444", "measured", 90.0, 89.0, None, 1.0),
        row("d22223", "predicted", 41.0, None, None, 1.0),
    ),
    NAMES,
)
COLUMN = MeasuredColumn(meaning="", held_out_percent=1.5, predicted=True)
MEASURES = {
    "peak_memory_mb": COLUMN,
    "peak_memory_ci_low_mb": MeasuredColumn(meaning=""),
    "p99_ms": MeasuredColumn(meaning=""),
}


def test_only_measured_cells_count_and_only_measured_columns() -> None:
    summaries = summarise_columns(TABLE, MEASURES)
    assert list(summaries) == list(NAMES[:3])
    memory = summaries["peak_memory_mb"]
    assert (memory.cells, memory.min, memory.median, memory.max) == (3, 40.0, 60.0, 90.0)
    assert summaries["p99_ms"].median is None


def test_ends_of_intervals_are_not_listed() -> None:
    told = described_columns(TABLE, MEASURES)
    assert told == [
        ("peak_memory_mb", "60 (from 40 to 90), predicted within 1.5 % on held-out cells"),
        ("p99_ms", "not known of any cell"),
    ]
    assert column_facts(TABLE, Meta(setup=SETUP, measures=MEASURES)).rows == tuple(told)
