"""A comparison for benchmark trackers: github-action-benchmark and Bencher."""

from __future__ import annotations

import json
from collections.abc import Iterator

from compofa.profiler.comparison.changes import CellChange
from compofa.profiler.comparison.report_format import ReportFormat
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import cell_name
from compofa.profiler.results.table import Row

LONGEST_NAME = 1024
"""Characters of a benchmark's name that Bencher takes."""


def render_benchmark_action(report: Report) -> str:
    """`customSmallerIsBetter` of github-action-benchmark: a list of name, unit, value and range."""
    entries = [
        {
            "name": _benchmark(compared, each),
            "unit": "ms",
            "value": each.new_ms,
            "range": _range(row),
            "extra": f"base {each.base_ms:.3f} ms\nverdict {each.ratio.verdict.value}",
        }
        for compared, each, row in _measured(report)
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def render_bencher(report: Report) -> str:
    """Bencher Metric Format: benchmark -> measure -> value and its bounds.

    The measure is Bencher's own `latency`, which is in nanoseconds.
    """
    benchmarks = {
        _benchmark(compared, each)[:LONGEST_NAME]: {"latency": _metric(each, row)}
        for compared, each, row in _measured(report)
    }
    return json.dumps(benchmarks, indent=1, ensure_ascii=False) + "\n"


def _measured(report: Report) -> Iterator[tuple[Compared, CellChange, Row]]:
    """Every cell with its row in the new table."""
    for compared in report.devices:
        rows = compared.changes.new.measured()
        for each in compared.changes.cells:
            # Of a model that is the same file on both sides nothing was measured.
            if each.cell in rows:
                yield compared, each, rows[each.cell]


def _benchmark(compared: Compared, change: CellChange) -> str:
    return f"{compared.device}: {change.cell.space} {cell_name(change.cell)}"


def _metric(change: CellChange, row: Row) -> dict[str, float]:
    metric = {"value": 1e6 * change.new_ms}
    if row.ci_low_ms is not None and row.ci_high_ms is not None:
        metric |= {"lower_value": 1e6 * row.ci_low_ms, "upper_value": 1e6 * row.ci_high_ms}
    return metric


def _range(row: Row) -> str:
    """Half of the interval's width."""
    if row.ci_low_ms is None or row.ci_high_ms is None:
        return "not known"
    return f"± {(row.ci_high_ms - row.ci_low_ms) / 2:.3f}"


BENCHMARK_ACTION = ReportFormat(render_benchmark_action, (".json",))
BENCHER = ReportFormat(render_bencher, (".json",))
