"""Real processes that are killed: the same command goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from compofa.supernet.commands import train_command as train
from rigs.commands import Run

Options = Callable[[Path], list[str]]

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def options(space_file: Path, data_folder: Path) -> Options:
    """Gives the options of a short training that writes to a folder."""

    def make(folder: Path) -> list[str]:
        return [
            "deps", "--space", str(space_file), "--data", str(data_folder), "--out", str(folder),
            "--batch-size", "10", "--scale", "0.009", "--save-every", "0", "--device", "cpu",
        ]  # fmt: skip

    return make


def start(options: Sequence[str], launcher: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    command = [sys.executable, *launcher, "-m", "compofa.supernet.commands.train_command", *options]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)


def wait_for_rows(path: Path, count: int) -> str:
    """What `path` holds as soon as it has so many rows."""
    deadline = time.monotonic() + 100
    while not path.exists() or path.read_text().count("\n") <= count:
        assert time.monotonic() < deadline, f"{path} never had {count} rows"
        time.sleep(0.01)
    return path.read_text()


def test_a_killed_training_goes_on_bit_for_bit(run: Run, options: Options, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run(train.main, *options(whole)).code == 0
    expected = (whole / "steps.csv").read_text()
    assert expected.count("\n") > 12
    for rows in (3, 9):
        process = start(options(part))
        wait_for_rows(part / "steps.csv", rows)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    ended = run(train.main, *options(part))
    assert ended.code == 0, ended.err
    assert "continued after" in ended.err
    assert (part / "steps.csv").read_text() == expected
    assert (part / "validation.csv").read_text() == (whole / "validation.csv").read_text()


def test_a_full_disk_is_named_and_leaves_no_half_file(options: Options, tmp_path: Path) -> None:
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
        "from compofa.supernet.commands.train_command import main; main()"
    )
    command = [sys.executable, "-c", limited, *options(tmp_path)]
    ended = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 2
    state = tmp_path / "state.pt"
    assert ended.stderr == (
        f"error: {state}: cannot write the state of the training: file too large\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_torchrun_goes_on_when_one_of_its_processes_is_killed(
    options: Options, tmp_path: Path
) -> None:
    torchrun = "torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 1"
    process = start(options(tmp_path), ("-m", *torchrun.split()))
    steps = tmp_path / "steps.csv"
    before = wait_for_rows(steps, 5)
    os.kill(_worker(process.pid, rank=1), signal.SIGKILL)
    assert process.wait(100) == 0
    after = steps.read_text()
    assert after.startswith(before[: before.rindex("\n") + 1])
    places = [tuple(row.split(",")[:2]) for row in after.splitlines()[1:]]
    assert len(set(places)) == len(places) > 12
    told = (tmp_path / "log.txt").read_text()
    assert "continued after" in told
    assert told.count("done: ") == 1


def _worker(torchrun: int, rank: int) -> int:
    """The process of that rank among torchrun's children."""
    for children in Path(f"/proc/{torchrun}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            if f"RANK={rank}".encode() in environment:
                return child
    raise AssertionError(f"torchrun has no worker of rank {rank}")
