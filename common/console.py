"""What every command shares: exit codes, messages, and the handling of broken pipes and Ctrl-C."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from compofa.common.errors import CompofaError, ExitCode, file_error
from compofa.common.running_log import loudness, one_command, record

LONGEST_MESSAGE = 1000
"""Characters. The middle of a longer message is left out: it quotes a long input."""

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""The objects that a command makes at its start (classes, functions) live until its end. With
Python's default of 700 the garbage collector examines them some hundred times in vain, which
takes 4 to 8 % of the CPU time of a short command."""

AGAIN_S = 0.05
"""Seconds after which an interruption that Python ignored is raised once more."""


def run_command(command: Callable[[], Any]) -> NoReturn:
    """Runs a typer application, turns its errors into messages, and exits.

    A `CompofaError` becomes one line on stderr and the exit code of its family. Any other exception
    is a bug in the toolkit: it keeps its traceback and exits with 70 (EX_SOFTWARE), because exit
    code 1 would mean "the answer is no".
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    _complete_streams()
    with one_command():
        _run_to_its_end(command)


def _run_to_its_end(command: Callable[[], Any]) -> NoReturn:
    try:
        with _interruptible():
            _run(command)
    except CompofaError as error:
        leave(_message(f"error: {error}"), error.exit_code)
    except KeyboardInterrupt:
        leave("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader has closed the pipe, as `| head` does. That is not an error.
        _discard_output()
    except Exception as error:
        import traceback

        traceback.print_exc()
        record("error", traceback.format_exc())
        _say("this is a bug in compofa: please report it with the lines above")
        raise SystemExit(70) from error
    sys.exit(ExitCode.DONE)


def _complete_streams() -> None:
    """Opens standard streams that are closed, and lets output of any text succeed.

    Where a stream was closed, as by `>&-`, the next file that is opened would take its number, and
    messages would be written into that file; and Python has no object to print to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest free number, which is this one.
        if getattr(sys, name) is None:
            # It stays open for as long as the process runs.
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for output in (sys.stdout, sys.stderr):
        # A terminal or a file that is not UTF-8 gets an escape, such as \xe9, for a character that
        # it cannot show. Names of files may hold such characters.
        if isinstance(output, io.TextIOWrapper) and output.errors in ("strict", "surrogateescape"):
            output.reconfigure(errors="backslashreplace")


def _run(command: Callable[[], Any]) -> None:
    """Runs the application and flushes its output, so that a failure to write is reported.

    Typer turns a broken pipe into exit code 1 and Ctrl-C into a silent exit code 130. This function
    raises them again as BrokenPipeError and KeyboardInterrupt.
    """
    try:
        try:
            command()
        finally:
            sys.stdout.flush()
    except SystemExit as leaving:
        reason = leaving.__context__
        if leaving.code == 1 and isinstance(reason, BrokenPipeError):
            raise BrokenPipeError from None
        interrupted = reason is not None and isinstance(reason.__cause__, KeyboardInterrupt)
        if leaving.code == ExitCode.INTERRUPTED and interrupted:
            raise KeyboardInterrupt from None
        raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            # Even `Path.exists` raises this, so it is reported here for all commands.
            raise file_error(
                error, str(error.filename)[:200], "there can be no such file"
            ) from None
        # A full disk is not a bug in the toolkit; other errors of the system here would be.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _discard_output()
        raise file_error(error, error.filename or "standard output", "cannot write") from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Makes Ctrl-C and SIGTERM raise KeyboardInterrupt; CI and `timeout` stop jobs by SIGTERM.

    A module written in C that is being loaded at that moment may turn the KeyboardInterrupt into an
    error of its own, so any error that follows a signal counts as the interruption. Python ignores
    exceptions in some places, such as the callbacks of its import system; if it ignored this one,
    it is raised again `AGAIN_S` later. A signal that is handled or ignored already stays as it is.
    """
    came: list[int] = []
    hook = sys.unraisablehook

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    def ignored(unraisable: sys.UnraisableHookArgs) -> None:
        if signal.SIGALRM in before and issubclass(unraisable.exc_type, KeyboardInterrupt):
            # An exception that is raised in this hook would be ignored as well.
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook(unraisable)

    before = {}
    if threading.current_thread() is threading.main_thread():  # Only it may set handlers.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, interrupt)
    sys.unraisablehook = ignored
    try:
        yield
    except Exception:
        if came:
            raise KeyboardInterrupt from None
        raise
    finally:
        sys.unraisablehook = hook
        if signal.SIGALRM in before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _discard_output() -> None:
    """Keeps Python from reporting the error again when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(message: str, code: int) -> NoReturn:
    """Writes `message` to stderr and exits with `code`."""
    record("error", message.removeprefix("error: "))
    _say(message)
    sys.exit(code)


def note(message: str) -> None:
    """Writes a note for the user to stderr, unless --quiet is given."""
    line = _message(message)
    record("note", line)
    if not loudness().quiet:
        _say(line)


def detail(message: str) -> None:
    """Writes a detail that helps to find a fault to stderr, if --verbose is given."""
    line = _message(message)
    record("detail", line)
    if loudness().verbose:
        _say(line)


def _say(message: str) -> None:
    # If stderr cannot be written, as on a full disk, there is no other place to report that.
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def print_json(result: Mapping[str, Any]) -> None:
    """Prints the one JSON object that a command writes with `--json`."""
    print(json.dumps(result, allow_nan=False))


def _message(text: str) -> str:
    """`text` as one line of at most about `LONGEST_MESSAGE` characters."""
    line = printable(text)
    if len(line) <= LONGEST_MESSAGE:
        return line
    end = line[-LONGEST_MESSAGE // 4 :]
    return f"{line[: LONGEST_MESSAGE // 2]} ... {end}"


def printable(text: str) -> str:
    """`text` on one line, with control characters escaped: it may quote a file or a device."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def without_homes(text: str) -> str:
    """`text` with `~` for home folders, because their paths hold the names of people."""
    # This user's home may lie anywhere. Those on devices are recognised by their usual places.
    here = os.environ.get("HOME", "")
    if len(here) > 1 and here.startswith("/"):
        text = re.sub(rf"{re.escape(here)}(?![\w.-])", "~", text)
    return re.sub(r"/(?:(?:home|Users|var/home)/[^/\s:'\"]+|root)(?![\w.-])", "~", text)
