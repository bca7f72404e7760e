"""A fleet's ways with what befalls its devices; workers are played by scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.fleet.fleet import MOST_LOSSES, Fleet, Workers
from compofa.profiler.fleet.job import (
    End,
    FailedJob,
    FinishedJob,
    Interrupted,
    Job,
    LostJob,
    Noted,
    Progress,
    SessionBegun,
)
from compofa.profiler.measurement.profile import Outcome, ProfileRequest
from compofa.profiler.measurement.progress import Screen
from compofa.profiler.results.build import Tabulated
from compofa.profiler.results.meta import Meta
from compofa.profiler.results.table import SetUp, Table
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.supernet.spaces import SPACES

SETUP = SetUp("x", "onnxruntime", "1", "cpu", 1, "float32")
DONE = FinishedJob(
    Outcome(
        Tabulated(Path("x.csv"), Table(SETUP, ()), Meta(setup=SETUP), None),
        1.0,
        False,
    )
)
GONE = LostJob("its host was lost")

Script = dict[str, list[list[Progress | End]]]


class Scripted(Workers):
    """Each start of a device plays its next list of reports, one a call; then comes Ctrl-C.

    Args:
        hosts: which devices have a host, from call to call; the last stays. None: all have.
    """

    def __init__(self, script: Script, hosts: list[Collection[str]] | None = None) -> None:
        self.script, self.hosts = script, hosts
        self.started: list[Job] = []
        self.playing: dict[str, list[Progress | End]] = {}
        self.interrupted = False

    def start(self, job: Job) -> None:
        self.started.append(job)
        if not self.script[job.name]:
            raise UserError("cannot write the journal")
        self.playing[job.name] = self.script[job.name].pop(0)

    def take(self, timeout_s: float) -> list[tuple[str, Progress | End]]:
        if self.interrupted:
            names, self.playing = list(self.playing), {}
            return [(name, Interrupted()) for name in names]
        if self.playing and not any(self.playing.values()):
            raise KeyboardInterrupt
        taken = [(name, reports.pop(0)) for name, reports in self.playing.items() if reports]
        for name, report in taken:
            if isinstance(report, End):
                del self.playing[name]
        return taken

    def interrupt(self) -> None:
        self.interrupted = True

    def reachable(self) -> Collection[str] | None:
        if self.hosts is None:
            return None
        return self.hosts.pop(0) if len(self.hosts) > 1 else self.hosts[0]

    def close(self) -> None:
        pass


def job(name: str, max_time_s: float | None = None) -> Job:
    space = SPACES["compofa"]
    request = ProfileRequest(
        space, (160,), (1,), Path(f"{name}.csv"), protocol=Protocol(max_time_s=max_time_s)
    )
    return Job(SshDevice(name=name, host=name), request)


def run(workers: Scripted, *names: str, return_s: float = 60.0) -> list[FinishedJob | FailedJob]:
    return Fleet(list(map(job, names)), workers, Screen(plain=True), return_s=return_s).run()


def test_a_device_that_fails_does_not_keep_the_rest_from_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = FailedJob("cannot reach pi", 4)
    workers = Scripted({"pi": [[failed]], "nano": [[Noted("hot"), DONE]], "disk": []})
    ends = run(workers, "pi", "nano", "disk")
    assert ends == [failed, DONE, FailedJob("cannot write the journal", 2)]
    said = capsys.readouterr().err.splitlines()
    assert "pi: error: cannot reach pi" in said
    assert "nano: hot" in said


def test_without_a_terminal_each_session_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    run(Scripted({"pi": [[SessionBegun(1, 5, 60), DONE]]}), "pi")
    assert capsys.readouterr().err.splitlines() == [
        "pi: session 1 of about 5, 60 cells",
        "pi: done: x.csv",
    ]


def test_a_terminal_shows_a_line_for_each_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    workers = Scripted({"pi": [[SessionBegun(2, 5, 60), DONE]], "nano": [[DONE]]})
    with Screen(plain=True) as screen:
        Fleet([job("pi"), job("nano")], workers, screen).run()
        screen.update(screen.add("pixel"), description="waiting")
    shown = capsys.readouterr().err
    assert "session 2 of about 6, 60 cells" not in shown
    for word in ("pi", "nano", "pixel", "done"):
        assert word in shown


def test_a_device_goes_on_when_it_has_a_host_again() -> None:
    workers = Scripted(
        {"pi": [[SessionBegun(1, 5, 60), GONE], [DONE]]}, hosts=[["pi"], ["pi"], [], [], ["pi"]]
    )
    assert run(workers, "pi") == [DONE]
    assert len(workers.started) == 2


def test_a_device_that_no_host_ever_had_is_told_at_once() -> None:
    workers = Scripted({"pi": [[DONE]]}, hosts=[["pi"]])
    _, lacking = run(workers, "pi", "pj")
    assert lacking == FailedJob("no host of the cluster has this device", 4)


def test_a_host_that_does_not_come_back_is_not_waited_for_forever() -> None:
    workers = Scripted({"pi": [[GONE]], "nano": [[DONE]]}, hosts=[["pi", "nano"], ["nano"]])
    lost, done = run(workers, "pi", "nano", return_s=0.05)
    assert isinstance(lost, FailedJob)
    assert "has had this device for 0.05 s; the same command continues" in lost.message
    assert done == DONE


def test_a_device_whose_hosts_die_again_and_again_is_given_up() -> None:
    workers = Scripted({"pi": [[GONE] for _ in range(MOST_LOSSES)]}, hosts=[["pi"]])
    (lost,) = run(workers, "pi")
    assert isinstance(lost, FailedJob)
    assert f"lost {MOST_LOSSES} times" in lost.message


def test_the_budget_of_a_device_is_not_renewed_when_it_goes_on() -> None:
    workers = Scripted({"pi": [[GONE], [DONE]]})
    Fleet([job("pi", 60.0)], workers, Screen()).run()
    first, second = (asked.request.protocol for asked in workers.started)
    assert first.max_time_s == 60.0
    assert second.max_time_s is not None
    assert 0 < second.max_time_s < 60.0
    assert replace(second, max_time_s=60.0) == first


def test_ctrl_c_lets_everything_end_in_order_and_passes_on() -> None:
    script: Script = defaultdict(lambda: [[SessionBegun(1, 5, 60)]])
    workers = Scripted(script)
    with pytest.raises(KeyboardInterrupt):
        run(workers, "pi", "nano")
    assert workers.interrupted
    assert workers.playing == {}
