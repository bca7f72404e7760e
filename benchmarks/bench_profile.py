"""A default profile of this computer: where its time goes, and what its predictions are worth.

    python benchmarks/bench_profile.py

Runs `compofa-profile --device local` with its default plan (about four minutes on a quiet core) and
writes benchmarks/results/profile.json. "Model execution" is the sum of all timed and warm-up runs,
the reference model's included, and the first run after each load.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from machine import save

from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.journal import Timing, journal_path, of_kind, read_journal
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.spaces import SPACES


def main() -> None:
    """Measures, prints and saves."""
    space = SPACES["compofa"]
    with tempfile.TemporaryDirectory() as folder:
        request = ProfileRequest(space, space.resolutions, (1,), Path(folder) / "local.csv")
        with Display("local") as display:
            outcome = profile(LocalDevice(name="local"), request, display)
        _, lines = read_journal(journal_path(request.out))
    timings = of_kind(lines, Timing)
    running = sum(sum(t.ns) + sum(t.warmup_ns) for t in timings) / 1e9
    loading = sum(t.load_ns for t in timings) / 1e9
    # The output is checked on one run after each load, which takes about as long as any other.
    running += sum(min(t.ns) for t in timings if t.load_ns) / 1e9
    meta = outcome.written.meta.to_json()
    measured = [row for row in outcome.written.table.rows if row.source == "measured"]
    results = {
        "seconds": round(outcome.seconds, 1),
        "share_model_execution": round(running / outcome.seconds, 3),
        "share_model_loading": round(loading / outcome.seconds, 3),
        "pauses_s": round(sum(pause["seconds"] for pause in meta["pauses"]), 1),
        "cells": len(outcome.written.table.rows),
        "measured": len(measured),
        "unconverged": outcome.written.count("unconverged"),
        "sessions": meta["sessions"],
        "held_out_error": meta["held_out_error"],
        "additivity": meta["additivity"],
        "noise": meta["noise"],
        "drift": meta["drift"],
    }
    print(save("profile", results))
    for name, value in results.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
