"""What every command shares: exit codes, messages, and what a broken pipe or Ctrl-C mean."""

from __future__ import annotations

import errno
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
"""Characters; of a longer one the middle is left out: it is somebody's input, not ours."""

AGAIN_S = 0.05
"""After which an interruption that Python ignored is raised once more."""


def run_command(command: Callable[[], Any]) -> NoReturn:
    """Runs a typer application and turns its errors into messages and exit codes.

    Our own errors become one line on stderr. Any other exception is a bug of ours and keeps its
    traceback (exit code 1 would say "the answer is no", so a bug leaves with 70, EX_SOFTWARE).
    """
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
        # Whoever read our output has had enough, as `| head` does.
        _discard_output()
    except Exception as error:
        import traceback

        traceback.print_exc()
        record("error", traceback.format_exc())
        _say("this is a bug in compofa: please report it with the lines above")
        raise SystemExit(70) from error
    sys.exit(ExitCode.DONE)


def _complete_streams() -> None:
    """Gives a process whose streams are closed or cannot print some names streams that take all.

    Where a stream is closed, as by `>&-`, the next file that is opened would stand in its place,
    and be written into; and Python has no object to print to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            # It stays open as long as the process runs.
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for output in (sys.stdout, sys.stderr):
        # A terminal or a file of another encoding shows what it cannot print as its number.
        if isinstance(output, io.TextIOWrapper) and output.errors in ("strict", "surrogateescape"):
            output.reconfigure(errors="backslashreplace")


def _run(command: Callable[[], Any]) -> None:
    """Runs the application until its output is on its way, while a failure can still be told.

    Typer turns a broken pipe into exit code 1 and Ctrl-C into a silent 130: they are raised anew.
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
            # Asking whether such a file exists raises too: it is told here, for all commands.
            raise file_error(
                error, str(error.filename)[:200], "there can be no such file"
            ) from None
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _discard_output()
        raise file_error(error, error.filename or "standard output", "cannot write") from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Has Ctrl-C and SIGTERM, with which CI and `timeout` stop a job, raise KeyboardInterrupt.

    Modules written in C that are being loaded when it is raised make an error of their own of it:
    whatever error follows a signal counts as the interruption. Python ignores what is raised in
    some places, such as the callbacks of its import system: there it is raised again a moment
    later. A signal that somebody else handles or ignores is left alone.
    """
    came: list[int] = []
    hook = sys.unraisablehook

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    def ignored(unraisable: sys.UnraisableHookArgs) -> None:
        if signal.SIGALRM in before and issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Raised here, it would be ignored too.
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook(unraisable)

    before = {}
    if threading.current_thread() is threading.main_thread():  # others may set no handlers
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
    """Keeps Python from complaining again when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(message: str, code: int) -> NoReturn:
    """Says `message` on stderr and ends the process with `code`."""
    record("error", message.removeprefix("error: "))
    _say(message)
    sys.exit(code)


def note(message: str) -> None:
    """Says on stderr what the person should know, unless --quiet is given."""
    line = _message(message)
    record("note", line)
    if not loudness().quiet:
        _say(line)


def detail(message: str) -> None:
    """Says on stderr, with --verbose, what helps to find a fault."""
    line = _message(message)
    record("detail", line)
    if loudness().verbose:
        _say(line)


def _say(message: str) -> None:
    # There is no other place to tell that stderr cannot be written, as on a full disk.
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def print_json(result: Mapping[str, Any]) -> None:
    """Prints the one object that `--json` promises."""
    print(json.dumps(result, allow_nan=False))


def _message(text: str) -> str:
    """One line of bounded length, whatever a file or an option that is quoted in it holds."""
    line = printable(text)
    if len(line) <= LONGEST_MESSAGE:
        return line
    end = line[-LONGEST_MESSAGE // 4 :]
    return f"{line[: LONGEST_MESSAGE // 2]} ... {end}"


def printable(text: str) -> str:
    """`text` on one line, without control characters: it may come from a file or a device."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def without_homes(text: str) -> str:
    """`text` with `~` for home folders, of this computer or another: they name people."""
    # A home of this computer's may lie anywhere; those of devices lie where they usually do.
    here = os.environ.get("HOME", "")
    if len(here) > 1 and here.startswith("/"):
        text = re.sub(rf"{re.escape(here)}(?![\w.-])", "~", text)
    return re.sub(r"/(?:(?:home|Users|var/home)/[^/\s:'\"]+|root)(?![\w.-])", "~", text)
