"""The settings of the measuring protocol: how long, how often, how sure.

Defaults stand here and nowhere else: command lines, their help, comparisons and pages take them
from here, so that a figure that is changed here is changed everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
"""Of intervals of what was measured, and of comparisons, unless the user asks for another."""

PREDICTION_CONFIDENCE = 0.9
"""Of intervals of latencies that were predicted, unless the user asks for another."""

MIN_EFFECT = 0.03
"""Between two tables, the smallest change of a latency that counts, as a fraction."""

MIN_EFFECT_IN_TURNS = 0.01
"""The same between two models that were measured in turns, which shows smaller changes."""

FREE_MEASURES = "latency,load,first"
"""What a profile measures unless it is asked for more: what timing tells anyway."""

COST_PASSES = 3
"""Of each cell, for what is counted apart from latencies; each pass is a fresh process."""


@dataclass(frozen=True)
class Protocol:
    """How cells are measured; recorded with every table.

    Attributes:
        target: the relative half-width of a cell's interval at which measuring it may stop.
        confidence: of that interval.
        prediction_confidence: of the intervals of cells that are predicted.
        min_sessions, max_sessions: of one cell; one that is not there by the last is unconverged.
        min_runs, max_runs: timed runs of a cell in one session.
        run_s: seconds of timed runs to aim for, between those bounds.
        warmup_chunk: runs between two looks at whether a model has warmed up.
        warmup_s: seconds after which warm-up ends in any case.
        look_runs, look_s: runs and at most seconds of a long look at the reference model, which
            finds how long the device takes to warm up; it is taken once, and again where it does.
        reference_runs: timed runs of the reference model, before the first cell and after each.
        tolerance: largest difference from the host's output; None takes what suits the dtype, see
            `Dtype.tolerance`.
        max_time_s: of the whole profile; None for no limit.
    """

    target: float = 0.02
    confidence: float = CONFIDENCE
    prediction_confidence: float = PREDICTION_CONFIDENCE
    min_sessions: int = 5
    max_sessions: int = 10
    min_runs: int = 10
    max_runs: int = 100
    run_s: float = 0.25
    warmup_chunk: int = 4
    warmup_s: float = 5.0
    look_runs: int = 600
    look_s: float = 10.0
    reference_runs: int = 10
    tolerance: float | None = None
    max_time_s: float | None = None

    def runs_for(self, run_ns: float) -> int:
        """How many runs of `run_ns` nanoseconds each a session times."""
        return max(self.min_runs, min(self.max_runs, round(self.run_s * 1e9 / run_ns)))
