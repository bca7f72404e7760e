"""A comparison for other programs: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from compofa.common.csv_lines import escape_formula
from compofa.profiler.comparison.changes import CellChange
from compofa.profiler.comparison.report_format import ReportFormat
from compofa.profiler.comparison.sentences import device_headline, headline
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.statistics.compare import Ratio

CSV_COLUMNS = (
    "device", "space", "subnet", "resolution", "batch_size", "base_ms", "new_ms", "ratio",
    "ratio_low", "ratio_high", "verdict",
)  # fmt: skip


def comparison_json(report: Report) -> dict[str, Any]:
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
        "side_by_side": None if changes.side_by_side is None else asdict(changes.side_by_side),
        "gates": [{**asdict(each), "verdict": each.verdict.value} for each in compared.gates],
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


def render_json(report: Report) -> str:
    """`comparison_json` on one line."""
    return json.dumps(comparison_json(report), allow_nan=False) + "\n"


def render_csv(report: Report) -> str:
    """One row per cell. Text that a spreadsheet would take for a formula gets a quote before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for compared, each in _cells(report):
        cell, ratio = each.cell, _ratio(each.ratio)
        names = map(escape_formula, (compared.device, cell.space, cell.subnet))
        writer.writerow(
            [
                *names, cell.resolution, cell.batch_size, each.base_ms, each.new_ms,
                ratio["value"], ratio["low"], ratio["high"], ratio["verdict"],
            ]
        )  # fmt: skip
    return text.getvalue()


def _cells(report: Report) -> Iterator[tuple[Compared, CellChange]]:
    for compared in report.devices:
        for each in compared.changes.cells:
            yield compared, each


JSON = ReportFormat(render_json, (".json",))
CSV = ReportFormat(render_csv, (".csv",))
