"""The error families of the toolkit, each with its exit code.

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
    """An error that can say where it occurred and what to do about it.

    Attributes:
        message: what happened.
        path: the file in which it happened, if any.
        line: the line in that file, counted from 1, if known.
        hint: what the user can do, if there is something to do.
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
    """A package that the command needs is not installed; the message says how to install it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed", hint=f"install it with: pip install 'compofa[{extra}]'"
        )


def require_package(package: str, extra: str, *, module: str | None = None) -> None:
    """Checks that a package is installed, without importing it.

    Args:
        package: the name under which it is installed.
        extra: the extra of `compofa` that installs it.
        module: the name under which it is imported, if that differs.

    Raises:
        MissingExtra: the package is not installed.
    """
    from importlib.util import find_spec

    try:
        spec = find_spec(module or package)
    except ModuleNotFoundError:
        # Raised for a module such as a.b if the package a itself is missing.
        spec = None
    if spec is None:
        raise MissingExtra(package, extra)


class DeviceError(CompofaError):
    """The device or the connection to it failed: exit code 4."""

    exit_code = ExitCode.DEVICE


class OutOfTime(CompofaError):
    """A deadline set by the user has passed: exit code 124."""

    exit_code = ExitCode.OUT_OF_TIME


def file_error(error: OSError, path: Path | str, doing: str) -> UserError:
    """Turns an error of the system into one for the user.

    Args:
        error: what the system raised.
        path: the file that it is about.
        doing: what failed, as in "cannot read the table".
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(f"{doing}: {reason[:1].lower()}{reason[1:]}", path=path)


def suggestion(word: str, known: list[str]) -> str | None:
    """A hint for a misspelt word: the known one that it resembles most, or all that are known."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
