"""Several real devices measured side by side by one command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.profiler.fleet.fleet import Fleet
from compofa.profiler.fleet.job import End, FailedJob, FinishedJob, Progress
from compofa.profiler.fleet.processes import Processes
from compofa.profiler.fleet.shared_models import ModelShop
from compofa.profiler.measurement.progress import Screen
from compofa.profiler.models.collection.find_models import collection_of
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.results.journal import SessionLine, Timing, of_kind, read_journal
from compofa.profiler.results.table import Cell, read_table
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.local import LocalDevice
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.supernet.export.dtype import Dtype
from rigs.boards import ONE_SUBNET, add_boards, small_job, write_inventory
from rigs.model_files import write_nan, write_onnx
from rigs.peer import processes_naming
from rigs.sshd import Sshd

MAIN = "from compofa.profiler.commands import main; main()"


@pytest.fixture
def boards(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SshDevice]:
    monkeypatch.setenv("HOME", str(sshd.home))
    monkeypatch.chdir(tmp_path)
    return add_boards(sshd, [f"{tmp_path.name}-{n}" for n in "ab"])


def seconds(journal: Path) -> tuple[str, str]:
    """When the first session began and the last run ended."""
    _, lines = read_journal(journal)
    return of_kind(lines, SessionLine)[0].started_at, of_kind(lines, Timing)[-1].measured_at


def test_devices_are_measured_side_by_side_and_this_computer_alone(boards: list[SshDevice]) -> None:
    lacking = SshDevice(name="lacking", host="nowhere.invalid")
    devices: list[Device] = [LocalDevice(name="here"), boards[0], lacking, boards[1]]
    jobs = [small_job(device) for device in devices]
    with Processes(jobs) as processes, Screen(quiet=True) as screen:
        ends = Fleet(jobs, processes, screen, alone=processes.alone).run()
    assert [type(end) for end in ends] == [FinishedJob, FinishedJob, FailedJob, FinishedJob]
    here, first, second = (
        seconds(Path(f"{device.name}.journal.jsonl")) for device in devices if device != lacking
    )
    assert first[0] <= second[1]
    assert second[0] <= first[1]
    assert here[0] >= max(first[1], second[1])
    hashes = []
    for board in boards:
        rows = [r for r in read_table(Path(f"{board.name}.csv")).rows if r.source == "measured"]
        assert {row.n_sessions for row in rows} == {1}
        hashes.append({row.cell: row.model_sha256 for row in rows})
    assert hashes[0] == hashes[1]


def test_a_model_that_several_devices_take_is_made_once() -> None:
    made: list[ModelFile | FailedJob] = []
    cell = Cell("one-subnet", "d22222", 32, 1)
    pi, nano = (SshDevice(name=name, host=name) for name in ("pi", "nano"))
    mac = SshDevice(name="mac", host="mac", dtype=Dtype.INT8, runtime="onnxruntime")
    with ModelShop([ONE_SUBNET]) as shop:
        for device in (pi, nano, mac):
            shop.order(device, cell, made.append)
        shop.order(pi, Cell("one-subnet", "d99999", 32, 1), made.append)
        wait_for(lambda: len(made) == 4)
    assert made[0] is made[1]
    assert isinstance(made[2], ModelFile)
    assert made[2] != made[0]
    assert isinstance(made[3], FailedJob)
    assert "depth 9 is not one of" in made[3].message


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def start(boards: list[SshDevice], space: Path) -> subprocess.Popen[str]:
    write_inventory(Path(), boards)
    devices = [word for board in boards for word in ("--device", board.name)]
    options = ["--space", str(space), "--plan", "5", "--no-pause", "--max-time", "60s"]
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *devices, *options, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def timed(board: SshDevice) -> list[bytes]:
    journal = Path(f"{board.name}.journal.jsonl")
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return [line for line in lines if b'"kind": "timing"' in line]


def children(process: subprocess.Popen[str]) -> list[int]:
    """The processes that measure for `process`."""
    parent = str(process.pid)
    return [
        pid
        for pid in processes_naming("spawn_main")
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == parent
    ]


def gone(pids: list[int], boards: list[SshDevice]) -> bool:
    agents = [pid for board in boards for pid in processes_naming(board.folder)]
    return not agents and not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_fleet_ended_at_any_moment_loses_no_finished_cell_and_leaves_nothing_running(
    boards: list[SshDevice], tiny_space_file: Path, end: signal.Signals
) -> None:
    process = start(boards, tiny_space_file)
    wait_for(lambda: all(len(timed(board)) >= 3 for board in boards))
    pids, kept = children(process), [timed(board) for board in boards]
    assert len(pids) == 2
    process.send_signal(end)
    _, stderr = process.communicate(timeout=60)
    wait_for(lambda: gone(pids, boards))
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "what was measured is kept" in stderr
        assert "Traceback" not in stderr
    for board, before in zip(boards, kept, strict=True):
        assert timed(board)[: len(before)] == before


def test_a_child_that_dies_is_told_of_and_the_rest_goes_on(
    boards: list[SshDevice], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [small_job(board) for board in boards]

    class Murderous(Processes):
        """Kills the first child once it has said something."""

        murdered: str | None = None

        def take(self, timeout_s: float) -> list[tuple[str, Progress | End]]:
            taken = super().take(timeout_s)
            if taken and self.murdered is None:
                self.murdered = taken[0][0]
                (pid,) = (c.pid for j, c in self._children.values() if j.name == self.murdered)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            return taken

    with Murderous(jobs) as processes, Screen(quiet=True) as screen:
        ends = dict(zip((j.name for j in jobs), Fleet(jobs, processes, screen).run(), strict=True))
    assert processes.murdered is not None
    assert isinstance(ends.pop(processes.murdered), FailedJob)
    assert all(isinstance(end, FinishedJob) for end in ends.values())
    assert "the process that measured it ended (signal 9)" in capsys.readouterr().err


def test_model_files_are_measured_side_by_side(boards: list[SshDevice], tmp_path: Path) -> None:
    files = [write_onnx(tmp_path / "a.onnx", external="a.bin"), write_nan(tmp_path / "nan.onnx")]
    space = collection_of("mine", files, [])
    jobs = [small_job(board) for board in boards[:2]]
    jobs = [replace(job, request=replace(job.request, space=space)) for job in jobs]
    with Processes(jobs) as processes, Screen(quiet=True) as screen:
        ends = Fleet(jobs, processes, screen, alone=processes.alone).run()
    for job, end in zip(jobs, ends, strict=True):
        assert isinstance(end, FinishedJob)
        rows = {row.cell.subnet: row.status for row in read_table(job.request.out).rows}
        assert rows.pop("nan") == "failed"
        assert set(rows) == {"a"}
        assert rows["a"] != "failed"
