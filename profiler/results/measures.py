"""Measures: what a column of a table says of a cell, computed from the cell's lines in the journal.

`compofa-profile --columns load_ms,p99_ms` asks for them by name. They are found through entry
points of `compofa.measures`, the toolkit's own too: a package that adds one writes a function of
`CellRuns` and registers a `MeasureSpec` of the same name:

    from compofa.profiler.results.measures import CellRuns, MeasureSpec

    def hottest(runs: CellRuns) -> float | None:
        seen = [timing.state.get("celsius", {}).get("soc") for timing in runs.timings]
        return max((degrees for degrees in seen if degrees is not None), default=None)

    HOTTEST_C = MeasureSpec("hottest_c", "The highest temperature seen while it ran.", hottest)

    [project.entry-points."compofa.measures"]
    hottest_c = "my_package:HOTTEST_C"
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from compofa.common.entry_points import load_registered, registered
from compofa.common.errors import UserError
from compofa.profiler.results.journal import Cost, Timing
from compofa.profiler.results.table import COLUMNS, Cell
from compofa.profiler.settings import CONFIDENCE
from compofa.profiler.statistics.runs.clock import is_coarse

if TYPE_CHECKING:
    from compofa.common.arrays import FloatArray

GROUP = "compofa.measures"
"""The entry points: each is called like its column and refers to a `MeasureSpec`."""

TAIL_RUNS = 10
"""Runs that must lie beyond a quantile for it to be reported: a p99 takes a thousand runs."""


@dataclass(frozen=True)
class CellRuns:
    """All that was timed of one cell.

    Attributes:
        timings: the journal's lines about it, one for each session that timed it, in their order.
        costs: what was counted of it in passes apart from timing.
        factors: for each of them, how much slower than usual the device was then; dividing by it
            corrects for drift.
        tick_ns: of the device's clock; 1 where it is fine.
        confidence: of intervals.
    """

    cell: Cell
    timings: tuple[Timing, ...]
    factors: tuple[float, ...]
    tick_ns: int = 1
    confidence: float = CONFIDENCE
    costs: tuple[Cost, ...] = ()

    def without(self, session: int) -> CellRuns:
        """All but one of the sessions, by its place among `timings`."""
        kept = [i for i in range(len(self.timings)) if i != session]
        return replace(
            self,
            timings=tuple(self.timings[i] for i in kept),
            factors=tuple(self.factors[i] for i in kept),
        )

    def run_ms(self) -> FloatArray:
        """Milliseconds of every single run, corrected for drift, [n].

        Empty where single runs are not known: some runtimes report one number for many runs.
        """
        import numpy as np

        known = [
            np.array(timing.ns) / 1e6 / factor
            for timing, factor in zip(self.timings, self.factors, strict=True)
            # A single number stands for runs that are not known one by one.
            if len(timing.ns) > 1
        ]
        return np.concatenate(known) if known else np.empty(0)


Compute = Callable[[CellRuns], float | None]


@dataclass(frozen=True)
class MeasureSpec:
    """A column of a table.

    Attributes:
        name: of the column, in lower case, with the unit last: "p99_ms", "energy_mj".
        meaning: what it says, as one sentence.
        compute: its value for a cell; None where the journal does not tell.
        lower_is_better: whether a smaller value is better.
        needs: the pass apart from timing that counts it: memory, throughput, energy; empty where
            timing tells it.
        runs: that a cell has to be timed for it, in all its sessions.
        of_network: whether it grows with the work of a network, so that it can be predicted for
            cells that were not measured.

    Raises:
        ValueError: the name is not valid for a column, or has no unit.
    """

    name: str
    meaning: str
    compute: Compute
    lower_is_better: bool = True
    needs: str = ""
    runs: int = 0
    of_network: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", self.name):
            raise ValueError(
                f"{self.name!r} is not a valid name for a measured column: use lower-case letters, "
                "with the unit at the end, as in energy_mj"
            )

    def of(self, runs: CellRuns) -> float | None:
        """The value for a cell that was timed; None where it is not a finite number."""
        value = self.compute(runs)
        return None if value is None or not math.isfinite(value) else float(value)


def find_measures(names: Sequence[str]) -> tuple[MeasureSpec, ...]:
    """The measures called `names`, each once, without those that every table has anyway.

    Each is followed by the columns of its confidence interval, if there are any.

    Raises:
        UserError: no package registers one of them, or the name of what it registers differs.
    """
    measures = []
    known = registered(GROUP)
    wanted = [each for name in names for each in (name, *interval_names(name))]
    given = set(names)
    for name in dict.fromkeys(each for each in wanted if each in given or each in known):
        measure = load_registered(GROUP, name, "measured column", MeasureSpec)
        if measure.name != name:
            raise UserError(
                f"the package that registers the measured column {name!r} calls it "
                f"{measure.name!r}: the two names must be the same"
            )
        if name not in COLUMNS:
            measures.append(measure)
    return tuple(measures)


def measure_names() -> tuple[str, ...]:
    """The names of all measures that can be asked for."""
    return tuple(sorted(registered(GROUP)))


def _quantile(share: float, runs: CellRuns) -> float | None:
    """None where a coarse clock shows runs as whole ticks: then only their mean is known."""
    import numpy as np

    every = runs.run_ms()
    if not every.size or is_coarse(1e6 * float(every.mean()), runs.tick_ns):
        return None
    return float(np.quantile(every, share))


def _tail_quantile(share: float, runs: CellRuns) -> float | None:
    """None where so few runs are beyond it that a few more could change it much."""
    beyond = (1 - share) * sum(len(timing.ns) for timing in runs.timings)
    return _quantile(share, runs) if round(beyond, 6) >= TAIL_RUNS else None


def _mean(runs: CellRuns) -> float | None:
    every = runs.run_ms()
    return float(every.mean()) if every.size else None


def _end(compute: Compute, side: int, runs: CellRuns) -> float | None:
    """One end of the confidence interval for what `compute` says, -1 the lower, 1 the upper.

    Over sessions, by the jackknife that leaves out one at a time (Tukey 1958; Miller, The
    jackknife - a review, 1974), on the log scale: with n sessions and a figure x[-i] without the
    i-th, the variance is (n - 1) / n times the sum of squares of log x[-i] about their mean, and
    the interval is Student's with n - 1 degrees of freedom, widened as that of the latency is for
    stopping by its width.

    None where the figure is not known, or there is one session.
    """
    import numpy as np

    from compofa.profiler.statistics.interval import PEEKING
    from compofa.profiler.statistics.student import student_quantile

    n = len(runs.timings)
    value = compute(runs)
    left = [compute(runs.without(i)) for i in range(n)] if n > 1 and value else []
    if not value or not left or not all(left):
        return None
    logs = np.log(np.array(left, dtype=np.float64))
    error = math.sqrt((n - 1) / n * float(((logs - logs.mean()) ** 2).sum()))
    probability = 1 - PEEKING * (1 - runs.confidence) / 2
    reach = float(student_quantile(probability, np.array([n - 1.0]))[0])
    return value * math.exp(side * reach * error)


def _interval(of: MeasureSpec) -> tuple[MeasureSpec, MeasureSpec]:
    """The columns with the ends of the interval for another one."""
    names = interval_names(of.name)
    texts = [
        f"The {end} end of the confidence interval of {of.name}." for end in ("lower", "upper")
    ]
    return (
        MeasureSpec(names[0], texts[0], partial(_end, of.compute, -1)),
        MeasureSpec(names[1], texts[1], partial(_end, of.compute, 1)),
    )


def interval_names(column: str) -> tuple[str, str]:
    """What the columns with the interval of a measured column are called: p50_ci_low_ms, ..."""
    parts = re.fullmatch(r"(.+?)_(per_[a-z0-9]+|[a-z0-9]+)", column)
    stem, unit = parts.groups() if parts else (column, "")
    return f"{stem}_ci_low_{unit}", f"{stem}_ci_high_{unit}"


MEAN_MS = MeasureSpec("mean_ms", "The mean of all runs.", _mean)
P50_MS = MeasureSpec("p50_ms", "Half of the runs took at most this.", partial(_quantile, 0.5))
P90_MS = MeasureSpec("p90_ms", "90 % of the runs took at most this.", partial(_quantile, 0.9))
P99_MS = MeasureSpec(
    "p99_ms",
    "99 % of the runs took at most this; left empty for fewer than a thousand runs.",
    partial(_tail_quantile, 0.99),
    runs=100 * TAIL_RUNS,
)
MEAN_CI_LOW_MS, MEAN_CI_HIGH_MS = _interval(MEAN_MS)
P50_CI_LOW_MS, P50_CI_HIGH_MS = _interval(P50_MS)
P90_CI_LOW_MS, P90_CI_HIGH_MS = _interval(P90_MS)
P99_CI_LOW_MS, P99_CI_HIGH_MS = _interval(P99_MS)
