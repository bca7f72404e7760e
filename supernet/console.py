"""What every command shares: exit codes, messages, and what a broken pipe or Ctrl-C mean."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from compofa.supernet.errors import CompofaError, ExitCode


def run_command(command: Callable[[], Any]) -> NoReturn:
    """Runs a typer application and turns its errors into messages and exit codes.

    Our own errors become one line on stderr. Any other exception is a bug of ours and keeps its
    traceback (exit code 1 would say "the answer is no", so a bug leaves with 70, EX_SOFTWARE).
    """
    try:
        command()
    except CompofaError as error:
        leave(f"error: {printable(str(error))}", error.exit_code)
    except KeyboardInterrupt:
        leave("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough, as `| head` does. Python would complain again
        # while it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.DONE)
    except Exception:
        import traceback

        traceback.print_exc()
        leave("this is a bug in compofa: please report it with the lines above", 70)
    sys.exit(ExitCode.DONE)


def leave(message: str, code: int) -> NoReturn:
    """Says `message` on stderr and ends the process with `code`."""
    print(message, file=sys.stderr)
    sys.exit(code)


def note(message: str) -> None:
    """Says something on stderr."""
    print(printable(message), file=sys.stderr)


def print_json(result: Mapping[str, Any]) -> None:
    """Prints the one object that `--json` promises."""
    print(json.dumps(result, allow_nan=False, indent=None))


def printable(text: str) -> str:
    """`text` on one line, without control characters: it may come from a file or a device."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
