"""A comparison for other programs: JSON, CSV, and the formats of two benchmark trackers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from compofa.profiler.comparison.changes import CellChange
from compofa.profiler.comparison.sentences import cell_name, device_headline, headline
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.results.table import Row
from compofa.profiler.statistics.compare import Ratio

CSV_COLUMNS = (
    "device", "space", "subnet", "resolution", "batch_size", "base_ms", "new_ms", "ratio",
    "ratio_low", "ratio_high", "verdict",
)  # fmt: skip

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # fmt: skip
"""What a spreadsheet takes for the start of a formula (OWASP, CSV injection)."""

LONGEST_NAME = 1024
"""Characters of a benchmark's name that Bencher takes."""


def as_json(report: Report) -> dict[str, Any]:
    """Everything, as one object; docs/ci.md describes it."""
    return {
        "verdict": report.verdict.value,
        "headline": headline(report),
        "devices": [_device(each) for each in report.devices],
        "only_base": list(report.only_base),
        "only_new": list(report.only_new),
    }


def _device(compared: Compared) -> dict[str, Any]:
    changes, front = compared.changes, compared.front
    return {
        "device": compared.device,
        "verdict": compared.verdict.value,
        "headline": device_headline(compared),
        "base": str(changes.base.path),
        "new": str(changes.new.path),
        "min_effect": changes.min_effect,
        "confidence": changes.confidence,
        "overall": _ratio(changes.overall),
        "device_ratio": None if changes.device is None else changes.device.reference_ratio,
        "device_slope": None if changes.device is None else changes.device.slope,
        "cells": [
            {
                **asdict(each.cell),
                "base_ms": each.base_ms,
                "new_ms": each.new_ms,
                "ratio": _ratio(each.ratio),
            }
            for each in changes.cells
        ],
        "broken": [asdict(cell) for cell in changes.broken],
        "missing": [asdict(cell) for cell in changes.missing],
        "added": [asdict(cell) for cell in changes.added],
        "differences": {name: list(pair) for name, pair in changes.differences.items()},
        "confirmed": None if changes.confirmation is None else asdict(changes.confirmation),
        "front": None if front is None else {"limits": [asdict(each) for each in front.limits]},
    }


def _ratio(ratio: Ratio) -> dict[str, Any]:
    """JSON has no infinity: ends that are not known are null."""
    known = math.isfinite(ratio.high)
    return {
        "value": ratio.value,
        "low": ratio.low if known else None,
        "high": ratio.high if known else None,
        "verdict": ratio.verdict.value,
    }


def write_csv(report: Report) -> str:
    """One row per cell. Text that a spreadsheet would take for a formula gets a quote before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for compared, each in _cells(report):
        cell, ratio = each.cell, _ratio(each.ratio)
        names = map(_harmless, (compared.device, cell.space, cell.subnet))
        writer.writerow(
            [
                *names, cell.resolution, cell.batch_size, each.base_ms, each.new_ms,
                ratio["value"], ratio["low"], ratio["high"], ratio["verdict"],
            ]
        )  # fmt: skip
    return text.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def write_benchmark_action(report: Report) -> str:
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


def write_bencher(report: Report) -> str:
    """Bencher Metric Format: benchmark -> measure -> value and its bounds.

    The measure is Bencher's own `latency`, which is in nanoseconds.
    """
    found = {
        _benchmark(compared, each)[:LONGEST_NAME]: {"latency": _metric(each, row)}
        for compared, each, row in _measured(report)
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _cells(report: Report) -> Iterator[tuple[Compared, CellChange]]:
    for compared in report.devices:
        for each in compared.changes.cells:
            yield compared, each


def _measured(report: Report) -> Iterator[tuple[Compared, CellChange, Row]]:
    """Every cell with its row in the new table."""
    for compared in report.devices:
        rows = compared.changes.new.measured()
        for each in compared.changes.cells:
            yield compared, each, rows[each.cell]


def _benchmark(compared: Compared, change: CellChange) -> str:
    return f"{compared.device}: {change.cell.space} {cell_name(change.cell)}"


def _metric(change: CellChange, row: Row) -> dict[str, float]:
    found = {"value": 1e6 * change.new_ms}
    if row.ci_low_ms is not None and row.ci_high_ms is not None:
        found |= {"lower_value": 1e6 * row.ci_low_ms, "upper_value": 1e6 * row.ci_high_ms}
    return found


def _range(row: Row) -> str:
    """Half of the interval's width."""
    if row.ci_low_ms is None or row.ci_high_ms is None:
        return "not known"
    return f"± {(row.ci_high_ms - row.ci_low_ms) / 2:.3f}"
