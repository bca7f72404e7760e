"""How often the commands are right on devices whose true latencies are known.

    python benchmarks/bench_truth.py [--scale 1] [--only profile] [--match warm]

Runs the shipped commands on virtual devices (tests/rigs/virtual_device.py), well-behaved and
disturbed, and counts what their tables promise against what is true. It takes about half an hour
on one core for a tenth of the profiles (`--scale 0.1`) and writes benchmarks/results/truth.json;
`--table` prints the matrix of docs/statistics.md. What was counted before the rules were changed
stands in it as "before".
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from truth.drawing import draw, render_tables
from truth.scenes import CONDITIONS, PLAIN, SCENES, TAILS, Scene

from compofa.profiler.commands import main as profile_main
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.results.table import Cell, Row, read_table
from compofa.search.commands.report_command import main as report_main
from compofa.search.commands.search_command import main as search_main
from rigs.virtual_device import Noise, VirtualDevice, run_command_on
from rigs.virtual_truth import KINDS

NAME = "virtual"
DRAWING = Path(__file__).resolve().parents[1] / "docs" / "coverage.svg"
INVENTORY = f"{NAME}: {{transport: local, runtime: onnxruntime}}\n"


@dataclass
class Counted:
    """What a number of profiles came to.

    Attributes:
        held, ok: intervals that hold the truth, of rows with status ok.
        marked: measured rows with another status.
        failed: profiles that wrote no table.
        of_all: of each measured row with an interval, ok or not, whether it holds the truth.
        shares: of the rows of a profile that are ok, the share that is held.
        expected_below: probability that less than 60 % of a profile's predictions hold.
        named: profiles that named the disturbance, on the screen or in the meta file.
    """

    profiles: int = 0
    held: int = 0
    ok: int = 0
    marked: int = 0
    failed: int = 0
    of_all: list[bool] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    expected_below: list[float] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    sessions: list[float] = field(default_factory=list)
    device_s: list[float] = field(default_factory=list)
    half_widths: list[float] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)

    def add(
        self, device: VirtualDevice, rows: list[Row], speeds: tuple[float, ...] = (1.0,)
    ) -> None:
        """Counts the rows of a table against the truth."""
        inside = []
        for row in rows:
            if row.ci_low_ms is None or row.ci_high_ms is None or row.latency_ms is None:
                self.marked += 1
                continue
            truths = [speed * device.figure(row.cell) for speed in speeds]
            holds = any(row.ci_low_ms <= truth <= row.ci_high_ms for truth in truths)
            self.of_all.append(holds)
            if row.status != "ok":
                self.marked += 1
                continue
            inside.append(holds)
            nearest = min(truths, key=lambda truth: abs(truth - (row.latency_ms or 0)))
            self.bias.append(row.latency_ms / nearest - 1)
            self.half_widths.append((row.ci_high_ms - row.ci_low_ms) / 2 / row.latency_ms)
        self.held += sum(inside)
        self.ok += len(inside)
        if inside:
            self.shares.append(sum(inside) / len(inside))
        self.sessions += [float(row.n_sessions) for row in rows]

    def summary(self) -> dict[str, Any]:
        """For the results."""

        def mean(values: list[float]) -> float | None:
            return float(np.mean(values)) if values else None

        return {
            "profiles": self.profiles,
            "rows_ok": self.ok,
            "held": self.held / self.ok if self.ok else None,
            "held_error": float(np.std(self.shares) / len(self.shares) ** 0.5)
            if self.shares
            else None,
            "held_of_all": mean([float(each) for each in self.of_all]),
            "profiles_below_60_percent": sum(share < 0.6 for share in self.shares),
            "profiles_below_60_percent_expected": float(sum(self.expected_below))
            if self.expected_below
            else None,
            "rows_marked": self.marked,
            "no_table": self.failed,
            "mean_bias": mean(self.bias),
            "largest_bias": float(np.max(np.abs(self.bias))) if self.bias else None,
            "half_width": mean(self.half_widths),
            "sessions": mean(self.sessions),
            "device_s": mean(self.device_s),
            "named": self.named,
            "notes": dict(sorted(self.notes.items(), key=lambda item: -item[1])[:8]),
        }


@contextmanager
def folder() -> Iterator[Path]:
    """A folder with an inventory, to run commands in."""
    memory = Path("/dev/shm")
    before = Path.cwd()
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        os.chdir(name)
        try:
            Path("devices.yaml").write_text(INVENTORY)
            yield Path(name)
        finally:
            os.chdir(before)


def profile(
    device: VirtualDevice, out: Path, counted: Counted, plan: int = 4, *options: object
) -> list[Row] | None:
    """Profiles `device` by the command; its rows, or None where there is no table."""
    began = device.now_s
    ended = run_command_on(
        device, profile_main, "--device", NAME, "--plan", plan, "--resolutions", "160,224",
        "--out", out, *options,
    )  # fmt: skip
    counted.profiles += 1
    counted.device_s.append(device.now_s - began)
    for line in set(ended.err.splitlines()):
        note = "".join("#" if c.isdigit() else c for c in line)[:160]
        counted.notes[note] = counted.notes.get(note, 0) + 1
    if not out.exists():
        counted.failed += 1
        return None
    meta = json.loads(out.with_suffix(".meta.json").read_text())
    said = {f"two speeds of {each['of']}" for each in meta.get("speeds", [])}
    for name in said | {f"doubt: {each}" for each in meta.get("doubts", {}).values()}:
        counted.named[name] = counted.named.get(name, 0) + 1
    return list(read_table(out).rows)


def profiles(name: str, scene: Scene, count: int) -> dict[str, Any]:
    """Measured rows of `count` profiles of a few cells."""
    counted = Counted()
    with folder() as here:
        for seed in seeds(name, count):
            device = scene.device(seed)
            rows = profile(device, here / f"{seed}.csv", counted)
            if rows is not None:
                counted.add(device, [r for r in rows if r.source == "measured"], scene.speeds)
    return counted.summary()


def columns(name: str, scene: Scene, count: int) -> dict[str, Any]:
    """The columns p50_ms, mean_ms and p90_ms, each with its interval, of `count` profiles."""
    held: dict[str, list[float]] = {"p50": [], "mean": [], "p90": []}
    with folder() as here:
        for seed in seeds(name, count):
            device, out = scene.device(seed), here / f"{seed}.csv"
            asked = ",".join(f"{figure}_ms" for figure in held)
            profile(device, out, Counted(), 4, "--columns", asked)
            table = read_table(out)
            for figure, shares in held.items():
                low, high = (table.extra.index(f"{figure}_ci_{end}_ms") for end in ("low", "high"))
                inside = [
                    (row.extra[low] or 0.0)
                    <= device.figure(row.cell, figure)
                    <= (row.extra[high] or math.inf)
                    for row in table.rows
                    if row.source == "measured" and row.extra[low] is not None
                ]
                shares += [float(np.mean(inside))] if inside else []
    return {
        "profiles": count,
        "columns": {
            figure: {
                "held": float(np.mean(shares)),
                "held_error": float(np.std(shares) / len(shares) ** 0.5),
            }
            for figure, shares in held.items()
            if shares
        },
    }


def seeds(name: str, count: int) -> range:
    """Of the devices of one line of the matrix: no two lines share the luck of their sessions."""
    first = zlib.crc32(name.encode()) << 16
    return range(first, first + count)


def predictions(name: str, kind: str, session: float, count: int, plan: int = 20) -> dict[str, Any]:
    """Predicted rows of `count` profiles of a small plan."""
    measured, predicted = Counted(), Counted()
    noise = Noise(session=session, load=session / 3, run=max(session / 2, 0.001))
    with folder() as here:
        for seed in seeds(name, count):
            # One device may suit the model better than another: each profile has one of its own.
            device = Scene(noise, kind=kind, example=seed).device(seed)
            rows = profile(device, here / f"{seed}.csv", measured, plan)
            if rows is not None:
                measured.add(device, [r for r in rows if r.source == "measured"])
                some = [r for r in rows if r.source == "predicted"]
                predicted.add(device, some)
                predicted.expected_below.append(chance_below(0.6, some, here / f"{seed}.meta.json"))
    predicted.profiles = measured.profiles
    return {"measured": measured.summary(), "predicted": predicted.summary()}


def chance_below(share: float, rows: list[Row], meta: Path) -> float:
    """Probability that less than `share` of a profile's predictions hold, as its own figures say.

    They share one error, of Student's t. What is left of their half-width is each one's own.
    """
    from scipy.stats import norm, t

    shared = json.loads(meta.read_text())["shared_error"]
    if shared is None or not rows:
        return 0.0
    scale, freedom = math.sqrt(shared["variance"]), shared["freedom"]
    halves = np.array([math.log((r.ci_high_ms or 1) / (r.ci_low_ms or 1)) / 2 for r in rows])
    common = t.ppf(0.95, freedom) * scale
    own = np.sqrt(np.maximum(halves**2 - common**2, 1e-12)) / norm.ppf(0.95)
    errors = scale * t.ppf((np.arange(400) + 0.5) / 400, freedom)[:, None]
    held = norm.cdf((halves - errors) / own) - norm.cdf((-halves - errors) / own)
    return float((held.mean(axis=1) < share).mean())


def comparisons(
    name: str, scene: Scene, change: float, count: int, *, confirm: bool
) -> dict[str, Any]:
    """Verdicts of `compofa-report compare` on two profiles, of which the second is slower.

    A sixth of its cells are, by `change`; where that is nothing, whatever is called slower or
    faster is a false alarm. With `confirm`, suspects are measured again in the same sessions.
    """
    alarms = found = slower = unsure = cells_in_all = failed = 0
    for seed in seeds(name, count):
        with folder() as here:
            base, new = (scene.device(2 * seed + side) for side in (0, 1))
            new.version = _changed
            for side, device in (("base", base), ("new", new)):
                device.factors = (1.0, 1.0 + change, 1.0)
                profile(
                    device, here / f"{side}.csv", Counted(), 4, "--keep-models", here / "models"
                )
            extra = ("--confirm", "--models", "models", "--max-time", "60m") if confirm else ()
            ended = run_command_on(
                new, report_main, "compare", "base.csv", "new.csv", "--json", *extra
            )
            if ended.code not in (0, 1, 3):
                failed += 1
                print(ended.err[-300:], file=sys.stderr)
                continue
            cells = json.loads(ended.out)["devices"][0]["cells"]
        changed = [_changed(_cell(said)) == 1 and change > 0 for said in cells]
        verdicts = [said["ratio"]["verdict"] for said in cells]
        cells_in_all += len(cells)
        slower += sum(changed)
        found += sum(v == "slower" for v, c in zip(verdicts, changed, strict=True) if c)
        unsure += verdicts.count("cannot tell")
        called = [v for v, c in zip(verdicts, changed, strict=True) if not c]
        alarms += "slower" in called or "faster" in called
    return {
        "comparisons": count,
        "without_verdict": failed,
        "false_alarms": alarms,
        "slower_cells": slower,
        "found": found,
        "cells": cells_in_all,
        "cannot_tell": unsure,
    }


def _cell(said: dict[str, Any]) -> Cell:
    return Cell(said["space"], said["subnet"], said["resolution"], said["batch_size"])


def _changed(cell: Cell) -> int:
    """The version of a cell's file: 1, the slower one, for a sixth of the cells, else 2."""
    if cell == REFERENCE:
        return 0
    return 1 if zlib.crc32(f"{cell.subnet}@{cell.resolution}".encode()) % 6 == 0 else 2


def selftests(name: str, scene: Scene, count: int) -> dict[str, Any]:
    """What `selftest` promises, beside what `compare` finds of a slow-down of that size."""
    promised, alarms, speeds = [], [], 0
    for seed in seeds(name, count):
        with folder():
            ended = run_command_on(
                scene.device(seed), profile_main, "selftest", "--device", NAME, "--json"
            )
            if not ended.out:
                print(ended.err[-300:], file=sys.stderr)
                continue
            said = json.loads(ended.out)
            promised.append(said["smallest_change"])
            alarms.append(said["false_alarms"])
            speeds += bool(said["speeds"])
    known = [each for each in promised if each is not None]
    change = float(np.median(known)) if known else None
    return {
        "selftests": count,
        "smallest_change": promised,
        "two_speeds": speeds,
        "false_alarms": float(np.mean(alarms)) if alarms else None,
        "compare_at_the_median": None
        if change is None
        else comparisons(name, scene, change, 6 * count, confirm=False),
    }


def verifications(name: str, scene: Scene, count: int) -> dict[str, Any]:
    """Winners of `compofa-search --verify`: how many keep their limit."""
    scene = replace(scene, kind="idiosyncratic")
    kept, sure, sure_and_over, over = 0, 0, 0, []
    for seed in seeds(name, count):
        with folder() as here:
            device = scene.device(seed)
            profile(device, here / "v.csv", Counted(), 20)
            rows = read_table(here / "v.csv").rows
            limit = round(float(np.median([row.latency_ms or 0 for row in rows])), 3)
            ended = run_command_on(
                device, search_main, "--table", "v.csv", "--latency", limit,
                "--verify", "--json",
            )  # fmt: skip
            said = json.loads(ended.out)
            winner = said["results"][0]
            cell = Cell("compofa", winner["subnet"], winner["resolution"], 1)
            ratio = device.figure(cell) / limit
            is_sure = bool(said["verification"]["questions"][0]["sure"])
            kept += ratio <= 1
            over.append(ratio - 1)
            sure += is_sure
            sure_and_over += is_sure and ratio > 1
    return {
        "winners": count,
        "kept": kept,
        "sure": sure,
        "sure_and_over": sure_and_over,
        "worst_over": max(over),
    }


Study = tuple[str, int, Callable[[int], dict[str, Any]]]


def studies() -> Iterator[Study]:
    """Name of each cell of the matrix, and how many repetitions it has, and what counts them."""
    for kind in KINDS:
        for session in (0.001, 0.01, 0.03):
            name = f"predict | {kind}, {session:.1%} between sessions"
            yield name, 100, partial(predictions, name, kind, session)
    for scene_name, scene in SCENES.items():
        name = f"profile | {scene_name}"
        yield name, 100 if scene in PLAIN else 40, partial(profiles, name, scene)
    for scene_name in TAILS:
        name = f"profile --columns | {scene_name}"
        yield name, 100, partial(columns, name, SCENES[scene_name])
    for scene_name, scene in CONDITIONS.items():
        for confirm, equal, slower in ((False, 40, 10), (True, 10, 6)):
            for change, count in ((0.0, equal), (0.05, slower)):
                command = "compare --confirm" if confirm else "compare"
                name = f"{command} | {scene_name}, a sixth {change:.0%} slower"
                study = partial(comparisons, name, scene, change, confirm=confirm)
                yield name, count, study
        name = f"selftest | {scene_name}"
        yield name, 3, partial(selftests, name, scene)
        name = f"search --verify | {scene_name}"
        yield name, 5, partial(verifications, name, scene)


def main() -> None:
    from machine import RESULTS, save

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of profiles")
    parser.add_argument("--match", default="", help="only studies whose name contains this")
    parser.add_argument("--out", type=Path, help="instead of the results")
    parser.add_argument("--missing", action="store_true", help="only studies that OUT lacks")
    parser.add_argument("--merge", type=Path, nargs="+", help="take results from such files over")
    parser.add_argument("--table", action="store_true", help="print what was saved, draw it")
    options = parser.parse_args()
    saved = options.out or RESULTS / "truth.json"
    content: dict[str, Any] = json.loads(saved.read_text()) if saved.exists() else {}
    results, before = content.get("results", {}), content.get("before", {})
    for path in options.merge or ():
        results |= json.loads(path.read_text())["results"]
    if options.merge:
        order = [name for name, _, _ in studies()]
        results = {name: results[name] for name in order if name in results}
        print(save("truth", {"results": results, "before": before}))
        return
    if options.table:
        print(render_tables(results, before))
        draw(results, DRAWING)
        return

    scale: float = options.scale

    def n(count: int) -> int:
        return max(1, round(count * scale))

    for name, count, study in studies():
        if options.match in name and not (options.missing and name in results):
            begun = time.perf_counter()
            results[name] = study(n(count))
            said = {k: v for k, v in results[name].items() if k != "notes"}
            print(f"{name}: {said} [{time.perf_counter() - begun:.1f} s]", flush=True)
            if options.out is not None:
                options.out.write_text(json.dumps({"results": results}, indent=1))
    if options.out is None:
        print(save("truth", {"results": results, "before": before}))


if __name__ == "__main__":
    main()
