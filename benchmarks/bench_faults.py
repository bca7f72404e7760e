"""Profiles over a real sshd and a real adbd while everything on the way is killed again and again.

    python benchmarks/bench_faults.py [--faults 100] [--only ssh|adb]

`compofa-profile` measures a tiny space on this computer, reached through a server of the test rigs.
At random moments the connection, the agent, the server, the line (cut for up to 12 s and mended) or
the profiler (SIGKILL, SIGINT, SIGTERM) ends, or for up to 12 s the server hangs, or a host takes
its place that says nothing, or says it a byte at a time. A profiler that ended is started again
with the same command. Profiles that nobody disturbs take turns with the disturbed ones, each on a
device of its own with an empty cache; the two are compared cell by cell, by themselves and relative
to the reference model.

Writes benchmarks/results/faults.json. Wants root (for network namespaces), sshd, adb, and what
builds adbd: see tests/rigs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from machine import save

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.results.analysis import analyse
from compofa.profiler.results.journal import read_journal
from compofa.profiler.results.table import Cell, read_table
from compofa.profiler.statistics.compare import Verdict, compare
from rigs.adbd import AdbPeer, OwnServer
from rigs.faults import KINDS, Accounts, Fault, Profiler, account, draw_faults, suffer
from rigs.peer import Peer
from rigs.sshd import Sshd, SshPeer

OPTIONS = "--plan", "4", "--target", "50%", "--no-pause"
"""Of short profiles: every cell is measured in three sessions."""

CONFIDENCE = 0.95

MOST_FAULTS = 13
"""In one profile, so that there are several to compare."""

LEAST_PROFILES = 4
"""On each side, for the same reason."""

DEVICES = ("ssh", "adb")

Latencies = dict[Cell, dict[int, float]]
"""By cell and profile, in ms: what the tables say; the reference model is a cell too."""


@dataclass
class Side:
    """Profiles of one kind, disturbed or not."""

    latencies: Latencies = field(default_factory=dict)
    accounts: list[Accounts] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ends: Counter[int] = field(default_factory=Counter)
    left_here: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, profiler: Profiler, peer: Peer) -> None:
        """Takes in a finished profile."""
        number = len(self.accounts)
        self.accounts.append(account(profiler, peer))
        self.ends += profiler.ends
        self.left_here.append(len(list(profiler.temporary.iterdir())))
        analysis = analyse(read_journal(profiler.journal)[1], CONFIDENCE)
        reference = geometric_mean(analysis.values[None].values())
        self.latencies.setdefault(REFERENCE, {})[number] = reference
        for row in read_table(profiler.table).rows:
            if row.source == "measured" and row.latency_ms is not None:
                self.latencies.setdefault(row.cell, {})[number] = row.latency_ms

    def described(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "profiles": len(self.accounts),
            "minutes": round(self.seconds / 60, 1),
            "faults": {kind: sum(f.kind == kind for f in self.faults) for kind in KINDS},
            "ends": {str(code): n for code, n in sorted(self.ends.items())},
            "accounts": [asdict(each) for each in self.accounts],
            "temporary_files_left_on_the_host": self.left_here,
            "latency_ms": {
                f"{cell.subnet} at {cell.resolution}": [round(ms, 5) for ms in values.values()]
                for cell, values in self.latencies.items()
            },
        }


@contextmanager
def device(kind: str, folder: Path) -> Iterator[Peer]:
    """A fresh device."""
    with contextlib.ExitStack() as stack:
        if kind == "ssh":
            yield SshPeer(stack.enter_context(Sshd(folder / "sshd")))
        else:
            server = stack.enter_context(OwnServer(folder / "adb"))
            yield stack.enter_context(AdbPeer(folder, server.address))


def profile(kind: str, side: Side, faults: list[Fault]) -> int:
    """Measures the space once; returns how many of `faults` it had to suffer."""
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as name,
        device(kind, Path(name)) as peer,
        Profiler(peer, Path(name) / "host", *OPTIONS) as profiler,
    ):
        happened = suffer(profiler, peer, faults)
        profiler.finish()
        side.add(profiler, peer)
    side.faults += happened
    side.seconds += time.monotonic() - begun
    accounts = side.accounts[-1]
    print(
        f"{kind}: {len(happened)} faults, {accounts.cells} cells, {accounts.timings} timings, "
        f"{time.monotonic() - begun:.0f} s, wrong: {accounts.wrong or 'nothing'}",
        flush=True,
    )
    return len(happened)


def compared(base: Latencies, new: Latencies, relative_to: Cell | None) -> dict[str, Any]:
    """How far the tables of one side are from those of another.

    What differs from profile to profile, faults or not, is the noise: so a profile takes the place
    that a session has elsewhere.
    """
    found = compare(base, new, confidence=CONFIDENCE, relative_to=relative_to)
    ratios = found.cells.values()
    return {
        "cells": len(ratios),
        "apart_by_themselves": sum(not r.low <= 1 <= r.high for r in ratios),
        "apart_by_chance": round((1 - CONFIDENCE) * len(ratios), 2),
        "slower": sum(r.verdict is Verdict.SLOWER for r in ratios),
        "faster": sum(r.verdict is Verdict.FASTER for r in ratios),
        "overall_percent": [
            round(100 * (value - 1), 3)
            for value in (found.overall.value, found.overall.low, found.overall.high)
        ],
        "largest_percent": round(max(100 * abs(r.value - 1) for r in ratios), 2),
    }


def soak(kind: str, faults: list[Fault]) -> dict[str, Any]:
    """Disturbed and undisturbed profiles in turns until every fault has come to pass."""
    calm, stormy = Side(), Side()
    while faults or len(calm.accounts) < LEAST_PROFILES:
        faults = faults[profile(kind, stormy, faults[:MOST_FAULTS]) :]
        profile(kind, calm, [])
    return {
        "disturbed": stormy.described(),
        "undisturbed": calm.described(),
        "disturbed_over_undisturbed": compared(calm.latencies, stormy.latencies, None),
        "relative_to_the_reference": compared(calm.latencies, stormy.latencies, REFERENCE),
    }


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=DEVICES)
    asked = parser.parse_args()
    # Shells have what they start in the background ignore Ctrl-C, and all its children with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kinds = [asked.only] if asked.only else list(DEVICES)
    shares = [draw_faults(asked.faults // len(kinds), asked.seed + i) for i in range(len(kinds))]
    # One after another: side by side, a profile would be faster while the other one waits.
    results = {kind: soak(kind, share) for kind, share in zip(kinds, shares, strict=True)}
    for kind, found in results.items():
        for pair in ("disturbed_over_undisturbed", "relative_to_the_reference"):
            print(kind, pair, json.dumps(found[pair]))
    print(save("faults", {"options": OPTIONS, "seed": asked.seed, **results}))


if __name__ == "__main__":
    main()
