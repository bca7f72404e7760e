"""Errors carry their facts and build their own messages."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from compofa.common.errors import (
    CompofaError,
    DeviceError,
    ExitCode,
    MissingExtra,
    OutOfTime,
    UserError,
    file_error,
    suggestion,
)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("no rows"), "no rows"),
        (UserError("no rows", path="t.csv"), "t.csv: no rows"),
        (UserError("not a number", path=Path("t.csv"), line=3), "t.csv:3: not a number"),
        (
            UserError("unknown key", hint="did you mean 'host'?"),
            "unknown key (did you mean 'host'?)",
        ),
        (UserError("x", path="a", line=1, hint="y"), "a:1: x (y)"),
    ],
)
def test_a_message_says_where_and_what_to_do(error: CompofaError, message: str) -> None:
    assert str(error) == message


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UserError, 2), (DeviceError, 4), (OutOfTime, 124)],
)
def test_each_family_has_its_exit_code(kind: type[CompofaError], code: int) -> None:
    assert kind("x").exit_code == code


def test_a_missing_extra_names_what_to_install() -> None:
    error = MissingExtra("torch", "train")
    assert isinstance(error, UserError)
    assert str(error) == "torch is not installed (install it with: pip install 'compofa[train]')"


def test_system_errors_are_put_in_plain_words() -> None:
    error = file_error(OSError(errno.ENOSPC, "x"), "t.csv", "cannot write the table")
    assert str(error) == "t.csv: cannot write the table: no space left on device"
    assert error.exit_code is ExitCode.USER


def test_a_near_miss_is_suggested_and_else_all_that_is_known() -> None:
    assert suggestion("thread", ["host", "threads"]) == "did you mean 'threads'?"
    assert suggestion("zzz", ["host", "threads"]) == "known: host, threads"
