"""A whole profile of this computer, on tiny networks: what it writes, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError, OutOfTime, UserError
from compofa.common.files import sha256
from compofa.profiler.agent import AGENT
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.measurement.profile import Outcome, ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.build import write_tables
from compofa.profiler.results.journal import (
    Failure,
    SessionLine,
    Timing,
    journal_path,
    of_kind,
    read_journal,
)
from compofa.profiler.results.meta import meta_path
from compofa.profiler.results.table import Cell, Table, read_table, write_table
from compofa.profiler.statistics.interval import Estimate
from compofa.profiler.transports.base import Channel, Transport
from compofa.profiler.transports.local import LocalChannel, LocalDevice, LocalTransport
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from rigs.protocols import QUICK

DEVICE = LocalDevice(name="here")


def request(space: Space, out: Path) -> ProfileRequest:
    return ProfileRequest(space, (32, 40), (1,), out, measure=6, protocol=QUICK, patience_s=0)


def measure(
    asked: ProfileRequest, transport: Transport | None = None, models: ModelStore | None = None
) -> Outcome:
    # The machine that runs the tests is busy with them: no use waiting.
    display = Display("here", quiet=True)
    return profile(DEVICE, asked, display, transport=transport, models=models)


@pytest.fixture(scope="module")
def outcome(tiny_space: Space, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return measure(request(tiny_space, tmp_path_factory.mktemp("profile") / "here.csv"))


def test_the_table_covers_the_space(outcome: Outcome, tiny_space: Space) -> None:
    table = read_table(outcome.written.path)
    assert table == outcome.written.table
    assert {(row.cell.subnet, row.cell.resolution) for row in table.rows} == {
        (tiny_space.key(subnet), r) for subnet in tiny_space.enumerate() for r in (32, 40)
    }
    measured = [row for row in table.rows if row.source == "measured"]
    assert len(measured) == 26
    assert all(row.n_runs >= 3 * row.n_sessions >= 3 for row in measured)
    assert all(
        row.n_runs == 0 and not row.model_sha256 for row in table.rows if row not in measured
    )


def test_the_meta_file_says_how_it_was_measured(outcome: Outcome) -> None:
    meta = json.loads(meta_path(outcome.written.path).read_text())
    assert meta["setup"]["runtime"] == "onnxruntime"
    assert meta["fingerprint"]["cpus"] == os.cpu_count()
    assert len(meta["fingerprint"]["runtime_sha256"]) == 64
    assert meta["agent_sha256"] == sha256(AGENT.read_bytes())
    assert len(meta["affinity"]) == 1
    assert meta["held_out_error"]["n"] == 20
    assert meta["protocol"]["max_sessions"] == 2
    assert meta["sessions"] >= 2


def test_the_reference_is_timed_before_between_and_after_cells(outcome: Outcome) -> None:
    _, lines = read_journal(journal_path(outcome.written.path))
    for number in {line.session for line in of_kind(lines, SessionLine)}:
        cells = [line.cell for line in of_kind(lines, Timing) if line.session == number]
        assert len(cells) == 2 * 26 + 1
        assert set(cells[::2]) == {None}
        assert None not in cells[1::2]


def test_each_session_has_an_order_of_its_own(outcome: Outcome) -> None:
    _, lines = read_journal(journal_path(outcome.written.path))
    first, second = (
        [line.cell for line in of_kind(lines, Timing) if line.cell and line.session == number]
        for number in (1, 2)
    )
    assert set(first) == set(second)
    assert first != second


def test_each_session_is_a_fresh_process_that_is_gone(outcome: Outcome) -> None:
    _, lines = read_journal(journal_path(outcome.written.path))
    pids = [line.pid for line in of_kind(lines, SessionLine)]
    assert len(set(pids)) == len(pids) >= 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_table_can_be_rebuilt_from_the_journal_alone(
    outcome: Outcome, tiny_space: Space, tmp_path: Path
) -> None:
    header, lines = read_journal(journal_path(outcome.written.path))
    write_tables(tmp_path / "again.csv", tiny_space, header, lines)
    assert (tmp_path / "again.csv").read_bytes() == outcome.written.path.read_bytes()


def test_columns_of_ones_own_are_kept_when_the_table_is_written_again(
    outcome: Outcome, tiny_space: Space, tmp_path: Path
) -> None:
    header, lines = read_journal(journal_path(outcome.written.path))
    table = outcome.written.table
    rows = tuple(replace(row, extra=(float(i),)) for i, row in enumerate(table.rows[1:]))
    out = tmp_path / "again.csv"
    write_table(out, Table(table.setup, rows, ("energy_mj",)))
    again = write_tables(out, tiny_space, header, lines).table
    found = {row.cell: row.extra for row in again.rows}
    assert again.extra == ("energy_mj",)
    assert found == {table.rows[0].cell: (None,), **{row.cell: row.extra for row in rows}}


def test_a_finished_profile_is_not_measured_again(outcome: Outcome, tiny_space: Space) -> None:
    before = journal_path(outcome.written.path).read_bytes()
    again = measure(request(tiny_space, outcome.written.path))
    assert again.written.table == outcome.written.table
    assert journal_path(outcome.written.path).read_bytes() == before


class Interrupting(Display):
    """Presses Ctrl-C when the n-th cell begins."""

    def __init__(self, after: int) -> None:
        super().__init__("here", quiet=True)
        self.after = after

    def cell(self, cell: Cell, estimate: Estimate | None) -> None:
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


def test_an_interrupted_profile_goes_on_where_it_stopped(tiny_space: Space, tmp_path: Path) -> None:
    asked = request(tiny_space, tmp_path / "here.csv")
    with pytest.raises(KeyboardInterrupt):
        profile(DEVICE, asked, Interrupting(after=30))
    _, before = read_journal(journal_path(asked.out))
    assert sum(line.cell is not None for line in of_kind(before, Timing)) == 29
    done = measure(asked)
    _, after = read_journal(journal_path(asked.out))
    assert after[: len(before)] == before
    measured = [row for row in done.written.table.rows if row.source == "measured"]
    assert [row.n_sessions for row in measured] == [2] * 26


def test_out_of_time_is_said_and_can_be_resumed(tiny_space: Space, tmp_path: Path) -> None:
    asked = request(tiny_space, tmp_path / "here.csv")
    with pytest.raises(OutOfTime, match="no time was left"):
        measure(replace(asked, protocol=replace(QUICK, max_time_s=0.01)))
    short = replace(QUICK, max_time_s=5.0, min_sessions=1000, max_sessions=1000)
    ended = measure(replace(asked, protocol=short))
    assert ended.out_of_time
    assert ended.seconds < 10
    done = measure(asked)
    assert not done.out_of_time


class Sabotaged(ModelStore):
    """Hands out a file that is no model for one cell, and another cell's model for a second."""

    def __init__(self, space: Space, broken: Cell, swapped: Cell) -> None:
        super().__init__((SPACES[REFERENCE.space], space))
        self.broken, self.swapped = broken, swapped

    def model(self, cell: Cell) -> ModelFile:
        model = super().model(cell)
        if cell == self.broken:
            path = model.path.parent / sha256(b"no model")
            path.write_bytes(b"no model")
            return replace(model, path=path, sha256=path.name)
        if cell == self.swapped:
            other = super().model(replace(cell, subnet="d44444"))
            return replace(model, path=other.path, sha256=other.sha256)
        return model


def test_cells_that_cannot_be_measured_fail_and_the_rest_goes_on(
    tiny_space: Space, outcome: Outcome, tmp_path: Path
) -> None:
    measured = [row.cell for row in outcome.written.table.rows if row.source == "measured"]
    broken, swapped = [cell for cell in measured if cell.subnet != "d44444"][:2]
    done = measure(
        request(tiny_space, tmp_path / "here.csv"), models=Sabotaged(tiny_space, broken, swapped)
    )
    rows = {row.cell: row for row in done.written.table.rows}
    assert rows[broken].status == rows[swapped].status == "failed"
    assert rows[broken].latency_ms is None
    assert done.written.count("failed") == 2
    assert len(rows) == 486
    reasons = {line.cell: line.reason for line in of_kind(read_journal(
        journal_path(done.written.path))[1], Failure)}  # fmt: skip
    assert "cannot load the model" in reasons[broken]
    assert "its output is not what the host computes" in reasons[swapped]


class Murderous(LocalTransport):
    """Kills the agent whenever it is asked to load one model, `times` over."""

    def __init__(self, victim: str, times: int) -> None:
        super().__init__(DEVICE)
        self.victim, self.times = victim, times

    def start_agent(self) -> Channel:
        channel = super().start_agent()
        assert isinstance(channel, LocalChannel)
        return Deadly(channel, self)


class Deadly(Channel):
    """A channel that kills its agent before it lets the fatal request through."""

    def __init__(self, channel: LocalChannel, murderer: Murderous) -> None:
        self.channel, self.murderer = channel, murderer

    def send(self, data: bytes) -> None:
        if self.murderer.victim.encode() in data and self.murderer.times:
            self.murderer.times -= 1
            os.kill(self.channel.pid, signal.SIGKILL)
        self.channel.send(data)

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        return self.channel.receive_line(deadline_s, longest)

    def diagnosis(self) -> str:
        return self.channel.diagnosis()

    def close(self) -> None:
        self.channel.close()


@pytest.mark.parametrize(("times", "status"), [(1, "ok"), (2, "failed")])
def test_a_cell_that_kills_the_agent_has_a_second_chance(
    tiny_space: Space, outcome: Outcome, tmp_path: Path, times: int, status: str
) -> None:
    victim = next(row for row in outcome.written.table.rows if row.source == "measured")
    done = measure(
        request(tiny_space, tmp_path / "here.csv"), transport=Murderous(victim.model_sha256, times)
    )
    rows = {row.cell: row for row in done.written.table.rows}
    assert (rows[victim.cell].status == "failed") == (status == "failed")
    others = [row for row in rows.values() if row.source == "measured" and row.cell != victim.cell]
    assert len(others) == 25
    assert all(row.status != "failed" for row in others)


def test_a_device_on_which_nothing_can_be_measured_is_given_up(
    tiny_space: Space, tmp_path: Path
) -> None:
    with ModelStore([SPACES[REFERENCE.space]]) as store:
        reference = store.model(REFERENCE).sha256
    with pytest.raises(DeviceError, match="the agent (ended|is gone): signal 9"):
        measure(request(tiny_space, tmp_path / "x.csv"), transport=Murderous(reference, 99))


def test_a_missing_runtime_is_the_device_s_fault(tiny_space: Space, tmp_path: Path) -> None:
    there = SshDevice(name="there", host="there.invalid", runtime="coreml")
    asked, display = request(tiny_space, tmp_path / "x.csv"), Display("x", quiet=True)
    with pytest.raises(DeviceError, match=r"does not have the runtime coreml.*has onnxruntime"):
        profile(there, asked, display, transport=LocalTransport(DEVICE))
    assert not asked.out.exists()


def test_a_missing_interpreter_is_the_user_s_mistake(tiny_space: Space, tmp_path: Path) -> None:
    device = LocalDevice(name="here", python=str(tmp_path / "python"))
    with pytest.raises(UserError, match="cannot start the agent with .*python"):
        profile(device, request(tiny_space, tmp_path / "x.csv"), Display("x", quiet=True))


MAIN = "from compofa.profiler.commands import main; main()"


def start(folder: Path, space: Path, *options: str) -> subprocess.Popen[str]:
    (folder / "devices.yaml").write_text("here: {transport: local}\n")
    asked = ["--device", "here", "--space", str(space), "--no-pause", *options]
    command = [sys.executable, "-c", MAIN, *asked]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def timed(journal: Path) -> list[bytes]:
    """The intact lines of measured cells."""
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return [line for line in lines if b'"kind": "timing"' in line and b'"cell": {' in line]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_profile_ended_at_any_moment_loses_no_finished_cell(
    tmp_path: Path, tiny_space_file: Path, end: signal.Signals
) -> None:
    journal = tmp_path / "here.journal.jsonl"
    process = start(tmp_path, tiny_space_file, "--plan", "5")
    wait_for(lambda: len(timed(journal)) >= 7)
    process.send_signal(end)
    _, stderr = process.communicate(timeout=20)
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command continues from there" in stderr
        assert "Traceback" not in stderr
    kept = timed(journal)
    assert len(kept) >= 7
    sessions = of_kind(read_journal(journal)[1], SessionLine)
    wait_for(lambda: not any(Path(f"/proc/{line.pid}").exists() for line in sessions))
    again = start(tmp_path, tiny_space_file, "--plan", "5", "--max-time", "3s")
    _, stderr = again.communicate(timeout=60)
    assert again.returncode == 124, stderr
    assert timed(journal)[: len(kept)] == kept
    table = read_table(tmp_path / "here.csv")
    # Which cells are measured depends on the order of the sessions alone, so none is lost.
    for line in kept:
        cell = Cell(**json.loads(line)["cell"])
        row = next(row for row in table.rows if row.cell == cell)
        assert row.source == "measured"


@pytest.fixture
def begun(outcome: Outcome, tmp_path: Path) -> Path:
    """A copy of a finished table, with its journal and meta file."""
    path = tmp_path / "here.csv"
    for of in (lambda table: table, journal_path, meta_path):
        of(path).write_bytes(of(outcome.written.path).read_bytes())
    return path


def test_other_sizes_go_on_with_a_table_and_keep_the_rows_that_it_predicted(
    begun: Path, tiny_space: Space
) -> None:
    before = {row.cell for row in read_table(begun).rows}
    asked = replace(request(tiny_space, begun), resolutions=(48,), columns=("load_ms",))
    measure(asked)
    table = read_table(begun)
    assert before < {row.cell for row in table.rows}
    assert {row.cell.resolution for row in table.rows} == {32, 40, 48}
    assert {row.source for row in table.rows if row.cell.resolution == 32} == {
        "measured",
        "predicted",
    }
    # The columns that were asked for are those of all that was ever measured.
    assert table.extra == ("load_ms", "load_ci_low_ms", "load_ci_high_ms")
    assert all(row.extra[0] is not None for row in table.rows if row.source == "measured")
    # Loading is predicted where that was seen to work, which depends on the computer.
    assert all(row.extra[1] is None for row in table.rows if row.source == "predicted")


def test_another_space_does_not_take_predicted_rows_away(begun: Path, tiny_space: Space) -> None:
    before = begun.read_bytes()
    with pytest.raises(UserError, match="would be lost.*--out writes a table of its own"):
        measure(replace(request(tiny_space, begun), space=SPACES["compofa"], resolutions=(32,)))
    assert begun.read_bytes() == before


def test_a_column_that_nobody_measures_is_refused_before_anything_is_measured(
    begun: Path, tiny_space: Space
) -> None:
    before = journal_path(begun).read_bytes()
    with pytest.raises(UserError, match="no measured column 'energy_mj'"):
        measure(replace(request(tiny_space, begun), columns=("energy_mj",)))
    assert journal_path(begun).read_bytes() == before
