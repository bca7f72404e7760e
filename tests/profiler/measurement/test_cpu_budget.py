"""Threads against the CPUs that they get: what is bound, and what a quota leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compofa.profiler.agent import AGENT, compofa_agent
from compofa.profiler.commands.check_command import describe
from compofa.profiler.measurement.device_monitor import concerns, cpu_shortages

V1 = Path("/sys/fs/cgroup/cpu")


def test_as_many_cpus_as_threads_are_enough() -> None:
    assert cpu_shortages(1, (3,), {"cpu_quota": None}) == []
    assert cpu_shortages(2, (2, 3), {"cpu_quota": 2.0}) == []
    assert cpu_shortages(4, None, {}) == []


def test_threads_that_share_cpus_are_told() -> None:
    (said,) = cpu_shortages(2, (0,), {})
    assert said.startswith("2 threads share CPU 0: they wait for each other; set threads to 1")
    (said,) = cpu_shortages(4, (1, 0), {})
    assert "4 threads share CPUs 0, 1" in said


def test_a_quota_below_the_threads_is_told() -> None:
    (said,) = cpu_shortages(2, (0, 1), {"cpu_quota": 1.0})
    assert "2 threads get the time of 1 CPU: a CPU quota (cgroup)" in said
    (said,) = cpu_shortages(1, (0,), {"cpu_quota": 0.5})
    assert "1 thread gets the time of 0.5 CPUs" in said


def test_periods_in_which_a_quota_stopped_the_agent_are_told() -> None:
    (concern,) = concerns({"nr_throttled": 7}, {"nr_throttled": 3})
    assert concern.kind == "quota"
    assert not concern.passing
    assert "stopped the agent in 4 periods" in concern.text
    assert concerns({"nr_throttled": 7}, {"nr_throttled": 7}) == []


@pytest.mark.parametrize(
    ("content", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, None),
        ({}, None),
        ({"cpu.max": "none at all"}, None),
    ],
)
def test_quotas_of_both_versions_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, str], quota: float | None
) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(compofa_agent, "control_groups", lambda: [str(tmp_path)])
    assert compofa_agent.cpu_quota() == quota


def test_the_groups_above_ones_own_count_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for folder, limit in ((inner, "200000 100000"), (outer, "100000 100000")):
        folder.mkdir()
        (folder / "cpu.max").write_text(limit)
        (folder / "cpu.stat").write_text("nr_periods 9\nnr_throttled 3\n")
    monkeypatch.setattr(compofa_agent, "control_groups", lambda: [str(inner), str(outer)])
    assert compofa_agent.cpu_quota() == 1.0
    assert compofa_agent.stopped_periods() == 6


@pytest.mark.parametrize(
    ("lines", "folders"),
    [
        (
            "0::/a/b",
            ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
        ),
        ("4:cpu,cpuacct:/x", ["/sys/fs/cgroup/cpu,cpuacct/x", "/sys/fs/cgroup/cpu"]),
        ("3:cpuset:/x", []),
        ("0::/../..", ["/sys/fs/cgroup"]),
    ],
)
def test_the_groups_are_those_that_the_kernel_names(
    monkeypatch: pytest.MonkeyPatch, lines: str, folders: list[str]
) -> None:
    monkeypatch.setattr(compofa_agent, "read_text", lambda path: lines)
    found = compofa_agent.control_groups()
    assert set(folders) <= set(found)
    assert bool(found) == bool(folders)


@pytest.fixture
def half_a_cpu() -> Iterator[Path]:
    """A real control group that gets half of a CPU's time."""
    group = V1 / f"compofa-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text("50000")
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made here: {error}")
    yield group
    for _ in range(50):
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.05)


def test_an_agent_in_a_real_group_tells_its_quota_and_that_it_was_stopped(
    half_a_cpu: Path, tmp_path: Path
) -> None:
    join = "import os,sys; open(sys.argv[1],'w').write(str(os.getpid())); "
    burn = "import time; end=time.time()+0.5\nwhile time.time()<end: pass\n"
    start = "os.execv(sys.executable,[sys.executable,'-I',*sys.argv[2:]])"
    lines = "".join(
        json.dumps({"id": i, "do": do, "threads": 1}) + "\n"
        for i, do in enumerate(("hello", "quit"))
    )
    agent = subprocess.run(
        [sys.executable, "-c", join + burn + start, half_a_cpu / "tasks", AGENT, tmp_path],
        input=lines, capture_output=True, text=True, check=True,
    )  # fmt: skip
    hello = json.loads(agent.stdout.splitlines()[0])["ok"]
    assert hello["facts"]["cpu_quota"] == 0.5
    # Not every kernel that has the files keeps to them: as many as the group itself counts.
    counted = re.search(r"nr_throttled (\d+)", (half_a_cpu / "cpu.stat").read_text())
    assert counted is not None
    assert 0 <= hello["state"]["nr_throttled"] <= int(counted[1])


def test_a_board_without_a_processor_name_leaves_no_empty_place() -> None:
    facts = {"cpu": "", "cpus": 1, "os": "Debian 12", "board": None}
    assert describe(facts) == "1 CPU, Debian 12"
    assert describe({**facts, "board": "Raspberry Pi 4", "cpus": 4}) == (
        "Raspberry Pi 4, 4 CPUs, Debian 12"
    )
