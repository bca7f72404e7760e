"""Verification on this computer: finalists are really measured and added to the table."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.journal import (
    SessionLine,
    Timing,
    journal_path,
    of_kind,
    read_journal,
)
from compofa.profiler.results.table import Cell, Table, read_table, write_table
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.local import LocalDevice
from compofa.search.commands.search_command import main
from compofa.search.request import SearchRequest, find_candidates
from compofa.search.verification.measure_finalists import FinalistMeasurement, devices_of
from compofa.search.verification.verify import verify
from compofa.supernet.spaces import get_space

QUICK = Protocol(min_sessions=2, max_sessions=2, min_runs=2, run_s=0.001, warmup_s=0.01)

MOST_SESSIONS = 3


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of tiny networks, their space, accuracies and the inventory."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "tiny.yaml").write_text("name: tiny\nwidth: 0.25\nclasses: 10\nresolutions: [32]\n")
    (folder / "devices.yaml").write_text("here: {transport: local}\n")
    space = get_space(str(folder / "tiny.yaml"))
    request = ProfileRequest(space, (32,), (1,), folder / "t.csv", 8, QUICK, patience_s=0)
    profile(LocalDevice(name="here"), request, Display("here", quiet=True))
    with (folder / "accuracy.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["space", "subnet", "resolution", "top1", "source"])
        for subnet in space.enumerate():
            key = space.key(subnet)
            writer.writerow(["tiny", key, 32, 0.5 + sum(subnet.depths) / 50, "made up"])
    return folder


@pytest.fixture(autouse=True)
def _few_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of a tenth of a millisecond hardly ever settle."""
    monkeypatch.setattr("compofa.search.verification.verify.MOST_ROUNDS", 3)
    monkeypatch.setattr(
        "compofa.search.verification.measure_finalists.MOST_SESSIONS", MOST_SESSIONS
    )


@pytest.fixture
def folder(profiled: Path, tmp_path: Path) -> Path:
    """One of its own for each test."""
    for path in profiled.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def request(folder: Path) -> SearchRequest:
    return SearchRequest(
        [folder / "t.csv"], folder / "accuracy.csv", str(folder / "tiny.yaml"),
    )  # fmt: skip


def generous(table: Table) -> float:
    """A limit that networks of a tenth of a millisecond keep even while this computer is busy."""
    return 2 * max(row.latency_ms or 0.0 for row in table.rows)


def test_finalists_are_measured_interleaved_and_stay_in_the_table(folder: Path) -> None:
    before = read_table(folder / "t.csv")
    sessions = len(of_kind(read_journal(journal_path(folder / "t.csv"))[1], SessionLine))
    asked = request(folder)
    candidates = find_candidates(asked)
    devices = devices_of(candidates, folder / "devices.yaml")
    measuring = FinalistMeasurement(
        devices, asked.tables, lambda: find_candidates(asked), patience_s=0
    )
    limit = generous(before)
    done = verify(candidates, [(limit,)], measuring)
    after = {row.cell: row for row in read_table(folder / "t.csv").rows}
    assert done.measured
    assert all(after[cell].source == "measured" for cell in done.measured)
    assert len(after) == len(before.rows)
    (question,) = done.questions
    assert question.after is not None
    assert question.after.source == ("measured",)
    assert question.after.latency_ms[0] <= limit
    _, lines = read_journal(journal_path(folder / "t.csv"))
    fresh = [line for line in of_kind(lines, Timing) if line.session > sessions and line.cell]
    spent = Counter(line.cell for line in fresh)
    assert set(spent) == done.measured
    assert max(spent.values()) <= MOST_SESSIONS * done.rounds
    if len(done.measured) > 1:
        assert len({line.session for line in fresh}) < len(fresh)


def test_the_command_says_what_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    limit = generous(read_table(folder / "t.csv"))
    arguments = (
        f"compofa-search --table t.csv --space tiny.yaml --accuracy accuracy.csv --latency {limit} "
        "--verify --no-pause --max-time 20s --json"
    )
    monkeypatch.setattr("sys.argv", arguments.split())
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert ended.value.code == 0
    assert found["results"][0]["source"] == ["measured"]
    (question,) = found["verification"]["questions"]
    assert question["after"]["subnet"] == found["results"][0]["subnet"]
    assert len(found["verification"]["measured"]) >= 1
    assert "verified: " in printed.err


def test_time_that_runs_out_decides_nothing_and_leaves_with_124(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    table = read_table(folder / "t.csv")
    limit = generous(table)
    arguments = (
        f"compofa-search --table t.csv --space tiny.yaml --accuracy accuracy.csv --latency {limit} "
        "--verify --no-pause --max-time 0.001s --json"
    )
    monkeypatch.setattr("sys.argv", arguments.split())
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 124
    assert "no subnet meets" not in printed.err
    assert f"not decided within {limit:g} ms on here: the table's own answer is d" in printed.err
    found = json.loads(printed.out)
    assert (found["results"], found["infeasible"]) == ([], [])
    assert found["verification"]["questions"][0]["table"]["latency_ms"][0] <= limit


def test_a_table_without_its_journal_cannot_be_verified(folder: Path) -> None:
    journal_path(folder / "t.csv").unlink()
    asked = request(folder)
    candidates = find_candidates(asked)
    devices = devices_of(candidates, folder / "devices.yaml")
    measuring = FinalistMeasurement(devices, asked.tables, lambda: candidates, patience_s=0)
    with pytest.raises(UserError, match="the table has no journal beside it"):
        measuring(candidates, {Cell("tiny", "d22222", 32, 1): ((1.0,),)})


def test_a_device_that_is_not_in_the_inventory_is_named(folder: Path) -> None:
    table = read_table(folder / "t.csv")
    write_table(folder / "t.csv", replace(table, setup=replace(table.setup, device="elsewhere")))
    with pytest.raises(UserError, match="no device is called 'elsewhere'"):
        devices_of(find_candidates(request(folder)), folder / "devices.yaml")


def test_the_device_is_set_up_as_the_table_says(folder: Path) -> None:
    table = read_table(folder / "t.csv")
    write_table(folder / "t.csv", replace(table, setup=replace(table.setup, threads=2)))
    (device,) = devices_of(find_candidates(request(folder)), folder / "devices.yaml")
    assert device.threads == 2


@pytest.mark.parametrize(
    "options", [[], ["--latency", "1", "--family", "2"], ["--latency", "1", "--minimise", "macs"]]
)
def test_verify_is_for_limits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["compofa-search", "--table", "t.csv", "--verify", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--verify needs --latency" in capsys.readouterr().err
