"""A comparison for other programs: JSON, CSV, and the formats of two benchmark trackers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compofa.profiler.comparison.changes import CellChange, Changes
from compofa.profiler.comparison.words import cell_name, headline
from compofa.profiler.statistics.compare import Ratio
from compofa.profiler.table import Row

CSV_COLUMNS = (
    "space", "subnet", "resolution", "batch_size", "base_ms", "new_ms", "ratio", "ratio_low",
    "ratio_high", "verdict",
)  # fmt: skip


def as_json(changes: Changes, front: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything, as one object; docs/ci.md describes it."""
    return {
        "verdict": changes.verdict.value,
        "headline": headline(changes),
        "base": str(changes.base.path),
        "new": str(changes.new.path),
        "min_effect": changes.min_effect,
        "confidence": changes.confidence,
        "overall": _ratio(changes.overall),
        "device_ratio": changes.device,
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
        "front": front,
    }


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "value": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "verdict": ratio.verdict.value,
    }


def write_csv(changes: Changes) -> str:
    """One row per cell. Text that a spreadsheet would take for a formula gets a quote before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for each in changes.cells:
        cell, ratio = each.cell, each.ratio
        writer.writerow(
            [
                _harmless(cell.space), _harmless(cell.subnet), cell.resolution, cell.batch_size,
                each.base_ms, each.new_ms, ratio.value, ratio.low, ratio.high, ratio.verdict.value,
            ]
        )  # fmt: skip
    return text.getvalue()


def _harmless(text: str) -> str:
    """See OWASP, CSV injection: cells that begin with = + - @ are run as formulas."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_benchmark_action(changes: Changes) -> str:
    """`customSmallerIsBetter` of github-action-benchmark: a list of name, unit, value and range."""
    rows = changes.new.measured()
    entries = [
        {
            "name": f"{changes.new.table.setup.device}: {cell_name(each.cell)}",
            "unit": "ms",
            "value": each.new_ms,
            "range": f"± {_reach(rows[each.cell]):.3f}",
            "extra": f"base {each.base_ms:.3f} ms\nverdict {each.ratio.verdict.value}",
        }
        for each in changes.cells
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def write_bencher(changes: Changes) -> str:
    """Bencher Metric Format: benchmark -> measure -> value and its bounds."""
    rows = changes.new.measured()
    device = changes.new.table.setup.device
    found = {
        f"{device}: {cell_name(each.cell)}": {"latency_ms": _metric(each, rows[each.cell])}
        for each in changes.cells
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _metric(change: CellChange, row: Row) -> dict[str, float]:
    found = {"value": change.new_ms}
    if row.ci_low_ms is not None and row.ci_high_ms is not None:
        found |= {"lower_value": row.ci_low_ms, "upper_value": row.ci_high_ms}
    return found


def _reach(row: Row) -> float:
    """Half of the interval's width; 0 without one."""
    if row.ci_low_ms is None or row.ci_high_ms is None:
        return 0.0
    return (row.ci_high_ms - row.ci_low_ms) / 2
