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
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from compofa.common.entry_points import load_registered, registered
from compofa.common.errors import UserError
from compofa.profiler.results.journal import Timing
from compofa.profiler.results.table import COLUMNS, Cell

if TYPE_CHECKING:
    from compofa.common.arrays import FloatArray

GROUP = "compofa.measures"
"""The entry points: each is called like its column and refers to a `MeasureSpec`."""

TAIL_RUNS = 10
"""Runs that a tail has to hold before it is told: a p99 takes a thousand runs."""


@dataclass(frozen=True)
class CellRuns:
    """All that was timed of one cell.

    Attributes:
        timings: the journal's lines about it, one for each session that timed it, in their order.
        factors: for each of them, how much slower than usual the device was then; dividing by it
            corrects for drift.
    """

    cell: Cell
    timings: tuple[Timing, ...]
    factors: tuple[float, ...]

    def run_ms(self) -> FloatArray:
        """Milliseconds of every single run, corrected for drift, [n].

        Empty where single runs are not known: some runtimes tell one number for many of them.
        """
        import numpy as np

        known = [
            np.array(timing.ns) / 1e6 / factor
            for timing, factor in zip(self.timings, self.factors, strict=True)
            # A single number stands for runs that are not known one by one.
            if len(timing.ns) > 1
        ]
        return np.concatenate(known) if known else np.empty(0)


@dataclass(frozen=True)
class MeasureSpec:
    """A column of a table.

    Attributes:
        name: of the column, in small letters, with the unit last: "p99_ms", "energy_mj".
        meaning: what it says, as one sentence.
        compute: its value for a cell; None where the journal does not tell.
        lower_is_better: which way it should go.

    Raises:
        ValueError: the name is none of a column, or has no unit.
    """

    name: str
    meaning: str
    compute: Callable[[CellRuns], float | None]
    lower_is_better: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", self.name):
            raise ValueError(
                f"{self.name!r} is no name for a measured column: use small letters, with the unit "
                "at the end, as in energy_mj"
            )

    def of(self, runs: CellRuns) -> float | None:
        """The value for a cell that was timed; what is no finite number is not known."""
        value = self.compute(runs)
        return None if value is None or not math.isfinite(value) else float(value)


def find_measures(names: Iterable[str]) -> tuple[MeasureSpec, ...]:
    """The measures called `names`, each once, without those that every table has anyway.

    Raises:
        UserError: nobody registers one of them, or what is registered is not of that name.
    """
    measures = []
    for name in dict.fromkeys(names):
        measure = load_registered(GROUP, name, "measured column", MeasureSpec)
        if measure.name != name:
            raise UserError(f"the measured column {name!r} calls itself {measure.name!r}")
        if name not in COLUMNS:
            measures.append(measure)
    return tuple(measures)


def measure_names() -> tuple[str, ...]:
    """The names of all measures that can be asked for."""
    return tuple(sorted(registered(GROUP)))


def _quantile(share: float, runs: CellRuns) -> float | None:
    import numpy as np

    every = runs.run_ms()
    return float(np.quantile(every, share)) if every.size else None


def _tail_quantile(share: float, runs: CellRuns) -> float | None:
    """None where so few runs are beyond it that the next few could move it far."""
    beyond = (1 - share) * sum(len(timing.ns) for timing in runs.timings)
    return _quantile(share, runs) if round(beyond, 6) >= TAIL_RUNS else None


def _mean(runs: CellRuns) -> float | None:
    every = runs.run_ms()
    return float(every.mean()) if every.size else None


def _load(runs: CellRuns) -> float | None:
    loads = [timing.load_ns / 1e6 for timing in runs.timings if timing.load_ns > 0]
    return statistics.median(loads) if loads else None


LOAD_MS = MeasureSpec("load_ms", "Loading the model: the median over sessions.", _load)
MEAN_MS = MeasureSpec("mean_ms", "The mean of all runs.", _mean)
P50_MS = MeasureSpec("p50_ms", "Half of the runs took at most this.", partial(_quantile, 0.5))
P90_MS = MeasureSpec("p90_ms", "90 % of the runs took at most this.", partial(_quantile, 0.9))
P99_MS = MeasureSpec(
    "p99_ms",
    "99 % of the runs took at most this; left empty for fewer than a thousand runs.",
    partial(_tail_quantile, 0.99),
)
