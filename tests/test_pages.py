"""The pages: links lead somewhere, and every command shown is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from rigs.programs import APPS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@each_page
def test_commands_and_their_options_are_those_that_there_are(page: Path) -> None:
    for line in commands_in(page.read_text()):
        words = shlex.split(line, comments=True)
        _check(typer.main.get_command(APPS[words[0]]), words[1:], line)


def commands_in(text: str) -> list[str]:
    """Lines of code that begin with one of our commands, with the lines they go on in."""
    joined = text.replace("\\\n", " ")
    code = re.findall(r"^ {4,}(.+)$", joined, re.M)
    code += [
        line
        for block in re.findall(r"```\w*\n(.*?)```", joined, re.S)
        for line in block.split("\n")
    ]
    shown = [line.strip().removeprefix("$ ").removeprefix("run: ") for line in code]
    return [re.split(r" [|>&;]", line)[0] for line in shown if line.split(" ")[0] in APPS]


def _check(command: Any, words: list[str], line: str) -> None:
    """Follows subcommands, and looks each option up in the command that takes it."""
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known | {"--help"}, f"{word} in: {line}"


def test_every_page_is_found_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text())
        found = {(page.parent / link).resolve() for link in links if not link.startswith("http")}
        waiting += found - reached
    assert set(PAGES) <= reached
