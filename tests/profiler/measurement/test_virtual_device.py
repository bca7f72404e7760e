"""The fast part of the study of virtual devices: profiles by the command, against what is true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from compofa.profiler.results.table import Row, read_table
from rigs.benchmarks import load_benchmark
from rigs.commands import Ended
from rigs.virtual_device import VirtualDevice, run_command_on


@dataclass(frozen=True)
class Profiled:
    """What a profile of a virtual device came to."""

    device: VirtualDevice
    ended: Ended
    rows: tuple[Row, ...]
    meta: dict[str, Any]

    def bias(self, row: Row) -> float:
        """How far a row is from the truth."""
        assert row.latency_ms is not None
        return row.latency_ms / self.device.figure(row.cell) - 1

    @property
    def ok(self) -> list[Row]:
        return [row for row in self.rows if row.status == "ok"]


@pytest.fixture(scope="module")
def study() -> ModuleType:
    return load_benchmark("bench_truth")


def profiled(study: ModuleType, scene: str, seed: int = 1) -> Profiled:
    device = study.SCENES[scene].device(seed)
    with study.folder() as here:
        ended = run_command_on(
            device, study.profile_main, "--device", study.NAME, "--plan", 4,
            "--resolutions", "160,224", "--out", "v.csv",
        )  # fmt: skip
        table = here / "v.csv"
        assert table.exists(), ended.err
        meta = json.loads(Path("v.meta.json").read_text())
        return Profiled(device, ended, read_table(table).rows, meta)


@pytest.mark.parametrize(
    "scene",
    [
        "warm-up: runs 30 % slow, e-folding 30; process 20 % slow for 500",
        "warm-up: 30 % slow, e-folding 30 runs",
        "warm-up: 30 % slow, e-folding 300 runs",
        "warm-up: 30 % slow for 100 runs",
        "warm-up: 30 % slow for 500 runs",
        "warm-up: process 20 % slow, e-folding 300 runs",
    ],
)
def test_warm_up_is_waited_for_or_the_cell_is_marked(study: ModuleType, scene: str) -> None:
    found = profiled(study, scene)
    assert max((abs(found.bias(row)) for row in found.ok), default=0.0) <= 0.01
    if len(found.ok) < len(found.rows):
        assert found.ended.code == 3
        assert found.meta["doubts"]
        assert "of them because" in found.ended.out


@pytest.mark.parametrize(
    "scene", ["timer of 100 us, cells of 0.5 to 3 ms", "timer of 16 ms, cells of 0.5 to 3 ms"]
)
def test_a_coarse_clock_is_found_and_does_not_bias(study: ModuleType, scene: str) -> None:
    found = profiled(study, scene)
    assert found.meta["clock_tick_ns"] == (100_000 if "100 us" in scene else 15_625_000)
    mean = sum(map(found.bias, found.ok)) / len(found.ok)
    # The sessions of one profile share an error of half a per cent.
    assert abs(mean) < 0.02
    assert len(found.ok) > len(found.rows) / 2


def test_a_clock_that_jumps_costs_no_profile(study: ModuleType) -> None:
    found = profiled(study, "clock jumps by 2 h in 1 of 300 runs of the reference")
    assert len(found.ok) == len(found.rows)
    assert max(abs(found.bias(row)) for row in found.rows) < 0.03


def test_a_quiet_device_is_left_after_three_sessions(study: ModuleType) -> None:
    found = profiled(study, "quiet, 0.1 % between sessions")
    assert {row.n_sessions for row in found.rows} == {3}
    assert max(abs(found.bias(row)) for row in found.ok) < 0.005


@pytest.mark.parametrize(
    ("scene", "named"),
    [
        ("two speeds by load of a model, +10 %", "loads of a model ran"),
        ("two speeds of runs, +10 %", "runs were"),
        ("throttled from session 4 on, the reference is not", "but the reference model ran"),
    ],
)
def test_two_speeds_are_named(study: ModuleType, scene: str, named: str) -> None:
    found = profiled(study, scene)
    assert named in found.ended.out
    assert found.meta["speeds"]
