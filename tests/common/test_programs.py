"""What all programs share: -h, -q, -v, --log, --version, completion, and `python -m`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from compofa.profiler.commands import main as profile
from compofa.search.commands.search_command import main as search
from rigs.commands import Run

TABLE = Path(__file__).resolve().parent.parent.parent / "docs" / "example" / "local.csv"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python WORDS`, as a shell runs it."""
    command, own = [sys.executable, *words], {**os.environ, **env}
    return subprocess.run(command, text=True, capture_output=True, check=False, env=own)


@pytest.mark.parametrize("module", ["profiler", "search", "supernet"])
def test_a_package_runs_as_its_program(module: str) -> None:
    ended = python("-m", f"compofa.{module}", "--version")
    assert (ended.returncode, ended.stdout) == (0, f"compofa {version('compofa')}\n")


def test_a_package_says_its_version() -> None:
    asked = "import compofa.search as s, compofa.profiler as p; print(s.__version__, p.__version__)"
    assert python("-c", asked).stdout.split() == [version("compofa")] * 2


def test_short_help_is_help(run: Run) -> None:
    short, long = run(profile, "devices", "-h"), run(profile, "devices", "--help")
    assert (short.code, short.out) == (0, long.out)
    assert "--version" in short.out


def test_a_log_keeps_notes_details_and_errors_with_their_time(run: Run) -> None:
    assert run(profile, "check", "--device", "local", "--log", "a.log").code == 0
    assert run(profile, "check", "--device", "none", "--log", "a.log").code == 2
    lines = Path("a.log").read_text().splitlines()
    assert all(
        re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (note|detail|error): ", line)
        for line in lines
    )
    assert any("note: local: timing 240 runs" in line for line in lines)
    assert any("detail: the agent answered load" in line for line in lines)
    assert "error: there is no devices.yaml" in lines[-1]


def test_a_log_holds_the_traceback_of_a_bug(
    run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("compofa.profiler.inventory.read_inventory", broken)
    assert run(profile, "devices", "--log", "a.log").code == 70
    assert "ZeroDivisionError: ours" in Path("a.log").read_text()


def test_a_log_that_cannot_be_written_is_the_users_mistake(run: Run) -> None:
    ended = run(profile, "devices", "--log", "none/a.log")
    assert (ended.code, ended.out) == (2, "")
    assert "none/a.log: cannot write the log: no such file or directory" in ended.err


def test_quiet_leaves_out_notes_but_no_error(run: Run) -> None:
    assert "timing" in run(profile, "check", "--device", "local").err
    assert run(profile, "-q", "check", "--device", "local").err == ""
    assert run(profile, "check", "--device", "local", "--quiet").err == ""
    # What one command was told does not hold for the next one of the process.
    assert "timing" in run(profile, "check", "--device", "local").err
    assert "no devices.yaml" in run(profile, "-q", "check", "--device", "none").err


def test_verbose_shows_details(run: Run) -> None:
    assert "the agent answered" not in run(profile, "check", "--device", "local").err
    assert "the agent answered hello" in run(profile, "check", "--device", "local", "-v").err


def test_a_result_is_the_same_however_much_is_told(run: Run) -> None:
    words = ("--table", TABLE, "--latency", "5")
    assert run(search, *words).out == run(search, *words, "-q").out == run(search, *words, "-v").out


def completions(*words: str) -> list[str]:
    """What a shell is offered after `compofa-profile WORDS`."""
    program = Path(sys.executable).with_name("compofa-profile")
    asked = {
        "_COMPOFA_PROFILE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("compofa-profile", *words)),
        "COMP_CWORD": str(len(words)),
    }
    ended = subprocess.run(
        [program], text=True, capture_output=True, check=True, env={**os.environ, **asked}
    )
    return ended.stdout.split()


def test_a_shell_completes_devices_and_spaces(folder: Path) -> None:
    assert completions("--device", "lo") == ["local"]
    (folder / "devices.yaml").write_text("loft: {transport: local}\nrpi: {transport: local}\n")
    assert completions("--device", "lo") == ["local", "loft"]
    (folder / "own.yaml").write_text("name: own\n")
    assert completions("--space", "compofa-r") == ["compofa-resnet50"]
    assert completions("--space", "ow") == ["own.yaml"]


def test_a_damaged_inventory_does_not_disturb_a_shell(folder: Path) -> None:
    (folder / "devices.yaml").write_text("{")
    assert completions("--device", "lo") == ["local"]
