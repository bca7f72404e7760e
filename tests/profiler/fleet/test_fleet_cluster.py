"""Devices that hang on the hosts of a real Ray cluster, and a host that dies."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.commands import main
from compofa.profiler.fleet.cluster import Cluster
from compofa.profiler.fleet.fleet import Fleet
from compofa.profiler.fleet.job import FailedJob, FinishedJob
from compofa.profiler.measurement.progress import Screen
from compofa.profiler.models.collection.find_models import collection_of
from compofa.profiler.results.table import read_table
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from rigs.boards import ONE_SUBNET, add_boards, small_job, timings, write_inventory
from rigs.cluster import SETTINGS, RayCluster
from rigs.commands import Run
from rigs.model_files import write_onnx
from rigs.peer import processes_naming
from rigs.sshd import Sshd


@pytest.fixture(scope="module")
def boards(sshd: Sshd) -> list[SshDevice]:
    return add_boards(sshd, ["first", "second"])


@pytest.fixture(scope="module")
def cluster(sshd: Sshd, boards: list[SshDevice]) -> Iterator[RayCluster]:
    """Two hosts, with a board each; hosts alone know the way to the boards."""
    handler = signal.getsignal(signal.SIGTERM)
    with RayCluster(sshd.home) as started, pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        for board in boards:
            started.add(f"host-of-{board.name}", [board.name])
        yield started
    signal.signal(signal.SIGTERM, handler)


def meanwhile(cluster: RayCluster, journal: Path) -> None:
    """Kills the second board's host in the middle, and gives the board to another."""
    until = time.monotonic() + 60
    while len(timings(journal)) < 9 and time.monotonic() < until:
        time.sleep(0.05)
    cluster.kill("host-of-second")
    cluster.add("another", ["second"])


def test_what_a_dead_host_had_measured_is_kept_and_another_goes_on(
    cluster: RayCluster,
    boards: list[SshDevice],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = [small_job(board) for board in boards]
    nowhere = SshDevice(name="nowhere", host="nowhere")
    jobs.append(small_job(nowhere))
    killer = threading.Thread(target=meanwhile, args=(cluster, Path("second.journal.jsonl")))
    with Cluster(cluster.address) as hosts, Screen(plain=True) as screen:
        killer.start()
        *done, lacking = Fleet(jobs, hosts, screen).run()
        killer.join()
    assert lacking == FailedJob("no host of the cluster has this device", 4)
    captured = capsys.readouterr()
    assert "second: its host" in captured.err
    assert "it continues on the next host that has the device" in captured.err
    assert captured.out == ""
    for board, end in zip(boards, done, strict=True):
        assert isinstance(end, FinishedJob)
        rows = read_table(end.outcome.written.path).rows
        measured = {row.cell for row in rows if row.source == "measured"}
        assert len(measured) == len(ONE_SUBNET.resolutions)
        found = Counter(
            (timing.session, timing.cell)
            for timing in timings(Path(f"{board.name}.journal.jsonl"))
            if timing.cell
        )
        assert set(found.values()) == {1}
        assert {cell for _, cell in found} == measured
        assert Path(f"{board.name}.meta.json").exists()


def test_ctrl_c_ends_the_agents_on_other_hosts_too(
    cluster: RayCluster,
    boards: list[SshDevice],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Path("first.journal.jsonl")

    def press() -> None:
        until = time.monotonic() + 60
        while len(timings(journal)) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    presser = threading.Thread(target=press)
    with Cluster(cluster.address) as hosts, Screen(quiet=True) as screen:
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            Fleet([small_job(boards[0])], hosts, screen).run()
        presser.join()
    assert 3 <= len(timings(journal)) < 2 * len(ONE_SUBNET.resolutions)
    assert processes_naming(boards[0].folder) == []


def test_the_command_measures_over_the_cluster(
    cluster: RayCluster,
    boards: list[SshDevice],
    tiny_space_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_inventory(tmp_path, boards[:1])
    # No cell gets so narrow an interval in that time, and a busy computer still measures some.
    budget = ("--max-time", "12s", "--target", "0.1%")
    options = ("--space", tiny_space_file, "--plan", "5", "--no-pause", *budget)
    ended = run(main, "--device", "first", "--cluster", cluster.address, *options, "--json")
    assert ended.code == 124
    (told,) = json.loads(ended.out)["tables"]
    assert told["table"] == "first.csv"
    assert told["measured"] >= 1


def test_model_files_travel_to_the_host_that_measures_them(
    cluster: RayCluster, boards: list[SshDevice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    write_onnx(tmp_path / "nets" / "two parts.onnx", external="parts/w.bin")
    (tmp_path / "nets" / "junk.onnx").write_text("no model")
    space = collection_of("mine", [], [tmp_path / "nets"])
    job = small_job(boards[0])
    request = replace(job.request, space=space, measure="auto", out=Path("first.csv"))
    with Cluster(cluster.address) as hosts, Screen(quiet=True) as screen:
        (end,) = Fleet([replace(job, request=request)], hosts, screen).run()
    assert isinstance(end, FinishedJob)
    rows = {row.cell.subnet: row for row in read_table(Path("first.csv")).rows}
    assert rows["two parts"].source == "measured"
    assert rows["two parts"].latency_ms is not None
    (failure,) = end.outcome.written.meta.failures.values()
    assert failure.startswith("junk.onnx: this is no ONNX file")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("here", "--cluster must be auto or HOST:PORT"),
        ("-x:1", "--cluster must be auto or HOST:PORT"),
        ("127.0.0.1:1", "cannot join the cluster at 127.0.0.1:1: Connection refused"),
        ("127.0.0.1:99999", "cannot join the cluster"),
        ("nowhere.invalid:6379", "cannot join the cluster at nowhere.invalid:6379: Name or serv"),
    ],
)
def test_a_cluster_that_is_not_there_is_the_user_s_mistake(address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Cluster(address)
