"""Tables that a training appends to, and shortens when it continues from an earlier state.

The first two columns are the phase, counted from 1, and the number of its steps that were done.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from compofa.common.errors import UserError, file_error
from compofa.common.files import write_atomically

RowValue = str | int | float


class RowFile:
    """A CSV file to which rows are appended."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Opens the file, or writes its header if it does not exist.

        Raises:
            UserError: the file cannot be written.
        """
        self.path = path
        self._header = _line(("phase", "step", *columns))
        if not path.exists():
            write_atomically(path, self._header, "the table")

    def cut(self, phase: int, step: int) -> None:
        """Removes all rows after that step, and a last line that is not complete.

        Raises:
            UserError: the file cannot be read or written, has other columns, or a row is damaged.
        """
        try:
            lines = self.path.read_text().splitlines(keepends=True)
        except (OSError, UnicodeDecodeError) as error:
            reason = error if isinstance(error, OSError) else OSError("it is not text")
            raise file_error(reason, self.path, "cannot continue the table") from None
        if not lines or lines[0] != self._header:
            raise UserError("it is not a table of this training", path=self.path, line=1)
        kept = []
        for number, line in enumerate(lines[1:], start=2):
            # The process was killed while it wrote this line, which is therefore the last one.
            if not line.endswith("\n"):
                break
            place = _place(line)
            if place is None:
                raise UserError("this row is damaged", path=self.path, line=number)
            if place <= (phase, step):
                kept.append(line)
        write_atomically(self.path, "".join([lines[0], *kept]), "the table")

    def add(self, rows: Sequence[Sequence[RowValue]]) -> None:
        """Appends rows, and returns once they are on disk.

        Raises:
            UserError: the file cannot be written.
        """
        try:
            with self.path.open("a") as file:
                file.write("".join(map(_line, rows)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise file_error(error, self.path, "cannot write the table") from None


def _place(line: str) -> tuple[int, int] | None:
    """The phase and the step of a row; None where it names none."""
    read = re.match(r"([0-9]{1,15}),([0-9]{1,15}),", line)
    return None if read is None else (int(read[1]), int(read[2]))


def _line(cells: Sequence[RowValue]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
