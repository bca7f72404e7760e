"""The columns that say what a cell costs besides its latency, and what each is computed from.

Loading and the first run are in every session's lines; memory, throughput and energy are counted
in passes of their own, which a profile makes where one of their columns is asked for.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial

from compofa.common.errors import UserError, suggestion
from compofa.profiler.results.measures import CellRuns, MeasureSpec, interval_names

MEASURES: dict[str, tuple[str, ...]] = {
    "latency": (),
    "load": ("load_ms",),
    "first": ("first_ms",),
    "memory": ("peak_memory_mb",),
    "throughput": ("throughput_per_s",),
}
"""What `--measure` names, and the columns that it brings; every table has those of the latency."""


def columns_of(measures: Sequence[str]) -> tuple[str, ...]:
    """The columns that some of `MEASURES` bring.

    Raises:
        UserError: one is not known.
    """
    for name in measures:
        if name not in MEASURES:
            message = f"--measure knows no {name[:60]!r}"
            raise UserError(message, hint=suggestion(name, list(MEASURES)))
    return tuple(column for name in measures for column in MEASURES[name])


Values = Callable[[CellRuns], list[float]]
"""One figure of each session or pass."""


def _loads(runs: CellRuns) -> list[float]:
    return [timing.load_ns / 1e6 for timing in runs.timings if timing.load_ns > 0]


def _firsts(runs: CellRuns) -> list[float]:
    return [timing.first_ns / 1e6 for timing in runs.timings if timing.first_ns > 0]


def _added_memory(runs: CellRuns) -> list[float]:
    counted = [cost.counted for cost in runs.costs if "peak_mb" in cost.counted]
    added = [each["peak_mb"] - each["base_mb"] for each in counted]
    return [each for each in added if each > 0]


def _rates(runs: CellRuns) -> list[float]:
    rates = [cost.counted.get("per_s", 0.0) for cost in runs.costs]
    return [rate for rate in rates if rate > 0]


def _median(values: Values, runs: CellRuns) -> float | None:
    known = values(runs)
    return statistics.median(known) if known else None


def _end(values: Values, side: int, runs: CellRuns) -> float | None:
    """One end of the interval for the median over sessions, -1 the lower, 1 the upper."""
    ends = interval_of(values(runs), runs.confidence)
    return None if ends is None else ends[0 if side < 0 else 1]


def interval_of(values: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """The confidence interval for the median of positive figures, one of each session.

    Student's on the log scale, where the median is the mean; widened to the median that was seen
    if that is outside. None from fewer than two sessions.
    """
    import numpy as np

    from compofa.profiler.statistics.student import student_quantile

    logs = [math.log(value) for value in values]
    if len(logs) < 2:
        return None
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    reach = student_quantile((1 + confidence) / 2, np.array([len(logs) - 1.0]))
    mean, middle, half = statistics.fmean(logs), statistics.median(logs), float(reach[0]) * error
    return math.exp(min(mean - half, middle)), math.exp(max(mean + half, middle))


def _with_interval(
    name: str, meaning: str, values: Values, *, needs: str = "", lower_is_better: bool = True
) -> tuple[MeasureSpec, MeasureSpec, MeasureSpec]:
    """A column, and the two with the ends of its interval."""
    spec = partial(MeasureSpec, needs=needs, lower_is_better=lower_is_better)
    low, high = interval_names(name)
    end = "end of the confidence interval of"
    return (
        spec(name, meaning, partial(_median, values), of_network=True),
        spec(low, f"The lower {end} {name}.", partial(_end, values, -1)),
        spec(high, f"The upper {end} {name}.", partial(_end, values, 1)),
    )


LOAD_MS, LOAD_CI_LOW_MS, LOAD_CI_HIGH_MS = _with_interval(
    "load_ms", "Loading the model: the median over sessions.", _loads
)
FIRST_MS, FIRST_CI_LOW_MS, FIRST_CI_HIGH_MS = _with_interval(
    "first_ms",
    "The first run after loading, until its output was there: the median over sessions.",
    _firsts,
)
PEAK_MEMORY_MB, PEAK_MEMORY_CI_LOW_MB, PEAK_MEMORY_CI_HIGH_MB = _with_interval(
    "peak_memory_mb",
    "What the model adds to its process at the highest, in millions of bytes: the median over "
    "fresh processes.",
    _added_memory,
    needs="memory",
)
THROUGHPUT_PER_S, THROUGHPUT_CI_LOW_PER_S, THROUGHPUT_CI_HIGH_PER_S = _with_interval(
    "throughput_per_s",
    "Images a second by all workers together: the median over passes.",
    _rates,
    needs="throughput",
    lower_is_better=False,
)
