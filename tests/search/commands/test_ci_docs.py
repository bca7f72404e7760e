"""docs/ci.md: its commands run, and its jobs name inputs that exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from compofa.profiler.results.journal import journal_path
from compofa.profiler.results.meta import meta_path
from compofa.search.commands.report_command import main
from rigs.model_files import write_onnx
from rigs.profiles import profile_on_paper

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "ci.md").read_text()
COMMANDS = re.findall(r"^    (compofa-report .*)$", PAGE, re.M)
JOBS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]


def test_every_report_command_runs_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text(
        "phone: {transport: local}\n"
        "ort119: {transport: local}\n"
        "ort120: {transport: local, threads: 2}\n"
    )
    # One file on both sides, of which there is nothing to measure.
    write_onnx(Path("base.onnx"))
    Path("new.onnx").write_bytes(Path("base.onnx").read_bytes())
    for side, seed in (("base", 1), ("new", 2)):
        path = profile_on_paper(Path(f"{side}.csv"), sessions=4, fit=6, predicted=False, seed=seed)
        Path(side).mkdir()
        for file in (path, meta_path(path), journal_path(path)):
            Path(side, file.name.replace(side, "phone")).write_bytes(file.read_bytes())
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        if "model.onnx" in command:
            continue  # two set-ups take minutes; test_compare_in_turns.py compares two
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, command
    assert Path("report.html").exists()
    assert Path("history.html").exists()


def steps(job: Any) -> list[dict[str, Any]]:
    return [step for each in job["jobs"].values() for step in each["steps"]]


def test_the_jobs_use_what_the_action_and_the_command_offer() -> None:
    models, models_gitlab, tables, tables_gitlab = JOBS
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    for job, needed in ((models, "models-base"), (tables, "base")):
        (ours,) = [step for step in steps(job) if "compofa@" in step.get("uses", "")]
        assert needed in ours["with"]
        assert set(ours["with"]) <= set(action["inputs"])
    for job, said in (
        (models_gitlab, "compofa-report compare base/models models --device"),
        (tables_gitlab, "compofa-report compare base/latency.csv"),
    ):
        assert any(said in line for line in job["latency"]["script"])
        assert job["latency"]["allow_failure"] == {"exit_codes": [3]}


def test_no_expression_is_pasted_into_a_script() -> None:
    """What GitHub puts in its place would be run: it goes through the environment."""
    scripts = [step["run"] for job in JOBS[::2] for step in steps(job) if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)
