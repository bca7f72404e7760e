"""Reads CSV files that users provide, with line numbers, so that an error can name the line."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from compofa.common.errors import UserError, file_error, suggestion

LARGEST_FILE = 200_000_000
"""Characters. A larger file is refused; tables of this toolkit are far smaller."""

LONGEST_LINE = 1_000_000
"""Characters of one line."""

MOST_COLUMNS = 1000

LONGEST_TEXT = 300
"""Characters of one text value."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # fmt: skip
"""Characters with which a spreadsheet takes text for a formula (OWASP, CSV injection)."""

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""Separators other than commas that programs write, and how messages call them."""


class CsvLines:
    """The rows of a CSV file. They can be iterated over once, since the file may be a pipe.

    Args:
        path: the file.
        what: what messages call the file, as in "the table".
        columns: the columns to read; the values of each row are returned in this order.
        remarks: a list to which the lines above the header that start with ``#`` are appended,
            without that sign. If it is None, the file may have no such lines.
        optional: columns that the file may lack. Their values come after those of `columns`, and
            are empty if the file has no such column.
        own_columns: whether the file may have further columns. Their names must consist of letters,
            digits and underscores; their values come last, in the order of the file.

    Attributes:
        own: the names of the further columns.

    Raises:
        UserError: the file cannot be read, is empty, lacks a column or has an unknown one.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        columns: Sequence[str],
        *,
        remarks: list[str] | None = None,
        optional: Sequence[str] = (),
        own_columns: bool = False,
    ) -> None:
        self._path, self._what = path, what
        self._lines = _Lines(path, what)
        lines = iter(self._lines)
        self._skipped = 0
        first = next(lines, "")
        while remarks is not None and first.startswith("#"):
            remarks.append(first.removeprefix("#").strip())
            first, self._skipped = next(lines, ""), self._skipped + 1
        self._reader = csv.reader(itertools.chain([first], lines), strict=True)
        with self._explained():
            header = next(self._reader, [])
            if not any(map(str.strip, header)) and not self._has_rows():
                raise UserError(f"{what} is empty", path=path)
        self._check_separator(first, header, columns)
        known = [*columns, *optional]
        unknown = [name for name in header if name not in known]
        self.own = tuple(unknown) if own_columns else ()
        self._check_header(header, columns, [] if own_columns else unknown, known)
        # A column that the file lacks gets the place after the last, where `__iter__` puts "".
        places = {name: place for place, name in enumerate(header)}
        self._positions = [places.get(name, len(header)) for name in (*known, *self.own)]
        self._width = len(header)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Reads the rows one by one.

        Yields:
            The line where the row ends, counted from 1, and the row's values as text.

        Raises:
            UserError: the file is too large, is not UTF-8 CSV, or is cut short.
        """
        in_order = self._positions == list(range(self._width))
        with self._explained():
            for values in self._reader:
                if not values:
                    continue
                line = self._skipped + self._reader.line_num
                if len(values) != self._width:
                    message = f"{len(values)} values where the header has {self._width} columns"
                    raise UserError(message, path=self._path, line=line)
                if not in_order:
                    padded = [*values, ""]
                    values = [padded[i] for i in self._positions]
                yield line, values
        # A copy that broke off would otherwise pass for a smaller table.
        if not self._lines.last.endswith(("\n", "\r")):
            message = f"{self._what} is cut short: its last line has no line ending"
            raise UserError(message, path=self._path, line=self._skipped + self._reader.line_num)

    def _has_rows(self) -> bool:
        return any(any(map(str.strip, row)) for row in self._reader)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except csv.Error as error:
            line = self._skipped + max(1, self._reader.line_num)
            message = f"not valid CSV: {error}"
            raise UserError(message, path=self._path, line=line) from None

    def _check_separator(self, first: str, header: list[str], columns: Sequence[str]) -> None:
        """Refuses a file whose values are not separated by commas, and names its separator.

        Spreadsheets of many countries write semicolons.
        """
        line = self._skipped + 1
        note = re.fullmatch(r'"?sep=(.)"?[,;]*\s*', first, re.IGNORECASE)
        if note is not None:
            name = {",": "a comma", **SEPARATORS}.get(note[1], shown(note[1]))
            message = f"the first line is a note for Excel: its separator is {name}"
            hint = "remove that line" + ("" if note[1] == "," else ", and separate with commas")
            raise UserError(message, path=self._path, line=line, hint=hint)
        for separator, name in SEPARATORS.items():
            parts = [part.strip(' "\r\n') for part in first.split(separator)]
            if len(set(parts) & set(columns)) > len(set(header) & set(columns)):
                message = f"{self._what} has {name} between its values instead of commas"
                hint = "save it as CSV with commas, and with decimal points in its numbers"
                raise UserError(message, path=self._path, line=line, hint=hint)

    def _check_header(
        self, header: list[str], columns: Sequence[str], unknown: list[str], known: list[str]
    ) -> None:
        """Checks that all of `columns` are there, no unknown column is, and none occurs twice."""
        line = self._skipped + 1
        if len(header) > MOST_COLUMNS:
            message = f"{self._what} has {len(header):,} columns, more than {MOST_COLUMNS:,}"
            raise UserError(message, path=self._path, line=line)
        for name in columns:
            if name not in header:
                from difflib import get_close_matches

                others = [other[:60] for other in header if other not in known]
                close = get_close_matches(name, others, n=1, cutoff=0.5)
                hint = f"is it {shown(close[0])}?" if close else None
                message = f"{self._what} has no column {name!r}"
                raise UserError(message, path=self._path, line=line, hint=hint)
        odd = [name for name in self.own if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", name)]
        for name in (*unknown, *odd):
            hint = suggestion(name[:60], known)
            raise UserError(f"unknown column {shown(name)}", path=self._path, line=line, hint=hint)
        if len(header) > len(set(header)):
            twice = next(name for name in header if header.count(name) > 1)
            raise UserError(f"column {shown(twice)} is given twice", path=self._path, line=line)


def read_lines(
    path: Path,
    what: str,
    columns: Sequence[str],
    remarks: list[str] | None = None,
    optional: Sequence[str] = (),
) -> Iterator[tuple[int, list[str]]]:
    """Reads the rows of a CSV file; arguments, yields and errors are those of `CsvLines`."""
    return iter(CsvLines(path, what, columns, remarks=remarks, optional=optional))


class _Lines:
    """The lines of a text file with their endings, read one by one so that memory stays small.

    Attributes:
        last: the line that was read last.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.last = ""
        self._path, self._what = path, what

    def __iter__(self) -> Iterator[str]:
        path, what = self._path, self._what
        size = number = 0
        try:
            # Bytes that are not UTF-8 become surrogates, which are looked for line by line below.
            # A decoding error would not name the line, and a pipe cannot be read again to find it.
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                while line := file.readline(LONGEST_LINE + 1):
                    size, number = size + len(line), number + 1
                    if size > LARGEST_FILE:
                        limit = LARGEST_FILE // 1_000_000
                        raise UserError(f"{what} is larger than {limit} MB", path=path)
                    if not line.isascii() and re.search("[\udc80-\udcff]", line):
                        raise UserError(f"{what} is not UTF-8 text", path=path, line=number)
                    if len(line) > LONGEST_LINE:
                        message = f"the line has more than {LONGEST_LINE:,} characters"
                        raise UserError(message, path=path, line=number)
                    self.last = line
                    yield line
        except OSError as error:
            raise file_error(error, path, f"cannot read {what}") from None


def shown(text: str, limit: int = 60) -> str:
    """`text` in quotes and cut to `limit` characters, for a message."""
    return repr(text if len(text) <= limit else text[:limit] + "...")[: 3 * limit]


def escape_formula(text: str) -> str:
    """`text` with a quote before it if a spreadsheet would take it for a formula.

    Names in a CSV file may come from others, and people open such files in spreadsheets.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def parse_number(text: str, name: str) -> float:
    """Parses `text` as a finite number.

    Raises:
        ValueError: `text` is not a finite number; the message calls it `name`.
    """
    try:
        # float() would also accept "1_000" and blanks around a number.
        value = float(text) if "_" not in text and text == text.strip() else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {shown(text)}")
    return value


def parse_count(text: str, name: str, least: int = 0, most: int = 10**12) -> int:
    """Parses `text` as a whole number from `least` to `most`.

    Raises:
        ValueError: `text` is not such a number; the message calls it `name`.
    """
    if text.isascii() and text.isdigit() and len(text) <= 13 and least <= int(text) <= most:
        return int(text)
    wanted = f"a whole number from {least}" + ("" if most == 10**12 else f" to {most}")
    raise ValueError(f"{name} must be {wanted}, not {shown(text)}")


def check_text(text: str, name: str, empty: bool = False) -> None:
    """Checks that `text` is one printable line of reasonable length.

    Raises:
        ValueError: it is not, or it is empty and `empty` is False; the message calls it `name`.
    """
    # Large tables have many texts, and nearly all are as they should be.
    if text.isprintable() and len(text) <= LONGEST_TEXT and (text or empty):
        return
    if not text:
        raise ValueError(f"{name} is empty")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{name} has {len(text)} characters, more than {LONGEST_TEXT}")
    raise ValueError(f"{name} holds characters that do not print: {shown(text)}")
