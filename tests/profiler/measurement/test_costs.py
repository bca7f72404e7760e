"""Passes apart from timing: what they count, how they go on, and what becomes of trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.measurement.costs import passes
from compofa.profiler.measurement.costs.passes import check_passes
from compofa.profiler.measurement.costs.throughput import runs_per_second
from compofa.profiler.measurement.profile import Outcome, ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.journal import Cost, PlanLine, journal_path, of_kind, read_journal
from compofa.profiler.results.meta import meta_path, read_meta
from compofa.profiler.results.table import read_table
from compofa.profiler.settings import COST_PASSES, Protocol
from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.agent_client import AgentError
from compofa.profiler.transports.base import AgentLost
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.space import Space

FAST = Protocol(target=0.9, min_sessions=1, max_sessions=1, look_runs=1, run_s=0.0, min_runs=5)


def measured(space: Space, out: Path, streams: int = 2, *columns: str) -> Outcome:
    from compofa.profiler.results.table import Cell

    cells = tuple(Cell(space.name, key, 32, 1) for key in ("d22222", "d44444"))
    wanted = columns or ("peak_memory_mb", "throughput_per_s")
    request = ProfileRequest(
        space, (32,), (1,), out, cells, FAST, patience_s=0, columns=wanted, streams=streams
    )
    with Display("here", quiet=True) as display:
        return profile(LocalDevice(name="here"), request, display)


def costs_of(out: Path) -> list[Cost]:
    return of_kind(read_journal(journal_path(out))[1], Cost)


def test_each_cell_is_counted_in_every_pass_and_once(tiny_space: Space, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    measured(tiny_space, out)
    before = costs_of(out)
    assert len(before) == 2 * 2 * COST_PASSES
    table = read_table(out)
    for row in table.rows:
        if row.source == "measured":
            told = dict(zip(table.extra, row.extra, strict=True))
            low, high = told["peak_memory_ci_low_mb"], told["peak_memory_ci_high_mb"]
            assert low is not None
            assert high is not None
            assert 0 < low <= (told["peak_memory_mb"] or 0) <= high
            assert (told["throughput_per_s"] or 0) > 0
    assert "Workers at once: 2" in read_meta(meta_path(out)).measures["throughput_per_s"].meaning
    measured(tiny_space, out)
    assert costs_of(out) == before


def test_other_workers_are_counted_anew(
    tiny_space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(access: object, model: object, batch_size: int, streams: int) -> dict[str, float]:
        return {"streams": float(streams), "per_s": 100.0 * streams}

    monkeypatch.setattr(passes, "throughput", count)
    out = tmp_path / "t.csv"
    for streams in (1, 4):
        measured(tiny_space, out, streams, "throughput_per_s")
        table = read_table(out)
        place = table.extra.index("throughput_per_s")
        rows = [row for row in table.rows if row.source == "measured"]
        assert {row.extra[place] for row in rows} == {100.0 * streams}


def raising(error: Exception) -> Callable[..., dict[str, float]]:
    def count(*_: object) -> dict[str, float]:
        raise error

    return count


def test_a_process_that_is_killed_leaves_its_reason(
    tiny_space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "peak_memory", raising(AgentLost("the agent ended (signal 9)")))
    out = tmp_path / "t.csv"
    written = measured(tiny_space, out, 1, "peak_memory_mb").written
    assert any("signal 9" in text for text in written.meta.caveats)
    place = written.table.extra.index("peak_memory_mb")
    assert {row.extra[place] for row in written.table.rows} == {None}
    assert all(row.latency_ms for row in written.table.rows if row.source == "measured")


def test_a_device_that_does_not_count_is_asked_once(
    tiny_space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = AgentError("counter", "this kernel cannot forget an earlier peak")
    monkeypatch.setattr(passes, "peak_memory", raising(error))
    out = tmp_path / "t.csv"
    measured(tiny_space, out, 1, "peak_memory_mb")
    assert costs_of(out) == []


def test_only_what_all_workers_did_together_counts() -> None:
    assert runs_per_second([[10**8] * 10]) == pytest.approx(10)
    assert runs_per_second([[10**8] * 10, [10**8] * 10]) == pytest.approx(20)
    # The slower one goes on alone, and is then faster: that is no throughput of two.
    assert runs_per_second([[10**8] * 10, [2 * 10**8] * 5 + [10**7] * 100]) == pytest.approx(15)


def test_a_tail_has_as_many_runs_as_it_needs(tiny_space: Space, tmp_path: Path) -> None:
    out = tmp_path / "t.csv"
    measured(tiny_space, out, 1, "p99_ms")
    plan = of_kind(read_journal(journal_path(out))[1], PlanLine)[-1]
    assert 3 * plan.protocol["min_runs"] >= 1000


def test_a_program_that_runs_alone_has_no_throughput() -> None:
    device = AdbDevice(name="phone", serial="x", transport="adb", runtime="benchmark_model")
    with pytest.raises(UserError, match="runs one model at a time"):
        check_passes(device, ("throughput",))
    check_passes(device, ("memory",))
    assert replace(FAST).min_runs == 5
