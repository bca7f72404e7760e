"""Comparisons on devices that exist on paper, where the true ratio of two files is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from compofa.common.files import sha256
from compofa.profiler.comparison.changes import Changes
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.results.table import Cell
from compofa.profiler.side_by_side.compare_models import compare_models
from compofa.profiler.side_by_side.compare_set_ups import compare_set_ups
from compofa.profiler.side_by_side.model_pairs import ModelPair, PairedModels, SideBySideRequest
from compofa.profiler.statistics.compare import Verdict
from compofa.profiler.transports.local import LocalDevice
from rigs.disturbances import two_speeds, two_speeds_by_load, two_speeds_of_runs
from rigs.virtual_device import Disturbance, VirtualDevice

DEVICE = LocalDevice(name="paper")


class Notes(list[str]):
    """Keeps what the user would be told."""

    def session(self, number: int, expected: int, cells: int, what: str = "session") -> None: ...

    def cell(self, cell: Cell, estimate: object) -> None: ...

    def note(self, message: str) -> None:
        self.append(message)


def model(folder: Path, name: str, version: int) -> ModelFile:
    """A file as the virtual device takes it."""
    content = json.dumps(["files", name, 224, 1, version]).encode()
    path = folder / sha256(content)
    path.write_bytes(content)
    return ModelFile(path, path.name, None, 0)


def pair(folder: Path, name: str = "net", versions: tuple[int, int] = (0, 1)) -> ModelPair:
    base, new = (model(folder, name, version) for version in versions)
    return ModelPair(Cell("files", name, 224, 1), base, new)


def request(folder: Path, **changes: object) -> SideBySideRequest:
    asked = SideBySideRequest((folder / "a.journal.jsonl",), (Path("a"), Path("b")))
    return type(asked)(**{**asked.__dict__, **changes})


def compare(
    folder: Path,
    *,
    slower: float = 0.0,
    seed: int = 1,
    disturbances: Sequence[Disturbance] = (),
    pairs: Sequence[ModelPair] | None = None,
    **asked: object,
) -> Changes:
    device = VirtualDevice(
        truth=lambda _: 4.0, seed=seed, factors=(1.0, 1 + slower), disturbances=disturbances
    )
    models = PairedModels(tuple(pairs or [pair(folder)]))
    with device.plugged_in():
        return compare_models(DEVICE, models, request(folder, **asked), Notes())


@pytest.mark.parametrize(
    ("slower", "verdict"),
    [(0.02, Verdict.SLOWER), (-0.02, Verdict.FASTER), (0.0, Verdict.SAME)],
)
def test_the_verdict_is_that_of_the_truth(tmp_path: Path, slower: float, verdict: Verdict) -> None:
    changes = compare(tmp_path, slower=slower)
    assert changes.verdict is verdict
    (only,) = changes.cells
    assert only.ratio.low <= 1 + slower <= only.ratio.high


def test_a_quarter_of_a_percent_is_found(tmp_path: Path) -> None:
    assert compare(tmp_path, slower=0.0025, min_effect=0.0).verdict is Verdict.SLOWER


@pytest.mark.parametrize(
    "disturbance",
    [two_speeds(0.3), two_speeds_of_runs(0.3), two_speeds_by_load(0.03)],
    ids=["processes", "runs", "loads"],
)
def test_a_device_with_two_speeds_raises_no_alarm(tmp_path: Path, disturbance: Disturbance) -> None:
    alarms = 0
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        changes = compare(
            folder, seed=seed, disturbances=[disturbance], min_effect=0.0, max_time_s=15.0
        )
        alarms += changes.verdict is not Verdict.CANNOT_TELL
    # Each has a probability of at most .0375: more than two of eight are one in four hundred.
    assert alarms <= 2


def test_the_same_call_measures_nothing_that_is_decided(tmp_path: Path) -> None:
    first = compare(tmp_path, slower=0.02)
    size = (tmp_path / "a.journal.jsonl").stat().st_size
    again = compare(tmp_path, slower=0.02, seed=2)
    assert (tmp_path / "a.journal.jsonl").stat().st_size == size
    assert again.cells == first.cells
    assert again.side_by_side is not None
    assert again.side_by_side.went_on


def test_a_comparison_that_ran_out_of_time_gets_more(tmp_path: Path) -> None:
    first = compare(tmp_path, min_effect=0.0, max_time_s=10.0)
    again = compare(tmp_path, min_effect=0.0, max_time_s=10.0, seed=2)
    assert first.side_by_side is not None
    assert again.side_by_side is not None
    assert again.side_by_side.processes >= 1.5 * first.side_by_side.processes
    assert first.side_by_side.out_of_time


def test_identical_files_are_measured_at_a_wish_only(tmp_path: Path) -> None:
    same = pair(tmp_path, versions=(0, 0))
    found = compare(tmp_path, pairs=[same])
    assert not (tmp_path / "a.journal.jsonl").exists()
    assert found.verdict is Verdict.SAME
    forced = compare(tmp_path, pairs=[same], force=True)
    assert forced.side_by_side is not None
    assert forced.side_by_side.processes
    assert forced.side_by_side.identical == (same.cell,)


def test_several_models_share_their_processes(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, name) for name in ("a", "b", "c")]
    changes = compare(tmp_path, slower=0.02, pairs=pairs)
    assert [each.ratio.verdict for each in changes.cells] == [Verdict.SLOWER] * 3


def test_two_set_ups_are_compared_session_by_session(tmp_path: Path) -> None:
    """The virtual device knows no set-ups: that a file is slower stands for one that is."""
    device = VirtualDevice(truth=lambda _: 4.0, seed=1, factors=(1.0, 1.1))
    both = LocalDevice(name="a"), LocalDevice(name="b")
    asked = request(tmp_path, journals=(tmp_path / "a.jsonl", tmp_path / "b.jsonl"))
    with device.plugged_in():
        changes = compare_set_ups(both, PairedModels((pair(tmp_path),)), asked, Notes())
    assert changes.verdict is Verdict.SLOWER
    (only,) = changes.cells
    assert only.ratio.low <= 1.1 <= only.ratio.high
    assert changes.side_by_side is not None
    assert changes.side_by_side.set_ups
    assert changes.side_by_side.seconds <= 600
