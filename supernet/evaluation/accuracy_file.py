"""Accuracy tables: what `compofa-train evaluate` writes and `compofa-search --accuracy` reads.

CSV with one row for each subnet and resolution; accuracies are fractions of one, and every row has
an interval. Lines that start with ``#`` above the header say what was measured, on what and how:
rows are only ever added to a table whose lines say the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from compofa.common.errors import UserError, file_error, suggestion
from compofa.common.files import write_atomically

COLUMNS = ("space", "subnet", "resolution", "top1", "source")
"""What a table has at least."""

INTERVAL_COLUMNS = ("top1_low", "top1_high", "confidence")

CONFIDENCE = 0.95
"""Of the intervals that are written."""

LARGEST = 200_000_000
"""Bytes; a larger file is refused."""


@dataclass(frozen=True)
class AccuracyRow:
    """The accuracy of one subnet at one resolution.

    Attributes:
        subnet: its key.
        top1: a fraction of one.
        source: where the figure comes from, for people.
        low, high: an interval of `top1` with `CONFIDENCE`; None where it is not known.
    """

    space: str
    subnet: str
    resolution: int
    top1: float
    source: str
    low: float | None = None
    high: float | None = None


def wilson(correct: int, images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """An interval of the share that `correct` of `images` is a sample of.

    It has about the confidence it claims even where the share is close to 0 or 1 (Wilson, Probable
    inference, the law of succession, and statistical inference, JASA 1927).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, slack = correct / images, z * z / images
    middle = share + slack / 2
    reach = z * (share * (1 - share) / images + slack / 4 / images) ** 0.5
    low, high = (middle - reach) / (1 + slack), (middle + reach) / (1 + slack)
    # At the ends of the range, rounding would leave the share itself outside.
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def write_accuracy_table(path: Path, remarks: Sequence[str], rows: Iterable[AccuracyRow]) -> None:
    """Writes a table; an old one stays whole until the new one is.

    Args:
        path: the file.
        remarks: the lines above its header.
        rows: what it holds.

    Raises:
        UserError: it cannot be written.
    """
    text = io.StringIO()
    text.writelines(f"# {remark}\n" for remark in remarks)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *INTERVAL_COLUMNS])
    for row in rows:
        interval = ["", "", ""]
        if row.low is not None and row.high is not None:
            interval = [f"{row.low:.6f}", f"{row.high:.6f}", f"{CONFIDENCE:g}"]
        cell = [row.space, row.subnet, row.resolution, f"{row.top1:.6f}", row.source]
        writer.writerow([*cell, *interval])
    write_atomically(path, text.getvalue(), "the accuracy table")


def read_accuracy_table(path: Path) -> tuple[list[str], list[AccuracyRow]]:
    """The remarks and the rows of a table; columns may come in any order.

    Raises:
        UserError: with the file and the line, for anything that is not one.
    """
    lines = _read_text(path).splitlines()
    skipped = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    remarks = [line.removeprefix("#").strip() for line in lines[:skipped]]
    reader = csv.reader(lines[skipped:], strict=True)
    rows: list[AccuracyRow] = []
    try:
        header = next(reader, [])
        for name in COLUMNS:
            if name not in header:
                hint = suggestion(name, header) if header else None
                message = f"the accuracy table has no column {name!r}"
                raise UserError(message, path=path, line=skipped + 1, hint=hint)
        rows = [_row(header, values) for values in reader if values]
    except (ValueError, csv.Error) as error:
        line = skipped + max(reader.line_num, 1)
        raise UserError(f"not a row of an accuracy table: {error}", path=path, line=line) from None
    return remarks, rows


def _row(header: Sequence[str], cells: Sequence[str]) -> AccuracyRow:
    """One row; ValueError where there are too few cells, or a number is none."""
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} values where the header has {len(header)} columns")
    values = dict(zip(header, cells, strict=True))
    top1 = float(values["top1"])
    if not 0 <= top1 <= 1:
        raise ValueError(f"top1 is a fraction of one, so it cannot be {values['top1']}")
    low, high = (values.get(name, "") for name in INTERVAL_COLUMNS[:2])
    return AccuracyRow(
        values["space"], values["subnet"], int(values["resolution"]), top1, values["source"],
        float(low) if low else None, float(high) if high else None,
    )  # fmt: skip


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise file_error(error, path, "cannot read the accuracy table") from None
    except UnicodeDecodeError:
        raise UserError("the accuracy table is not UTF-8 text", path=path) from None
    if len(raw) > LARGEST:
        raise UserError(f"the accuracy table is larger than {LARGEST // 10**6} MB", path=path)
    if not text.endswith("\n"):
        raise UserError("the accuracy table is cut short: its last line has no end", path=path)
    return text
