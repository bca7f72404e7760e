"""Comparisons of two models on devices that exist on paper, where the true ratio is known."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from compofa.common.files import sha256
from compofa.profiler.comparison.changes import Changes
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.results.table import Cell
from compofa.profiler.side_by_side.compare_models import compare_models
from compofa.profiler.side_by_side.model_pairs import ModelPair, PairedModels, SideBySideRequest
from compofa.profiler.statistics.compare import Verdict
from compofa.profiler.transports.local import LocalDevice
from rigs.disturbances import two_speeds, two_speeds_by_load, two_speeds_of_runs
from rigs.virtual_device import Disturbance, Noise, VirtualDevice

RUN_MS = 4.0
CELL = Cell("files", "model", 224, 1)


@dataclass(frozen=True)
class Scene:
    """A kind of device."""

    noise: Noise = field(default_factory=Noise)
    disturbances: Sequence[Disturbance] = ()


SCENES = {
    "quiet": Scene(),
    "heavy tails": Scene(Noise(session=0.03, load=0.004, tail=True, rare=0.02)),
    "a busy loop on the same core": Scene(
        Noise(session=0.03), (two_speeds_of_runs(1.0, share=0.35, length=1),)
    ),
    "two speeds of processes, 30 % apart": Scene(disturbances=(two_speeds(0.3),)),
    "two speeds of runs, 30 % apart": Scene(disturbances=(two_speeds_of_runs(0.3),)),
    "two speeds of loads, 3 % apart": Scene(disturbances=(two_speeds_by_load(0.03),)),
}


class Silent:
    """Nobody is told."""

    def session(self, number: int, expected: int, cells: int, what: str = "session") -> None: ...

    def cell(self, cell: Cell, estimate: object) -> None: ...

    def note(self, message: str) -> None: ...


def compare_on_paper(
    scene: Scene, seed: int, slower: float, seconds: float, min_effect: float = 0.0
) -> tuple[Changes, float]:
    """One comparison of two files, the new one slower by that share, and how long it took."""
    device = VirtualDevice(
        truth=lambda _: RUN_MS,
        noise=scene.noise,
        disturbances=scene.disturbances,
        seed=seed,
        factors=(1.0, 1 + slower),
    )
    begun = device.now_s
    shm = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as name,
        device.plugged_in(),
    ):
        folder = Path(name)
        pair = ModelPair(CELL, *(_file(folder, side, version) for version, side in SIDES))
        request = SideBySideRequest(
            (folder / "a.journal.jsonl",),
            (folder, folder),
            min_effect=min_effect,
            max_time_s=seconds,
        )
        changes = compare_models(
            LocalDevice(name="paper"), PairedModels((pair,)), request, Silent()
        )
    return changes, device.now_s - begun


SIDES = ((0, "base"), (1, "new"))


def _file(folder: Path, name: str, version: int) -> ModelFile:
    """A model file as the virtual device takes it."""
    content = json.dumps([CELL.space, name, CELL.resolution, 1, version]).encode()
    path = folder / sha256(content)
    path.write_bytes(content)
    return ModelFile(path, path.name, None, 0)


def study(scene: str, slower: float, seconds: float, comparisons: int) -> dict[str, Any]:
    """How often comparisons are right."""
    alarms = covered = found = wrong = 0
    took, widths, scatter = [], [], []
    for seed in range(comparisons):
        changes, lasted = compare_on_paper(SCENES[scene], 1000 + seed, slower, seconds)
        ratio = changes.cells[0].ratio
        covered += ratio.low <= 1 + slower <= ratio.high
        alarms += ratio.verdict is not Verdict.CANNOT_TELL
        found += ratio.verdict is Verdict.SLOWER
        wrong += ratio.verdict is Verdict.FASTER
        took.append(lasted)
        widths.append(math.log(ratio.high / ratio.low) / 2)
        scatter.append(abs(math.log(ratio.value) / ratio.effect_size))
    half = sorted(widths)[comparisons // 2]
    result: dict[str, Any] = {
        "scene": scene,
        "slower_percent": 100 * slower,
        "seconds": seconds,
        "comparisons": comparisons,
        "covered": covered,
        "half_width_percent": round(100 * half, 3),
        "scatter_percent": round(100 * sorted(scatter)[comparisons // 2], 3),
        "median_seconds": round(sorted(took)[comparisons // 2], 1),
    }
    if slower:
        return result | {"found": found, "called_faster": wrong}
    return result | {"alarms": alarms}
