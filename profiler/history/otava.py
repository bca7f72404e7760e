"""A history for Apache Otava (https://otava.apache.org), which looks for change points as well.

Otava reads a series from a CSV file with a column of times, columns of attributes and one column
for each metric, every value a number, and a YAML file that names them. A metric's direction is -1
where less is better. Version 0.8 was seen to read what is written here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from compofa.common.errors import file_error
from compofa.common.files import write_atomically
from compofa.profiler.comparison.wording import cell_name
from compofa.profiler.history.trend import Trend

TIME, COMMIT = "time", "commit"
CONFIGURATION = "otava.yaml"


def write_otava(trends: Sequence[Trend], folder: Path) -> list[Path]:
    """Writes the configuration, and a CSV file for each set-up; returns their paths.

    A cell is a metric if every profile has measured it: Otava has no word for what is not known.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder, "cannot make the folder") from None
    tests: dict[str, object] = {}
    written = []
    for number, trend in enumerate(trends, start=1):
        name = re.sub(r"[^A-Za-z0-9]+", "-", trend.name).strip("-") or "device"
        name = name if name not in tests else f"{name}-{number}"
        metrics = _metrics(trend)
        path = folder / f"{name}.csv"
        write_atomically(path, _series(trend, metrics), "the series")
        written.append(path)
        tests[name] = {
            "type": "csv",
            "file": str(path),
            "time_column": TIME,
            "attributes": [COMMIT],
            "metrics": {
                metric: {"column": metric, "scale": 1.0, "direction": -1} for metric in metrics
            },
        }
    path = folder / CONFIGURATION
    write_atomically(path, yaml.safe_dump({"tests": tests}, sort_keys=False), "the configuration")
    return [path, *written]


def _metrics(trend: Trend) -> dict[str, Sequence[float]]:
    """Milliseconds of each metric at each entry, by name."""
    found: dict[str, Sequence[float]] = {
        _metric(f"{cell.space} {cell_name(cell)}"): values.tolist()
        for cell, values in trend.latency_ms.items()
        if np.isfinite(values).all()
    }
    if np.isfinite(trend.reference_ms).all():
        found["reference_model_ms"] = trend.reference_ms.tolist()
    return found


def _metric(name: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')}_ms"


def _series(trend: Trend, metrics: Mapping[str, Sequence[float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((TIME, COMMIT, *metrics))
    for position, entry in enumerate(trend.entries):
        values = (each[position] for each in metrics.values())
        writer.writerow((entry.at.isoformat(), entry.commit, *values))
    return text.getvalue()
