"""How often verification changes an answer, and whether what it answers meets its limit.

    python benchmarks/bench_verify.py [--limits 10]

Profiles this computer with the default plan (unless `--table` names a finished one), asks for
limits spread over the front, verifies them all together, and then measures every winner again, in
sixty fresh sessions beside the subnet that the table alone had promised. It takes half an hour on
a quiet computer and writes benchmarks/results/verify.json.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import save

from compofa.profiler.measurement.plan import Plan
from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.analysis import analyse
from compofa.profiler.results.journal import journal_path, read_journal
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.local import LocalDevice
from compofa.search.answer import ask
from compofa.search.request import SearchRequest, find_candidates
from compofa.search.verification.measure_finalists import FinalistMeasurement
from compofa.search.verification.verify import Verification, verify
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
DEVICE = LocalDevice(name="local")
SESSIONS = 60
"""They tell 1 % apart on a restless computer."""


def spread_limits(table: Path, count: int) -> list[tuple[float]]:
    """Limits in even ratios between the ends of the front."""
    front = ask(find_candidates(SearchRequest([table])), []).results
    ends = front[-1].latency_ms[0], front[0].latency_ms[0]
    return [(float(each),) for each in np.geomspace(*ends, count + 2)[1:-1]]


def verified(table: Path, limits: list[tuple[float]]) -> Verification:
    """All limits, verified together on this computer."""
    request = SearchRequest([table])
    measuring = FinalistMeasurement([DEVICE], [table], lambda: find_candidates(request))
    return verify(find_candidates(request), limits, measuring)


def measured_afresh(cells: list[Cell], folder: Path) -> dict[Cell, tuple[float, float, float]]:
    """Latency and interval of each cell in sessions that took no part in choosing it."""
    protocol = Protocol(min_sessions=SESSIONS, max_sessions=SESSIONS)
    plan = Plan("winners", 0, tuple(cells), tuple(range(len(cells))), ())
    sizes = tuple(sorted({cell.resolution for cell in cells}))
    out = folder / "winners.csv"
    request = ProfileRequest(SPACE, sizes, (1,), out, protocol=protocol)
    profile(DEVICE, request, Display(DEVICE.name), plan=plan)
    analysis = analyse(read_journal(journal_path(out))[1])
    found = {}
    for cell in cells:
        estimate = analysis.estimate(cell)
        assert estimate is not None
        found[cell] = (estimate.value, estimate.low, estimate.high)
    return found


def study(table: Path, count: int, folder: Path) -> dict[str, Any]:
    limits = spread_limits(table, count)
    done = verified(table, limits)
    chosen = [each for q in done.questions for each in (q.before, q.after) if each is not None]
    truth = measured_afresh(list(dict.fromkeys(each.cell for each in chosen)), folder)
    # What the host's speed as a whole did between the two visits is no fault of an answer.
    winners = [each.after for each in done.questions if each.after is not None]
    logs = [math.log(truth[each.cell][0] / each.latency_ms[0]) for each in winners]
    host = math.exp(float(np.median(logs)))
    rows = []
    for question, (limit,) in zip(done.questions, limits, strict=True):
        row: dict[str, Any] = {"limit_ms": limit, "changed": question.changed}
        for name, found in (("before", question.before), ("after", question.after)):
            if found is None:
                continue
            fresh = [each / host for each in truth[found.cell]]
            row[name] = {
                "cell": found.name,
                "top1": found.top1,
                "table_ms": found.latency_ms[0],
                "fresh_ms": fresh[0],
                "fresh_interval_ms": fresh[1:],
                "over_limit": fresh[0] / limit - 1,
            }
        rows.append(row)
    return {
        "limits": rows,
        "changed": sum(each.changed for each in done.questions),
        "rounds": done.rounds,
        "cells_measured": len(done.measured),
        "host_speed_ratio": host,
        "worst_over_limit_before": worst(rows, "before"),
        "worst_over_limit_after": worst(rows, "after"),
    }


def worst(rows: list[dict[str, Any]], name: str) -> float:
    """By how much the worst answer exceeds its limit; negative where all keep it."""
    shares = [row[name]["over_limit"] for row in rows if isinstance(row.get(name), dict)]
    return float(max(shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limits", type=int, default=10)
    parser.add_argument("--table", type=Path, help="a finished table of this computer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "local.csv"
        if options.table is None:
            sizes = (160, 176, 192, 208, 224)
            request = ProfileRequest(SPACE, sizes, (1,), table)
            profile(DEVICE, request, Display(DEVICE.name))
        else:
            for suffix in (".csv", ".meta.json", ".journal.jsonl"):
                shutil.copy(options.table.with_suffix(suffix), table.with_suffix(suffix))
        found = study(table, options.limits, folder)
        for row in found["limits"]:
            print(row)
        save("verify", found)


if __name__ == "__main__":
    main()
