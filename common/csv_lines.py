"""CSV files from outside, line by line, so that an error can say where it is."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from compofa.common.errors import UserError, file_error, suggestion

LARGEST_FILE = 200_000_000
"""Bytes; a larger file is refused: no table of ours comes near."""

LONGEST_HEADER = 65536
"""Characters of the line that names the columns."""

LONGEST_TEXT = 300
"""Characters of one text value."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # fmt: skip
"""What a spreadsheet takes for the start of a formula (OWASP, CSV injection)."""


def read_lines(
    path: Path,
    what: str,
    columns: Sequence[str],
    remarks: list[str] | None = None,
    optional: Sequence[str] = (),
) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that has `columns`, and perhaps `optional` ones, in any order.

    Args:
        path: the file.
        what: names it in messages, as in "the table".
        columns: the columns to read; each row comes in this order.
        remarks: takes the lines above the header that start with ``#``, without that sign; where
            it is None, there may be none.
        optional: columns that may be left out; their values come after the others, empty where
            the file has no such column.

    Yields:
        The row's line, counted from 1, and its values as text.

    Raises:
        UserError: it cannot be read, is too large, is not UTF-8 CSV, is cut short, is empty, or
            has other columns.
    """
    lines, skipped = _Lines(path, what), 0
    first = next(lines, "")
    while remarks is not None and first.startswith("#"):
        remarks.append(first.removeprefix("#").strip())
        first, skipped = next(lines, ""), skipped + 1
    reader = csv.reader(itertools.chain([first], lines), strict=True)
    try:
        header = next(reader, [])
        if not any(map(str.strip, header)) and not any(any(map(str.strip, row)) for row in reader):
            raise UserError(f"{what} is empty", path=path)
        present = [*columns, *(name for name in optional if name in header)]
        places = dict(
            zip(present, _positions(header, present, path, skipped + 1, what), strict=True)
        )
        # Where a column is left out, its place is one beyond the last.
        positions = [places.get(name, len(header)) for name in (*columns, *optional)]
        in_order = positions == list(range(len(header)))
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                message = f"{len(values)} values where the header has {len(header)} columns"
                raise UserError(message, path=path, line=skipped + reader.line_num)
            row = values
            if not in_order:
                padded = [*values, ""]
                row = [padded[i] for i in positions]
            yield skipped + reader.line_num, row
    except csv.Error as error:
        line = skipped + max(1, reader.line_num)
        raise UserError(f"not valid CSV: {error}", path=path, line=line) from None
    if not lines.last.endswith(("\n", "\r")):
        message = f"{what} is cut short: its last line has no end"
        raise UserError(message, path=path, line=skipped + reader.line_num)


def other_columns(path: Path, what: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a CSV file has beside `columns`, in its order.

    Raises:
        UserError: it cannot be read, or such a column is not named like one of a measure: small
            letters, digits and underscores.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            first = file.readline(LONGEST_HEADER)
    except OSError as error:
        raise file_error(error, path, f"cannot read {what}") from None
    header = next(csv.reader([first]), [])
    others = tuple(name for name in header if name not in columns)
    # A missing column is reported by `read_lines`, which knows better what it should be called.
    if any(name not in header for name in columns):
        return ()
    for name in others:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            hint = suggestion(name, list(columns))
            raise UserError(f"unknown column {shown(name)}", path=path, line=1, hint=hint)
    return others


class _Lines:
    """The lines of a text file with their ends, one after another; a large file stays on the disk.

    Attributes:
        last: the line that was read last.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.last = ""
        self._lines = _read(path, what)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self.last = next(self._lines)
        return self.last


def _read(path: Path, what: str) -> Iterator[str]:
    size = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line in file:
                size += len(line)
                if size > LARGEST_FILE:
                    limit = LARGEST_FILE // 1_000_000
                    raise UserError(f"{what} is larger than {limit} MB", path=path)
                yield line
    except OSError as error:
        raise file_error(error, path, f"cannot read {what}") from None
    except UnicodeDecodeError:
        raise UserError(f"{what} is not UTF-8 text", path=path, line=_undecodable(path)) from None


def _undecodable(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _positions(
    header: list[str], columns: Sequence[str], path: Path, line: int, what: str
) -> list[int]:
    """Where each of `columns` stands in `header`."""
    unknown = [name for name in header if name not in columns]
    for name in columns:
        if name not in header:
            hint = suggestion(name, unknown) if unknown else None
            hint = hint.replace("did you mean", "is it") if hint and "mean" in hint else None
            raise UserError(f"{what} has no column {name!r}", path=path, line=line, hint=hint)
    if unknown:
        hint = suggestion(unknown[0], list(columns))
        raise UserError(f"unknown column {shown(unknown[0])}", path=path, line=line, hint=hint)
    if len(header) > len(columns):
        twice = next(name for name in header if header.count(name) > 1)
        raise UserError(f"column {twice!r} is given twice", path=path, line=line)
    return [header.index(name) for name in columns]


def shown(text: str, limit: int = 60) -> str:
    """`text` in quotes, shortened, for a message."""
    return repr(text if len(text) <= limit else text[:limit] + "...")


def escape_formula(text: str) -> str:
    """`text` for a CSV file that people open in a spreadsheet: no formula, whoever wrote it.

    A quote stands before text that a spreadsheet would take for one.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def parse_number(text: str, name: str) -> float:
    """The finite number that `text` is.

    Raises:
        ValueError: it is not one; the message says so of `name`.
    """
    try:
        # float() would also take "1_000" and blanks around a number.
        value = float(text) if "_" not in text and text == text.strip() else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {shown(text)}")
    return value


def parse_count(text: str, name: str, least: int = 0, most: int = 10**12) -> int:
    """The whole number that `text` is.

    Raises:
        ValueError: it is not one from `least` to `most`; the message says so of `name`.
    """
    if text.isascii() and text.isdigit() and len(text) <= 13 and least <= int(text) <= most:
        return int(text)
    wanted = f"a whole number from {least}" + ("" if most == 10**12 else f" to {most}")
    raise ValueError(f"{name} must be {wanted}, not {shown(text)}")


def check_text(text: str, name: str, empty: bool = False) -> None:
    """Checks that `text` is one printable line of reasonable length.

    Raises:
        ValueError: it is not, or it is empty where it must not be.
    """
    if not text and not empty:
        raise ValueError(f"{name} is empty")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{name} has {len(text)} characters, more than {LONGEST_TEXT}")
    if not text.isprintable():
        raise ValueError(f"{name} holds characters that do not print: {shown(text)}")
