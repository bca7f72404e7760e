"""The help of compofa-profile: verbs, panels, and what an option takes in the word of its kind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from compofa.profiler.commands.app import app

COMMAND: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {"": COMMAND, **COMMAND.commands}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    said = (COMMANDS[name].help or "").splitlines()[0]
    assert re.match(r"(Measure|List|Say|Fit|Turn|Write) ", said), said


@pytest.mark.parametrize("name", COMMANDS)
def test_what_an_option_takes_is_named_and_long_lists_stand_in_panels(name: str) -> None:
    # As it is run, so that the console decides what is shown.
    program = Path(sys.executable).with_name("compofa-profile")
    words = [name] if name else []
    shown = subprocess.run(
        [program, *words, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert not re.search(r"--(?!help)\S+\s+(-\w\s+)?<", shown)
    assert not name or "Where to measure" not in shown
    if not name:
        panels = ("Where to measure", "What to measure", "How long", "What to write")
        assert all(f"─ {panel}" in shown for panel in panels)
