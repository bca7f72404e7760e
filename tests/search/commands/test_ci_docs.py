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
from rigs.profiles import profile_on_paper

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "ci.md").read_text()
COMMANDS = re.findall(r"^    (compofa-report .*)$", PAGE, re.M)
JOBS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]


def test_every_report_command_runs_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text("phone: {transport: local}\n")
    for side, seed in (("base", 1), ("new", 2)):
        path = profile_on_paper(Path(f"{side}.csv"), sessions=4, fit=6, predicted=False, seed=seed)
        Path(side).mkdir()
        for file in (path, meta_path(path), journal_path(path)):
            Path(side, file.name.replace(side, "phone")).write_bytes(file.read_bytes())
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, command
    assert Path("report.html").exists()
    assert Path("history.html").exists()


def steps(job: Any) -> list[dict[str, Any]]:
    return [step for each in job["jobs"].values() for step in each["steps"]]


def test_the_jobs_use_what_the_action_and_the_command_offer() -> None:
    github, gitlab = JOBS
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    (ours,) = [step for step in steps(github) if "compofa@" in step.get("uses", "")]
    assert set(ours["with"]) <= set(action["inputs"])
    assert {name for name, each in action["inputs"].items() if each.get("required")} <= set(
        ours["with"]
    )
    assert any(
        "compofa-report compare base/latency.csv" in line for line in gitlab["latency"]["script"]
    )
    assert gitlab["latency"]["allow_failure"] == {"exit_codes": [3]}


def test_no_expression_is_pasted_into_a_script() -> None:
    """What GitHub puts in its place would be run: it goes through the environment."""
    github, _ = JOBS
    scripts = [step["run"] for step in steps(github) if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)
