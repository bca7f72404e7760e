"""The help of all five programs: whole sentences, and what an option takes in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from rigs.programs import APPS


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all below it, each with the words that call it."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


COMMANDS = {
    " ".join(words): command
    for name, app in APPS.items()
    for words, command in commands(typer.main.get_command(app), (name,))
}

each_command = pytest.mark.parametrize("words", COMMANDS)


def test_commands_of_all_programs_are_looked_at() -> None:
    assert {"compofa-profile check", "compofa-report history add", "compofa-search"} <= set(
        COMMANDS
    )


@each_command
def test_every_option_is_explained_in_whole_sentences(words: str) -> None:
    for parameter in COMMANDS[words].params:
        shown = getattr(parameter, "help", None) or ""
        assert re.fullmatch(r"[A-Z].*\.", shown, re.DOTALL), f"{parameter.name}: {shown!r}"


@each_command
def test_every_command_says_what_it_does(words: str) -> None:
    about = COMMANDS[words].help or ""
    assert re.fullmatch(r"[A-Z].*\.", about.split("\n\n")[0], re.DOTALL), about


@each_command
def test_no_type_of_python_is_shown(words: str) -> None:
    program, *subcommand = words.split()
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(APPS[program], [*subcommand, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout
    assert not re.search(r"list\[|tuple\[|Path\b|<PosixPath", shown.stdout)
