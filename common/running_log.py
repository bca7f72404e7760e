"""How much a command reports beside its result, on stderr and in the file of `--log`.

A *note* is for the user: a decision that the command made, or a problem despite which it goes on. A
*detail* helps to find a fault: connections, uploads, processes on devices. `--quiet` leaves out the
notes, `--verbose` shows the details too, and `--log` writes both to a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from compofa.common.errors import file_error

if TYPE_CHECKING:
    from logging import FileHandler


@dataclass
class Loudness:
    """Which messages are shown and where they are logged.

    Attributes:
        quiet: whether notes are left out.
        verbose: whether details are shown.
        file: where notes, details and errors are logged with their times, if anywhere.
    """

    quiet: bool = False
    verbose: bool = False
    file: FileHandler | None = None


_now = Loudness()


def loudness() -> Loudness:
    """The settings of the command that runs in this process; its options change them."""
    return _now


@contextmanager
def one_command() -> Iterator[None]:
    """Within it a command has settings of its own; its log file is closed at the end."""
    global _now  # A process runs one command at a time.
    before, _now = _now, Loudness()
    try:
        yield
    finally:
        if _now.file is not None:
            _now.file.close()
        _now = before


def log_to(path: Path) -> None:
    """Appends all notes, details and errors from now on to the file `path`.

    Raises:
        UserError: the file cannot be written.
    """
    import logging
    import time

    try:
        file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise file_error(error, path, "cannot write the log") from None
    # Times are in UTC, as in journals and tables.
    lines = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    lines.converter = time.gmtime
    file.setFormatter(lines)
    _now.file = file


def record(level: Literal["detail", "note", "error"], message: str) -> None:
    """Writes `message` to the log file, if there is one."""
    if _now.file is None:
        return
    import logging

    number = {"detail": logging.DEBUG, "note": logging.INFO, "error": logging.ERROR}[level]
    line = logging.LogRecord("compofa", number, "", 0, message, None, None)
    line.levelname = level
    _now.file.handle(line)
