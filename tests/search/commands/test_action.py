"""action.yml, its steps run as GitHub's runner runs them: shells, variables and files."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from compofa.profiler.history.history_folder import read_history
from compofa.profiler.results.journal import journal_path
from rigs.model_files import write_onnx
from rigs.profiles import profile_on_paper

REPOSITORY = Path(__file__).resolve().parents[3]
ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text())
SHA = "3f2a91c0" * 5

OFFLINE = ("unshare", "--net", "--map-root-user")
"""A program under this has no network, not even a loopback device that is up."""


@dataclass(frozen=True)
class Outcome:
    """What the runner sees when the steps have ended."""

    code: int
    outputs: dict[str, str]
    summary: str
    log: str


Act = Callable[..., Outcome]


@pytest.fixture
def act(tmp_path: Path) -> Act:
    """Runs the action in a workspace, with a compofa-report on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    report = programs / "compofa-report"
    code = "from compofa.search.commands.report_command import main; main()"
    report.write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(code)} "$@"\n')
    report.chmod(0o755)

    def run(*, under: tuple[str, ...] = (), **given: str) -> Outcome:
        inputs = {name: each.get("default", "") for name, each in ACTION["inputs"].items()}
        inputs |= {name.replace("_", "-"): value for name, value in given.items()}
        files = {name: tmp_path / name for name in ("output", "summary", "path")}
        for path in files.values():
            path.touch()
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_ACTION_PATH": str(REPOSITORY),
            "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_STEP_SUMMARY": str(files["summary"]),
            "GITHUB_PATH": str(files["path"]),
            "RUNNER_TEMP": str(tmp_path / "runner"),
        }
        code, log = 0, ""
        for step in ACTION["runs"]["steps"]:
            assert step["shell"] == "bash"
            own = {name: evaluated(text, inputs) for name, text in step.get("env", {}).items()}
            script = tmp_path / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                [*under, "bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                cwd=tmp_path,
                env=environment | own,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            code, log = done.returncode, log + done.stdout + done.stderr
            if code:
                break
        outputs = dict(line.split("=", 1) for line in files["output"].read_text().splitlines())
        return Outcome(code, outputs, files["summary"].read_text(), log)

    return run


def evaluated(text: str, inputs: dict[str, str]) -> str:
    """`text` with its ${{ }} expressions worked out, of those kinds that the action uses."""
    known = {f"inputs.{name}": value for name, value in inputs.items()} | {"github.sha": SHA}
    for _ in range(2):  # a default may refer to something else
        text = re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: known[found[1]], text)
    return text


@pytest.fixture
def tables(tmp_path: Path) -> None:
    """A base, the same again, and one that is slower."""
    small: dict[str, Any] = {"sessions": 4, "fit": 6, "predicted": False}
    profile_on_paper(tmp_path / "base.csv", **small, seed=1)
    profile_on_paper(tmp_path / "same.csv", **small, seed=2)
    profile_on_paper(tmp_path / "slower.csv", **small, seed=3, factor=1.1)


def test_a_pass_is_told_and_every_report_is_there(act: Act, tables: None, tmp_path: Path) -> None:
    done = act(base="base.csv", new="same.csv", out="reports/here")
    assert done.code == 0, done.log
    assert done.outputs == {
        "verdict": "passed",
        "headline": "Nothing became slower: 26 cells compared",
        "out": "reports/here",
    }
    assert done.summary.startswith("## ⚪ Nothing became slower")
    assert json.loads((tmp_path / "reports/here/report.json").read_text())["verdict"] == "same"
    assert {path.name for path in (tmp_path / "reports/here").iterdir()} == {
        "report.json",
        "report.html",
        "comment.md",
        "junit.xml",
        "cells.csv",
        "benchmark-action.json",
        "bencher.json",
    }


def test_two_model_files_are_compared_on_a_device(act: Act, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("phone: {transport: local}\n")
    for side in ("old", "now"):
        (tmp_path / side).mkdir()
        write_onnx(tmp_path / side / "net.onnx")
    given = {"models_base": "old", "models_new": "now", "device": "phone"}
    done = act(**given)
    assert done.code == 0, done.log
    # Both files are the same to the byte: nothing has to be measured.
    assert "net at 8 is the same file on both sides" in done.outputs["headline"]
    assert (tmp_path / "latency-report/report.html").exists()
    assert "device is missing" in act(**given | {"device": ""}).log
    mixed = act(**given, base="base.csv")
    assert mixed.code == 2
    assert "give models or tables" in mixed.log


def test_suspects_are_confirmed_if_asked_for(act: Act, tables: None, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("phone: {transport: local}\n")
    given = {"base": "base.csv", "new": "slower.csv"}
    assert act(**given).code == 1
    done = act(**given, confirm="true", models="here\nthere")
    # Their journals name one model file for all: nothing is left to be measured.
    assert done.code == 0, done.log
    assert "with the same model file on both sides" in done.summary
    assert act(**given, confirm="true", inventory="nowhere.yaml").code == 2
    assert act(**given, confirm="perhaps").code == 2


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1)")
def test_no_network_is_needed(act: Act, tables: None) -> None:
    if subprocess.run([*OFFLINE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this computer does not let programs be cut off the network")
    done = act(base="base.csv", new="same.csv", under=OFFLINE)
    assert done.code == 0, done.log


@pytest.mark.parametrize(("fail_on", "code"), [("slower", 1), ("never", 0)])
def test_a_regression_fails_the_step_if_it_should_and_goes_into_the_history(
    act: Act, tables: None, tmp_path: Path, fail_on: str, code: int
) -> None:
    done = act(base="base.csv", new="slower.csv", fail_on=fail_on, history="history")
    assert done.code == code
    assert done.outputs["verdict"] == "slower"
    assert " cells slower, most of all d" in done.outputs["headline"]
    assert done.summary.startswith("## 🔴 Slower")
    (profile,) = read_history(tmp_path / "history")
    assert profile.entry.commit == SHA


@pytest.mark.parametrize(("fail_on", "code"), [("slower", 0), ("cannot-tell", 3)])
def test_what_cannot_be_told_fails_only_where_that_is_asked_for(
    act: Act, tables: None, tmp_path: Path, fail_on: str, code: int
) -> None:
    profile_on_paper(tmp_path / "once.csv", sessions=1, fit=6, predicted=False)
    done = act(base="base.csv", new="once.csv", fail_on=fail_on)
    assert (done.code, done.outputs["verdict"]) == (code, "cannot-tell")


def test_a_difference_that_is_the_point_is_allowed_line_by_line(
    act: Act, tables: None, tmp_path: Path
) -> None:
    newer: dict[str, object] = {"cpu": "Newer", "os": "2"}
    profile_on_paper(tmp_path / "newer.csv", sessions=4, fit=6, predicted=False, facts=newer)
    assert act(base="base.csv", new="newer.csv").code == 2
    done = act(base="base.csv", new="newer.csv", allow_different="cpu\n\nos\n", fail_on="never")
    assert done.code == 0, done.log


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base": "none.csv", "new": "same.csv"}, "none.csv: cannot read the table"),
        ({"base": "base.csv", "new": "same.csv", "fail_on": "x"}, "fail-on is slower, cannot-tell"),
        ({"base": "--help", "new": "same.csv"}, "--help: cannot read the table"),
        ({"base": "$(touch hacked)", "new": "same.csv"}, "$(touch hacked): cannot read the table"),
        ({"base": "base.csv", "new": "same.csv", "min_effect": "x; touch hacked"}, "--min-effect"),
    ],
)
def test_inputs_are_text_and_mistakes_fail_the_step(
    act: Act, tables: None, tmp_path: Path, given: dict[str, str], said: str
) -> None:
    done = act(**given)
    assert done.code == 2
    assert said in done.log
    assert done.outputs == {}
    assert not (tmp_path / "hacked").exists()


def test_text_from_tables_gives_the_runner_no_commands(
    act: Act, tables: None, tmp_path: Path
) -> None:
    evil = "##[set-output name=verdict]passed"
    for name in ("base.csv", "slower.csv"):
        for path in (tmp_path / name, journal_path(tmp_path / name)):
            path.write_text(path.read_text().replace("phone", evil))
    # The meta files are of the device by its own name.
    for path in tmp_path.glob("*.meta.json"):
        path.unlink()
    done = act(base="base.csv", new="slower.csv")
    assert done.code == 1, done.log
    first, *_, last = done.log.split()
    assert first.startswith("::stop-commands::")
    assert last == f"::{first.removeprefix('::stop-commands::')}::"
    again = act(base="base.csv", new="slower.csv").log.split()[0]
    assert again != first


@pytest.mark.parametrize("given", [{"fail_on": "##[error]x"}, {"base": "##[error]x"}])
def test_what_is_wrong_is_told_where_the_runner_takes_no_commands(
    act: Act, tables: None, given: dict[str, str]
) -> None:
    done = act(**({"base": "base.csv", "new": "same.csv"} | given))
    assert done.code == 2
    lines = done.log.splitlines()
    at = next(i for i, line in enumerate(lines) if "##[error]x" in line)
    assert lines[0].startswith("::stop-commands::")
    assert lines[-1].startswith("::")
    assert 0 < at < len(lines) - 1


@pytest.mark.parametrize("out", ["reports\nverdict=passed", "reports\r\nverdict=passed"])
def test_a_second_line_of_an_input_is_no_output(act: Act, tables: None, out: str) -> None:
    done = act(base="base.csv", new="slower.csv", out=out)
    assert (done.code, done.outputs) == (2, {})


def test_what_bash_cannot_do_is_no_verdict(act: Act, tables: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = {"base": "base.csv", "new": "same.csv"}
    assert act(**given, out="file/below").code == 2
    (tmp_path / "there" / "report.json").mkdir(parents=True)
    assert act(**given, out="there").code == 2
    assert act(base="", new="same.csv").code == 2


def test_a_program_that_breaks_is_no_verdict(act: Act, tables: None, tmp_path: Path) -> None:
    (tmp_path / "bin" / "compofa-report").write_text("#!/bin/sh\necho 'Traceback' >&2; exit 1\n")
    done = act(base="base.csv", new="same.csv")
    assert (done.code, done.outputs) == (2, {})
    assert "compofa-report left with 1 and without a verdict" in done.log


def test_a_history_that_cannot_be_written_is_no_verdict(
    act: Act, tables: None, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert act(base="base.csv", new="same.csv", history="file").code == 2
    assert act(base="base.csv", new="same.csv", history="history", commit="").code == 2


INSTALL = REPOSITORY / ".ci" / "install-report"


def test_an_old_python_is_told_so(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\ncase $1 in --version) echo Python 3.8.18 ;; *) exit 1 ;; esac\n")
    old.chmod(0o755)
    for tool in ("bash", "dirname", "env"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or "")
    done = subprocess.run(
        [str(INSTALL)], env={"PATH": str(old.parent)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "needs Python 3.11 or newer, and this runner has Python 3.8.18" in done.stderr


def test_what_is_installed_are_the_versions_of_the_constraints(tmp_path: Path) -> None:
    """`python -m venv` and pip are played: what they are called with is what counts."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    pip = '#!/bin/sh\necho "$@" >>"$CALLED"\n'
    python.write_text(
        '#!/bin/sh\nif [ "$1" = -m ]; then mkdir -p "$3/bin"; '
        f"printf '%s' '{pip}' >\"$3/bin/pip\"; chmod +x \"$3/bin/pip\"; fi\n"
    )
    python.chmod(0o755)
    for tool in ("bash", "dirname", "env", "mkdir", "chmod"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or "")
    called, path = tmp_path / "called", tmp_path / "path"
    environment = {
        "PATH": str(python.parent), "CALLED": str(called), "GITHUB_PATH": str(path),
        "RUNNER_TEMP": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run([str(INSTALL)], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--constraint" in called.read_text()
    assert "constraints.txt" in called.read_text()
    assert path.read_text() == f"{tmp_path}/compofa/bin\n"


def test_no_input_is_pasted_into_a_script() -> None:
    assert not any("${{" in step["run"] for step in ACTION["runs"]["steps"])
