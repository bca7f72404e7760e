"""The error families of the toolkit, one exit code each.

    CompofaError
    ├── UserError       2    the input is wrong: a file, an option, a key
    │   └── MissingExtra     a package that this set-up needs is not installed
    ├── DeviceError     4    the device, or the way to it, failed
    └── OutOfTime       124  a deadline that the user set has passed

Everything else that reaches the top of a command is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the commands return to the shell."""

    DONE = 0
    NO = 1
    USER = 2
    PARTIAL = 3
    DEVICE = 4
    OUT_OF_TIME = 124
    INTERRUPTED = 130


class CompofaError(Exception):
    """An error with a place and a way out.

    Attributes:
        message: what happened.
        path: the file it happened in, if any.
        line: the line in that file, counted from 1, if known.
        hint: what to do about it, if there is something to do.
    """

    exit_code: ExitCode = ExitCode.USER

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.path = None if path is None else Path(path)
        self.line = line
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        place = "" if self.path is None else f"{self.path}: "
        if self.path is not None and self.line is not None:
            place = f"{self.path}:{self.line}: "
        return f"{place}{self.message}" + (f" ({self.hint})" if self.hint else "")


class UserError(CompofaError):
    """The user's mistake: exit code 2."""


class MissingExtra(UserError):
    """A package that this command needs is not installed; names what to install."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed", hint=f"pip install 'compofa[{extra}]' brings it"
        )


def require_package(package: str, extra: str, *, module: str | None = None) -> None:
    """Says what to install where a package is missing, without importing it.

    Args:
        package: as people install it.
        extra: of this package's, that brings it.
        module: as it is imported, where that differs.

    Raises:
        MissingExtra: it is not installed.
    """
    from importlib.util import find_spec

    try:
        spec = find_spec(module or package)
    except ModuleNotFoundError:
        # Where a package that should hold the module is itself missing.
        spec = None
    if spec is None:
        raise MissingExtra(package, extra)


class DeviceError(CompofaError):
    """The device's fault, or that of the way to it: exit code 4."""

    exit_code = ExitCode.DEVICE


class OutOfTime(CompofaError):
    """A deadline set by the user has passed: exit code 124."""

    exit_code = ExitCode.OUT_OF_TIME


def file_error(error: OSError, path: Path | str, doing: str) -> UserError:
    """`error` in plain words: `doing` says what was tried, as in "cannot read the table"."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(f"{doing}: {reason[:1].lower()}{reason[1:]}", path=path)


def suggestion(word: str, known: list[str]) -> str | None:
    """The known word that `word` was probably meant to be, as a hint."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
