"""Timing a loaded model: its warm-up, how many runs, and batches where the clock is coarse.

The rules are those of `statistics.runs.warmup` and `statistics.runs.clock`; here they are applied
on a device.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from compofa.common.errors import DeviceError
from compofa.profiler.settings import Protocol
from compofa.profiler.statistics.runs.clock import BATCH_TICKS, COARSEST_NS, clock_tick, is_coarse
from compofa.profiler.statistics.runs.location import relative_standard_error
from compofa.profiler.statistics.runs.warmup import (
    LEAST_LOOK,
    LEVEL,
    RunTrend,
    WarmUpNeeds,
    needs_of,
    restless,
    trend,
    warmup_length,
)
from compofa.profiler.transports.agent_client import AgentLink

WARM = 0.98
"""A model may be warm once a chunk of runs is not faster than this share of the chunk before."""

INPUT_SEED = 1
"""Of the input that runs are timed on; outputs are checked on the input of seed 0."""

AGREEING = 1.2
"""Two long looks agree on the length of the warm-up if they differ by at most this factor."""

MOST_LOOKS = 6
"""Long looks at the reference model, at most, until two agree: a disturbed one must not decide."""

PRECISE = 1 / 20
"""A session has enough runs once their standard error is this share of the target: from then on the
scatter between sessions dominates, which more runs do not reduce."""

MOST_RUNS = 50_000
"""Runs in one request, at most, however short they are."""

REFERENCE_TICKS = 50
"""How many ticks of a coarse clock the reference model is run for between two cells."""

CLOCK_RUNS = 3000
"""After this many runs the clock's tick is known, and no longer looked for."""


@dataclass(frozen=True)
class Timed:
    """The runs of a model in one visit.

    Attributes:
        warmup_ns: of the runs before; they count for nothing.
        ns: of the timed runs.
        state: of the device, after them.
        warm: False where it had fewer warm-up runs than the models of this device need.
    """

    warmup_ns: tuple[int, ...]
    ns: tuple[int, ...]
    state: dict[str, Any]
    warm: bool = True


@dataclass
class Stopwatch:
    """Times models in one process on a device.

    Attributes:
        wait: returns once nothing on this computer disturbs; called before runs that count.
        looks: for each long look at a model, after how many runs it was warm (`warmup_length`);
            those of earlier processes too. The first is at the reference model in a fresh process.
    """

    link: AgentLink
    protocol: Protocol
    wait: Callable[[], None]
    looks: list[float]
    tick: int = field(default=1, init=False)
    _process_is_warm: bool = field(default=True, init=False)
    _seen: list[tuple[int, ...]] = field(default_factory=list, init=False)
    _seen_runs: int = field(default=0, init=False)
    _trends: list[RunTrend] = field(default_factory=list, init=False)

    @property
    def usual_warmup(self) -> int:
        """Warm-up runs that every visit begins with."""
        return 2 * self.protocol.warmup_chunk

    @property
    def needs(self) -> WarmUpNeeds:
        """How many runs a process and a model need to warm up, by the looks so far."""
        return needs_of(self.looks, max(self.usual_warmup, self.protocol.look_runs // 60))

    def look(self, load: Callable[[], int]) -> list[Timed]:
        """Takes long looks at the reference model, loaded anew for each; returns what they timed.

        Args:
            load: loads it, or loads it again, and returns its handle.
        """
        timed_looks: list[Timed] = []
        while len(timed_looks) < MOST_LOOKS:
            timed = self._long_look(load())
            if timed is None:
                break
            timed_looks.append(timed)
            if self._agree(self.looks[-1]):
                break
        if self.looks and math.isinf(self.looks[0]) and self.looks[-1] <= self.usual_warmup:
            # It was the process that warmed up, and that had ended with the first look.
            self.looks[0] = len(timed_looks[0].warmup_ns)
        return timed_looks

    def _agree(self, length: float) -> bool:
        """Whether the last look shows no warm-up, or the same as one before."""
        before = [
            each for each in self.looks[:-1] if each <= AGREEING * length <= AGREEING**2 * each
        ]
        return length <= self.usual_warmup or bool(before)

    def begin(self, handle: int) -> Timed:
        """Times the reference model at the start of a process, which may have to warm up."""
        needed = max(self.needs.process, self.needs.model)
        timed = self._timed(handle, needed, self.protocol.look_s, reference=True)
        complete = self.usual_warmup < needed <= len(timed.warmup_ns)
        if complete and not self._began_slower(timed, needed):
            # The first look was disturbed: this process began as fast as it ended.
            self.looks[:] = [0.0]
        self._process_is_warm = timed.warm
        return timed

    def _began_slower(self, timed: Timed, needed: float) -> bool:
        """Whether a visit with as long a warm-up as was needed did need it."""
        early = timed.warmup_ns[self.usual_warmup : int(needed) // 2]
        return statistics.median(early or timed.ns) > (1 + LEVEL) * statistics.median(timed.ns)

    def time_reference(self, handle: int) -> Timed:
        """Times the reference model, which is warm but for the cell that ran in between."""
        return self._timed(handle, 0, self.protocol.warmup_s, reference=True)

    def time_cell(self, handle: int) -> Timed:
        """Warms a cell's model up and times it; for longer while its runs are getting faster."""
        needed = self.needs.model
        timed = self._timed(handle, needed, self.protocol.warmup_s)
        if self.usual_warmup < needed <= len(timed.warmup_ns):
            # A cell that was as fast early on says that the reference was disturbed, not warming.
            early = timed.warmup_ns[self.usual_warmup : int(needed) // 2]
            slower = statistics.median(early or timed.ns) > (1 + LEVEL) * statistics.median(
                timed.ns
            )
            self.looks.append(self.looks[0] if slower else 0.0)
        return timed

    def _long_look(self, handle: int) -> Timed | None:
        """None where the model is too slow to be looked at for so long, or the clock too coarse."""
        begun = time.monotonic()
        self.wait()
        first, state = self.run(handle, self.usual_warmup, math.inf)
        usual = statistics.fmean(first)
        # One more: a coarse clock may show all of the first runs as 0 ns.
        runs = min(self.protocol.look_runs, int(self.protocol.look_s * 1e9 / (usual + 1)))
        if runs < LEAST_LOOK:
            return None
        times = first
        while True:
            more, state = self.run(handle, runs - len(times), usual)
            times += more
            if is_coarse(statistics.fmean(times), self.tick):
                return None
            length = warmup_length(times, self.tick)
            left = begun + self.protocol.look_s - time.monotonic()
            if length is not None or len(times) * usual * 1e-9 > left:
                break
            # Still getting faster: the same stretch once more may show where that ends.
            runs = 2 * len(times)
        self.looks.append(math.inf if length is None else length)
        last = self.protocol.reference_runs
        return Timed(times[:-last], times[-last:], state, warm=length is not None)

    def _timed(
        self, handle: int, needed: float, budget_s: float, *, reference: bool = False
    ) -> Timed:
        begun = time.monotonic()
        warmup = self._warm_up(handle, needed, budget_s)
        usual = self._usual(warmup)
        runs = self._runs_of(usual, reference=reference)
        self.wait()
        least = runs if reference or is_coarse(usual, self.tick) else self.protocol.min_runs
        ns, state = self.run(handle, min(least, runs), usual)
        if len(ns) < runs and not self._precise(ns):
            more, state = self.run(handle, runs - len(ns), usual)
            ns += more
        # A trend of the reference model may be drift of the device, which it is there to show.
        if not reference:
            self._trends.append(trend(ns, self.tick))
        while not reference and trend(ns, self.tick).warming and not restless(self._trends):
            runs = min(max(runs, len(warmup) + len(ns)), MOST_RUNS)
            if time.monotonic() - begun + runs * usual * 1e-9 > budget_s:
                break
            warmup += ns
            ns, state = self.run(handle, runs, usual)
        return Timed(warmup, ns, state, warm=len(warmup) >= needed)

    def _warm_up(self, handle: int, needed: float, budget_s: float) -> tuple[int, ...]:
        """Runs a model until a chunk is no faster than the one before; returns all these runs."""
        chunk = self.protocol.warmup_chunk
        begun = time.monotonic()
        runs: tuple[int, ...] = ()
        before = math.inf
        while True:
            ns, _ = self.run(handle, chunk, before)
            runs += ns
            now = statistics.median(ns)
            if now >= WARM * before or time.monotonic() - begun > budget_s:
                break
            before = now
        # With fewer ticks than this, the usual time of a run would be a guess.
        while sum(runs) < 4 * self.tick and len(runs) < MOST_RUNS:
            runs += self.run(handle, len(runs), now)[0]
        rest, usual = needed - len(runs), self._usual(runs)
        # Where there is no time for all of it, half of it would not help.
        if 0 < rest < MOST_RUNS and rest * usual * 1e-9 < begun + budget_s - time.monotonic():
            runs += self.run(handle, int(rest), usual)[0]
        return runs

    def _usual(self, warmup: tuple[int, ...]) -> float:
        """Nanoseconds of a run, by the last chunk of warm-up; by all of it on a coarse clock."""
        mean = statistics.fmean(warmup)
        if not mean:
            raise DeviceError("the device's clock stands still while models run")
        if is_coarse(mean, self.tick):
            return mean
        return statistics.median(warmup[-self.protocol.warmup_chunk :])

    def _runs_of(self, usual: float, *, reference: bool) -> int:
        """How many runs to time."""
        protocol = self.protocol
        runs = protocol.reference_runs if reference else protocol.runs_for(usual)
        if not is_coarse(usual, self.tick):
            return runs
        if self.tick > COARSEST_NS:
            raise DeviceError(
                f"the device's clock advances in steps of {self.tick / 1e6:.0f} ms, which is too "
                "coarse to time networks by"
            )
        ticks = REFERENCE_TICKS if reference else BATCH_TICKS
        lasting = max(ticks * self.tick, 0 if reference else 1e9 * protocol.run_s)
        return max(runs, min(math.ceil(lasting / usual), MOST_RUNS))

    def _precise(self, ns: tuple[int, ...]) -> bool:
        """Whether further runs would not make the session's figure any better."""
        return relative_standard_error(ns) <= PRECISE * self.protocol.target

    def run(self, handle: int, runs: int, usual: float) -> tuple[tuple[int, ...], dict[str, Any]]:
        """Runs a model; returns nanoseconds of each run, and the device's state after them."""
        ns, state = self.link.run(handle, runs, INPUT_SEED, run_deadline(usual, runs))
        if self._seen_runs < CLOCK_RUNS:
            self._seen.append(ns)
            self._seen_runs += len(ns)
            self.tick = clock_tick(self._seen)
        return ns, state


def run_deadline(run_ns: float, runs: int) -> float:
    """Seconds to allow for `runs` runs that usually take `run_ns`: far beyond ordinary noise.

    A device that is only slow must not be taken for one that hangs.
    """
    usual = 0.0 if run_ns == math.inf else run_ns * 1e-9 * runs
    return 120.0 + 20 * usual
