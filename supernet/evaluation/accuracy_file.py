"""Accuracy tables, which `compofa-train evaluate` writes and `compofa-search --accuracy` reads.

A table is a CSV file with one row for each subnet and resolution; accuracies are fractions of one.
Lines above the header that start with ``#`` say what was measured and how. Rows are only added to
a table if these lines are the same. This is the only reader and writer of the format.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compofa.common.csv_lines import check_text, parse_count, parse_number, read_lines, shown
from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.common.normal_interval import check_confidence, reach

ACCURACY_COLUMNS = ("space", "subnet", "resolution", "top1", "source")
"""The columns that a table must have; `top1` is a fraction of one."""

INTERVAL_COLUMNS = ("top1_low", "top1_high", "confidence")
"""Optional columns: an interval of `top1`, and its confidence (`CONFIDENCE` if not given)."""

CONFIDENCE = 0.95
"""The confidence of the intervals that are written."""

LARGEST_RESOLUTION = 1_000_000
"""A larger resolution can only come from a damaged file, and is refused."""


@dataclass(frozen=True)
class AccuracyRow:
    """The accuracy of one subnet at one resolution.

    Attributes:
        space: the name of the space.
        subnet: the key of the subnet.
        resolution: the side of the square input in pixels.
        top1: the accuracy as a fraction of one.
        source: where the figure comes from, as text for people.
        low, high: the ends of an interval around `top1`; None if it is not known.
        confidence: the confidence of the interval.
    """

    space: str
    subnet: str
    resolution: int
    top1: float
    source: str
    low: float | None = None
    high: float | None = None
    confidence: float = CONFIDENCE


def wilson(correct: int, images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson interval of an accuracy of which `correct` of `images` is a sample.

    Its coverage is close to `confidence` even if the accuracy is close to 0 or 1 (Wilson, Probable
    inference, the law of succession, and statistical inference, JASA 1927).

    Returns:
        The two ends, as fractions of one.
    """
    z = reach(confidence)
    share, slack = correct / images, z * z / images
    middle = share + slack / 2
    half_width = z * (share * (1 - share) / images + slack / 4 / images) ** 0.5
    low, high = (middle - half_width) / (1 + slack), (middle + half_width) / (1 + slack)
    # For a share of 0 or 1, rounding could leave it just outside its interval.
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def write_accuracy_table(path: Path, remarks: Sequence[str], rows: Iterable[AccuracyRow]) -> None:
    """Writes a table. An old file is replaced only once the new one is complete.

    Args:
        path: the file.
        remarks: the lines above the header, without ``#``.
        rows: the rows.

    Raises:
        UserError: the file cannot be written.
    """
    text = io.StringIO()
    text.writelines(f"# {remark}\n" for remark in remarks)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ACCURACY_COLUMNS, *INTERVAL_COLUMNS])
    for row in rows:
        interval = ["", "", ""]
        if row.low is not None and row.high is not None:
            interval = [f"{row.low:.6f}", f"{row.high:.6f}", f"{row.confidence:g}"]
        cell = [row.space, row.subnet, row.resolution, f"{row.top1:.6f}", row.source]
        writer.writerow([*cell, *interval])
    write_atomically(path, text.getvalue(), "the accuracy table")


def read_accuracy_table(path: Path, metric: str = "top1") -> tuple[list[str], list[AccuracyRow]]:
    """Reads the remarks and the rows of a table, which has at least one row.

    The columns may be in any order, and those of `INTERVAL_COLUMNS` may be missing.

    Args:
        path: the file.
        metric: the column with the accuracies: top1, which is a fraction of one, or another one,
            which may hold any number and then stands in `AccuracyRow.top1`.

    Raises:
        UserError: the file is not such a table, or two rows are of the same subnet and resolution.
            The message names the file and the line.
    """
    remarks: list[str] = []
    rows: list[AccuracyRow] = []
    seen: set[tuple[str, str, int]] = set()
    what = "the accuracy table"
    wanted = tuple(metric if name == "top1" else name for name in ACCURACY_COLUMNS)
    ends = tuple(name.replace("top1", metric) for name in INTERVAL_COLUMNS)
    for line, values in read_lines(path, what, wanted, remarks, ends):
        try:
            row = _row(values, metric)
            cell = (row.space, row.subnet, row.resolution)
            if cell in seen:
                place = f"{shown(row.space)[1:-1]} {shown(row.subnet)[1:-1]} at {row.resolution}"
                raise ValueError(f"the accuracy of {place} is given twice")
        except ValueError as error:
            raise UserError(str(error), path=path, line=line) from None
        seen.add(cell)
        rows.append(row)
    if not rows:
        raise UserError("the accuracy table has no rows", path=path)
    return remarks, rows


def _row(values: Sequence[str], metric: str) -> AccuracyRow:
    """Parses a row's values, in the order of the columns; raises ValueError if one is wrong."""
    space, subnet, resolution, top1, source, low, high, confidence = values
    check_text(space, "space")
    check_text(subnet, "subnet")
    check_text(source, "source")
    pixels = parse_count(resolution, "resolution", 0, LARGEST_RESOLUTION)
    number = _fraction if metric == "top1" else parse_number
    accuracy = number(top1, metric)
    if not low and not high:
        return AccuracyRow(space, subnet, pixels, accuracy, source)
    ends = number(low, f"{metric}_low"), number(high, f"{metric}_high")
    sure = check_confidence(parse_number(confidence, "confidence")) if confidence else CONFIDENCE
    if not ends[0] <= accuracy <= ends[1]:
        raise ValueError(
            f"the interval {ends[0]} to {ends[1]} does not contain {metric} {accuracy}"
        )
    return AccuracyRow(space, subnet, pixels, accuracy, source, *ends, sure)


def _fraction(text: str, name: str) -> float:
    value = parse_number(text, name)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a fraction of one, so it cannot be {value}")
    return value
