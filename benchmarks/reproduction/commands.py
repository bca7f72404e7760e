"""Running the toolkit's own commands, as a user does: each goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ENTRIES = {
    "compofa-train": "compofa.supernet.commands.train_command",
    "compofa-profile": "compofa.profiler.commands",
    "compofa-search": "compofa.search.commands.search_command",
}

PARTIAL = (3, 124)
"""Exit codes of a profile that ran out of time: its table says which cells are less sure."""


def run(command: str, *arguments: object, accepted: tuple[int, ...] = (0,)) -> str:
    """Runs a command, and returns what it printed; its progress is shown.

    Raises:
        SystemExit: it failed, and has said why.
    """
    words = [str(each) for each in arguments]
    print(f"$ {command} {' '.join(words)[:200]}", file=sys.stderr, flush=True)
    started = time.monotonic()
    program = f"from {ENTRIES[command]} import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True, check=False
    )
    print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if ended.returncode not in accepted:
        raise SystemExit(ended.returncode)
    return ended.stdout


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
