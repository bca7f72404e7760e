"""Fleets: what scheduling costs with 1,000 devices, and what the death of a host costs.

    python benchmarks/bench_fleet.py

Needs sshd and Ray; takes a few minutes and writes benchmarks/results/fleet.json.

The simulation schedules 1,000 devices whose sessions last no time at all: the schedule alone, as if
each session were scheduled, and the whole loop that starts devices, listens to their reports and
shows them.

The soak test profiles 20 boards, all behind one real sshd, that hang on two hosts of a Ray cluster.
In the middle one host is killed with all its processes; another then has all but two of its boards.
Of each cell it is counted what the dead host's own journal had of it and what has arrived.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import save

from compofa.profiler.fleet.cluster import Cluster
from compofa.profiler.fleet.fleet import Fleet, Workers
from compofa.profiler.fleet.job import CellBegun, End, FinishedJob, Job, Progress, SessionBegun
from compofa.profiler.fleet.schedule import FleetSchedule
from compofa.profiler.measurement.profile import Outcome, ProfileRequest
from compofa.profiler.measurement.progress import Screen
from compofa.profiler.results.build import Tabulated
from compofa.profiler.results.journal import Timing, of_kind, read_journal
from compofa.profiler.results.meta import Meta
from compofa.profiler.results.table import Cell, SetUp, Table
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.supernet.spaces import SPACES, get_space

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from rigs.boards import ONE_SESSION, add_boards
from rigs.cluster import SETTINGS, RayCluster
from rigs.sshd import Sshd

DEVICES, SESSIONS, CELLS = 1000, 6, 60
BOARDS, LEFT_BEHIND = 20, 2
RETURN_S = 60.0
TINY = "name: tiny\nwidth: 0.25\nclasses: 10\nresolutions: [32]\n"

SETUP = SetUp("x", "onnxruntime", "1", "cpu", 1, "float32")
NOTHING = Tabulated(Path("x.csv"), Table(SETUP, ()), Meta(setup=SETUP), None)


class Simulated(Workers):
    """Devices that report their sessions and cells as fast as they are listened to."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        cell = CellBegun(Cell("compofa", "d22222", 160, 1), None)
        session: list[Progress | End] = [SessionBegun(1, SESSIONS, CELLS), *[cell] * CELLS]
        self._script: list[Progress | End] = [
            *session * SESSIONS,
            FinishedJob(Outcome(NOTHING, 1.0, False)),
        ]
        self._playing: dict[str, Iterator[Progress | End]] = {}

    def start(self, job: Job) -> None:
        self._playing[job.name] = iter(self._script)

    def take(self, timeout_s: float) -> list[tuple[str, Progress | End]]:
        taken: list[tuple[str, Progress | End]] = []
        if not self._playing:
            time.sleep(timeout_s)
        for name, reports in list(self._playing.items()):
            report = next(reports)
            taken.append((name, report))
            if isinstance(report, End):
                del self._playing[name]
        return taken

    def reachable(self) -> Collection[str]:
        return self._names

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


def schedule_cost() -> float:
    """Seconds of CPU a session that `FleetSchedule` takes, one device in a hundred being lost."""
    names = [f"device{i}" for i in range(DEVICES)]
    left = dict.fromkeys(names, SESSIONS)
    # Two entries of the inventory for every board.
    schedule = FleetSchedule({name: str(i // 2) for i, name in enumerate(names)})
    rng, measured, sessions = random.Random(0), deque[str](), 0
    begun = time.process_time()
    while left:
        measured.extend(schedule.start(names))
        name = measured.popleft()
        sessions += 1
        left[name] -= rng.random() > 0.01
        if left[name]:
            schedule.lose(name)
        else:
            schedule.end(name)
            del left[name]
    return (time.process_time() - begun) / sessions


def loop_cost() -> float:
    """Seconds of CPU a session that the whole loop takes, reports of every cell included."""
    space = SPACES["compofa"]
    jobs = []
    for i in range(DEVICES):
        name = f"device{i}"
        request = ProfileRequest(space, (160,), (1,), Path(f"{name}.csv"))
        jobs.append(Job(SshDevice(name=name, host=name), request))
    workers = Simulated([job.name for job in jobs])
    begun = time.process_time()
    with Path(os.devnull).open("w") as silence:
        before, sys.stderr = sys.stderr, silence
        try:
            Fleet(jobs, workers, Screen(plain=True)).run()
        finally:
            sys.stderr = before
    return (time.process_time() - begun) / (DEVICES * SESSIONS)


@contextmanager
def environment(**settings: str) -> Iterator[None]:
    """With these variables of the environment for as long as it lasts."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def timings(journal: Path) -> Counter[tuple[int, Cell]]:
    """How often each cell was timed in each session, as far as a journal knows."""
    if not journal.exists() or not journal.stat().st_size:
        return Counter()
    found = of_kind(read_journal(journal)[1], Timing)
    return Counter((timing.session, timing.cell) for timing in found if timing.cell)


def soak(folder: Path) -> dict[str, Any]:
    """Profiles the boards, kills a host, and accounts for every cell."""
    (folder / "tiny.yaml").write_text(TINY)
    space = get_space(str(folder / "tiny.yaml"))
    names = [f"board{i:02}" for i in range(BOARDS)]
    doomed, left_behind = names[BOARDS // 2 :], names[-LEFT_BEHIND:]
    at_death: dict[str, Counter[tuple[int, Cell]]] = {}
    death: dict[str, float] = {}
    with Sshd(folder) as sshd, environment(TMPDIR=str(folder), **SETTINGS):
        boards = add_boards(sshd, names)
        jobs = [
            Job(
                b,
                ProfileRequest(
                    space, (32,), (1,), folder / f"{b.name}.csv", 5, ONE_SESSION, patience_s=0
                ),
            )
            for b in boards
        ]
        with RayCluster(sshd.home) as ray:
            ray.add("one", names[: BOARDS // 2])
            ray.add("two", doomed)

            def kill() -> None:
                copies = [folder / f"{name}.journal.jsonl" for name in doomed]
                while sum(map(len, map(timings, copies))) < 8 * len(doomed):
                    time.sleep(0.2)
                ray.kill("two")
                death["at"] = time.monotonic() - begun
                for name in doomed:
                    own = folder.glob(f"compofa-fleet-*/{name}.journal.jsonl")
                    at_death[name] = sum(map(timings, own), Counter())
                ray.add("three", [name for name in doomed if name not in left_behind])

            killer = threading.Thread(target=kill)
            begun = time.monotonic()
            with Cluster(ray.address) as hosts, Screen(plain=True) as screen:
                killer.start()
                fleet = Fleet(jobs, hosts, screen, return_s=RETURN_S)
                ends = dict(zip(names, fleet.run(), strict=True))
                killer.join()
            seconds = time.monotonic() - begun
    kept = {name: timings(folder / f"{name}.journal.jsonl") for name in names}
    unsent = {name: len(at_death[name] - kept[name]) for name in doomed}
    done = [name for name, end in ends.items() if isinstance(end, FinishedJob)]
    assert done == [name for name in names if name not in left_behind], ends
    return {
        "boards": BOARDS,
        "boards_of_the_dead_host": len(doomed),
        "killed_after_s": round(death["at"], 1),
        "cells_measured_by_then_there": sum(len(cells) for cells in at_death.values()),
        "of_these_not_yet_sent": sum(unsent.values()),
        "of_these_not_yet_sent_most_of_a_board": max(unsent.values()),
        "boards_with_a_complete_table": len(done),
        "cells_of_each": sorted({len({c for _, c in kept[name]}) for name in done}),
        "boards_reported": {name: getattr(ends[name], "message", "") for name in left_behind},
        "cells_kept_of_these": [len(kept[name]) for name in left_behind],
        "cells_twice_in_a_session": sum(n - 1 for c in kept.values() for n in c.values()),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Measures, prints and saves."""
    results: dict[str, Any] = {
        "devices": DEVICES,
        "sessions_of_each": SESSIONS,
        "cells_of_a_session": CELLS,
        "schedule_ms_per_session": round(1e3 * schedule_cost(), 4),
        "loop_ms_per_session": round(1e3 * loop_cost(), 4),
    }
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        results["soak"] = soak(Path(folder))
    print(save("fleet", results))
    for name, value in results.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
