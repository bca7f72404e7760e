"""Whether `compofa-report compare` is right about this computer: false alarms, slow-downs found.

    python benchmarks/bench_ci.py [--profiles 10] [--without 0] [--slow 1] [--confirm 1]

Takes default profiles of this computer, one after another (five minutes each on a quiet core): of
the compound space as it is, and of two in which the kernel of one unit is larger: 5 slows networks
down by 2 to 5 %, 7 by 3 to 9 %. The kinds take turns, so that none has the quieter hours. Every two
profiles of the first kind are an A/A comparison, in which any verdict but "same" and "cannot tell"
is a false alarm; disjoint pairs are independent, all pairs are not: one odd profile is in many.
Each profile of the other kinds is compared with all of the first kind. Some comparisons that stay
undecided are made again with `--confirm`.

Profiles stay in the folder (`--work`, else build/bench_ci): the same command goes on, and
`--without N` leaves out the first N of the first kind, which the method may have been worked out
on. It writes benchmarks/results/ci.json.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import save

from compofa.profiler.comparison.changes import Changes, compare_tables
from compofa.profiler.comparison.confirm import ModelSources, confirm
from compofa.profiler.comparison.sides import load_side
from compofa.profiler.measurement.device_access import TimeLimits
from compofa.profiler.measurement.plan import PlanSize
from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.statistics.compare import Verdict
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

SPACE = replace(SPACES["compofa"], name="bench")
"""The name is its own, so that the reference model stays what it is."""

SLOWED_UNIT = 0
"""Counted from 0; its kernel is 3 in the space as it is."""

KERNELS = {"kernel5": 5, "kernel7": 7}
"""Of that unit, in profiles of each other kind."""

DEVICE = LocalDevice(name="local")
CONFIRM_S = 600.0


def space_of(kind: str) -> Space:
    """The compound space, with one unit's kernel larger unless `kind` is "base"."""
    units = list(SPACE.units)
    if kind in KERNELS:
        units[SLOWED_UNIT] = replace(units[SLOWED_UNIT], kernels=(KERNELS[kind],))
    return replace(SPACE, units=tuple(units))


def take_profiles(work: Path, wanted: dict[str, int]) -> dict[str, list[Path]]:
    """The profiles of each kind that are there, once those that are missing have been taken."""
    most = max(wanted.values())
    # Evenly mixed: of each kind, as large a share as of the other.
    order = sorted(
        ((number + 0.5) / wanted[kind], kind, number)
        for number, kind in itertools.product(range(most), wanted)
        if number < wanted[kind]
    )
    found: dict[str, list[Path]] = {kind: [] for kind in wanted}
    for _, kind, number in order:
        path = work / f"{kind}-{number:02}.csv"
        if not path.exists():
            space = space_of(kind)
            cells: PlanSize = "auto"
            if kind != "base":
                cells = tuple(load_side(found["base"][0]).measured())
            request = ProfileRequest(
                space, space.resolutions, (1,), path, cells, fresh=True, keep_models=work / "models"
            )
            with Display("local") as display:
                profile(DEVICE, request, display)
        found[kind].append(path)
    return found


def compared(pairs: Iterable[tuple[Path, Path]]) -> list[Changes]:
    """Verdicts at the command's own settings."""
    return [compare_tables(load_side(base), load_side(new)) for base, new in pairs]


def summary(found: list[Changes]) -> dict[str, Any]:
    """How often each verdict was given, and how much slower the new side seemed."""
    verdicts = Counter(changes.verdict.value for changes in found)
    overall = sorted(changes.overall.value for changes in found)
    return {
        "comparisons": len(found),
        "verdicts": dict(verdicts),
        "alarms": sum(each.verdict in (Verdict.SLOWER, Verdict.FASTER) for each in found),
        "overall_ratio": [round(value, 4) for value in overall],
        "cells": sorted({len(changes.cells) for changes in found}),
        "reference_ratio": sorted(
            round(changes.device.reference_ratio, 3) for changes in found if changes.device
        ),
    }


def confirmed(found: list[Changes], most: int) -> dict[str, Any]:
    """The same after `--confirm`, of the first few that are undecided."""
    after, seconds = [], []
    for changes in [each for each in found if each.verdict is Verdict.CANNOT_TELL][:most]:
        begun = time.monotonic()
        with Display("local") as display:
            space = space_of(changes.new.path.stem.partition("-")[0])
            folder = changes.new.path.parent / "models"
            limits = TimeLimits(time.monotonic() + CONFIRM_S)
            after.append(
                confirm(changes, DEVICE, ModelSources(space, [folder]), display, limits=limits)
            )
        seconds.append(round(time.monotonic() - begun))
    measured = [changes.confirmation and len(changes.confirmation.measured) for changes in after]
    return {**summary(after), "cells_measured": measured, "seconds": seconds}


def main() -> None:
    """Profiles, compares, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profiles", type=int, default=10, help="of the space as it is")
    parser.add_argument("--without", type=int, default=0, help="the first few of those")
    parser.add_argument("--slow", type=int, default=1, help="of each slower one")
    parser.add_argument("--confirm", type=int, default=1, help="comparisons of each to confirm")
    parser.add_argument("--work", type=Path, default=Path("build/bench_ci"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    wanted = {"base": given.profiles, **dict.fromkeys(KERNELS, given.slow)}
    paths = take_profiles(given.work, wanted)
    base = paths["base"][given.without :]
    pairs: dict[str, Iterable[tuple[Path, Path]]] = {
        "a_a_disjoint_pairs": zip(base[::2], base[1::2], strict=False),
        "a_a_all_pairs": itertools.combinations(base, 2),
        **{kind: itertools.product(base, paths[kind]) for kind in KERNELS},
    }
    changes = {name: compared(each) for name, each in pairs.items()}
    results: dict[str, Any] = {"without_the_first": given.without}
    results |= {name: summary(each) for name, each in changes.items()}
    del changes["a_a_all_pairs"]  # the others are among them
    results["confirmed"] = {
        name: confirmed(each, given.confirm) for name, each in changes.items() if given.confirm
    }
    print(save("ci", results))
    for name, value in results.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
