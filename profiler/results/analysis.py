"""What a journal says: for each cell its sessions, corrected for drift, and their estimate."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compofa.profiler.results.doubts import UNRESOLVED, find_doubts
from compofa.profiler.results.journal import (
    Corrected,
    Failure,
    JournalLine,
    Timing,
    of_kind,
    utc_now,
)
from compofa.profiler.results.measures import CellRuns
from compofa.profiler.results.model_lines import lines_that_count
from compofa.profiler.results.speeds import TwoSpeeds, find_speeds
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import CONFIDENCE, Protocol
from compofa.profiler.statistics.covariate import Adjusted, adjust
from compofa.profiler.statistics.drift import Drift, ReferencePoint, drift_factors
from compofa.profiler.statistics.interval import (
    NO_SHARED_ERROR,
    Estimate,
    SharedError,
    estimate_cells,
    shared_error,
)
from compofa.profiler.statistics.runs.clock import (
    clock_tick,
    condense_timed,
    is_coarse,
    unseen_shift,
)
from compofa.profiler.statistics.stopping import EARLY_SESSIONS, SPLIT_SESSIONS, is_enough
from compofa.profiler.statistics.variance_components import (
    VarianceComponents,
    variance_components,
)

Key = tuple[int, Cell | None]
"""A session and a cell; None is the reference model."""

CLOCK_TIMINGS = 200
"""How many timings of a journal are looked at to find the clock's tick."""


@dataclass(frozen=True)
class CellResult:
    """What is known of one measured cell.

    Attributes:
        estimate: None where no session has timed it.
        runs: everything that was timed of it, for measures.
        failure: why it cannot be measured; None where it can.
        doubt: why its estimate is not to be trusted, however narrow its interval; None where it is.
    """

    cell: Cell
    estimate: Estimate | None
    runs: CellRuns
    n_sessions: int
    n_runs: int
    model_sha256: str
    measured_at: str
    failure: str | None
    doubt: str | None = None

    def converged(self, target: float) -> bool:
        """Whether it can be trusted to `target`, the relative half-width of its interval."""
        if self.estimate is None or self.doubt is not None:
            return False
        return self.estimate.relative_half_width <= target


@dataclass(frozen=True)
class Analysis:
    """All cells of a journal.

    Attributes:
        raw_ms: the condensed latency of each session and cell, as timed; None is the reference.
        values: the same corrected for drift, per cell and session.
        level_sessions: those in the device's fastest state, to which estimates refer.
        noise: standard deviations between sessions and within them; None before any timing.
        slope: share of the reference's passing deviations that cells covaried with.
        drift: largest over smallest correction of a cell in a session, less one.
        reference_ms: the reference model's raw latency in each session, in order of time.
        shared_error: that the estimates of all cells have in common.
        tick_ns: of the device's clock; 1 where it is fine.
        speeds: two speeds that sessions, loads or runs were seen at.
        died: cells on which an agent died before they were ever measured; they are tried once more.
    """

    results: dict[Cell, CellResult]
    raw_ms: dict[Key, float]
    values: Mapping[Cell | None, Mapping[int, float]]
    level_sessions: frozenset[int] | None
    noise: VarianceComponents | None
    slope: float
    drift: float
    reference_ms: tuple[float, ...]
    died: frozenset[Cell]
    shared_error: SharedError = NO_SHARED_ERROR
    tick_ns: int = 1
    speeds: tuple[TwoSpeeds, ...] = ()

    def estimate(self, cell: Cell) -> Estimate | None:
        """What is known of the latency of `cell`, in milliseconds."""
        result = self.results.get(cell)
        return None if result is None else result.estimate

    def usable(self, cell: Cell) -> bool:
        """Whether `cell` was measured: it has an estimate and did not fail."""
        result = self.results.get(cell)
        return result is not None and result.failure is None and result.estimate is not None

    def latency_ms(self, cell: Cell) -> float:
        """The estimate of a usable cell."""
        estimate = self.estimate(cell)
        assert estimate is not None
        return estimate.value

    def relative_noise(self, cell: Cell) -> float:
        """Standard error of a usable cell's estimate, as a share, without what cells share."""
        assert self.noise is not None
        return self.noise.one_cell / math.sqrt(self.results[cell].n_sessions)

    def settled(self, cell: Cell, protocol: Protocol) -> bool:
        """Whether `cell` needs no further session: it converged, failed, or had all it may have."""
        result = self.results.get(cell)
        if result is None:
            return False
        if result.failure is not None or result.n_sessions >= protocol.max_sessions:
            return True
        if result.doubt == UNRESOLVED:
            return False
        if result.doubt is not None:
            # More sessions like these would not take it away.
            return result.n_sessions >= protocol.min_sessions
        half = math.inf if result.estimate is None else result.estimate.relative_half_width
        return is_enough(half, result.n_sessions, protocol.target, self._least(protocol))

    def _least(self, protocol: Protocol) -> int:
        """The fewest sessions of a cell: more where some ran at another speed."""
        level = self.level_sessions
        split = level is not None and any(
            session not in level for by_session in self.values.values() for session in by_session
        )
        usual = protocol.min_sessions
        return min(max(usual, SPLIT_SESSIONS), protocol.max_sessions) if split else usual

    def sessions_left(self, cell: Cell, protocol: Protocol) -> int:
        """How many more sessions `cell` will probably need: widths shrink with the square root."""
        result = self.results.get(cell)
        done = 0 if result is None else result.n_sessions
        half = (
            math.inf
            if result is None or result.estimate is None
            else (result.estimate.relative_half_width)
        )
        if math.isinf(half):
            return max(1, min(protocol.min_sessions, EARLY_SESSIONS) - done)
        needed = math.ceil(done * (half / protocol.target) ** 2)
        return max(1, min(max(needed, self._least(protocol)), protocol.max_sessions) - done)


def analyse(lines: Sequence[JournalLine], confidence: float = CONFIDENCE) -> Analysis:
    """Condenses the runs of each session, corrects them for drift, and estimates every cell.

    The reference model takes part as a cell of its own: it ties together sessions that have few
    cells in common. Lasting changes of its speed are divided out, passing ones are adjusted for as
    far as cells covaried with them. What is about model files that have changed since is left out.
    """
    lines = lines_that_count(lines)
    timed = of_kind(lines, Timing)
    tick = clock_tick([timing.ns for timing in timed[:CLOCK_TIMINGS]])
    timings = _warm(timed)
    raw = _condensed(timings, tick)
    drift = _drift(timings, tick)
    adjusted = _corrected(timings, raw, drift)
    values = adjusted.values
    level = drift.level_sessions if drift else None
    by_cell = _by_cell(timings)
    unseen = {cell: _unseen(visits, tick) for cell, visits in by_cell.items()}
    estimates = {
        cell: estimate.widened(unseen.get(cell, 0.0))
        for cell, estimate in estimate_cells(values, confidence, level_sessions=level).items()
        if cell is not None
    }
    # A clock that is coarse for its runs shows two readings where there is one speed.
    coarse = tick > 1 and any(is_coarse(statistics.fmean(each.ns), tick) for each in timings)
    speeds = find_speeds(timings, values, drift) if drift and not coarse else ()
    doubts = find_doubts(by_cell, tick, values, drift, speeds)
    failures = {failure.cell: failure for failure in of_kind(lines, Failure)}
    final = {cell: failure for cell, failure in failures.items() if failure.final}
    corrections = {(s, c): raw[s, c] / ms for c, row in values.items() for s, ms in row.items()}
    return Analysis(
        results={
            cell: _with_rest(
                _result(
                    cell, by_cell.get(cell, []), estimates.get(cell), final.get(cell), corrections
                ),
                doubts.get(cell),
                tick,
                confidence,
            )
            for cell in {**by_cell, **final}
        },
        raw_ms=raw,
        values=values,
        level_sessions=level,
        noise=variance_components(values) if values else None,
        slope=adjusted.slope,
        drift=max(corrections.values()) / min(corrections.values()) - 1 if corrections else 0.0,
        reference_ms=tuple(raw[key] for key in sorted(k for k in raw if k[1] is None)),
        died=frozenset(cell for cell, f in failures.items() if not f.final and cell not in by_cell),
        shared_error=_shared(values, level, tuple(unseen.values())),
        tick_ns=tick,
        speeds=speeds,
    )


def corrected_line(analysis: Analysis, session: int) -> Corrected:
    """The journal's line for a finished session: what came out of it, raw and corrected."""
    return Corrected(
        session,
        tuple((c, ms) for (s, c), ms in analysis.raw_ms.items() if s == session and c is not None),
        tuple(
            (cell, sessions[session])
            for cell, sessions in analysis.values.items()
            if cell is not None and session in sessions
        ),
        utc_now(),
    )


def _by_cell(timings: Sequence[Timing]) -> dict[Cell, list[Timing]]:
    """The timings of each cell, without those of the reference model."""
    visits: dict[Cell, list[Timing]] = {}
    for timing in timings:
        if timing.cell is not None:
            visits.setdefault(timing.cell, []).append(timing)
    return visits


def _warm(timings: Sequence[Timing]) -> list[Timing]:
    """The timings that count: without those of models that were not warm, if enough others were."""
    by_cell = _by_cell(timings)
    enough = {
        cell
        for cell, visits in by_cell.items()
        if sum(visit.warm for visit in visits) >= max(2, len(visits) / 2)
    }
    return [each for each in timings if each.warm or each.cell is None or each.cell not in enough]


def _unseen(visits: Sequence[Timing], tick: int) -> float:
    """What a coarse clock leaves open of a cell's latency, as a fraction either way."""
    return statistics.fmean(unseen_shift(visit.ns, tick) for visit in visits) if tick > 1 else 0.0


def _shared(
    values: Mapping[Cell | None, Mapping[int, float]],
    level: frozenset[int] | None,
    unseen: Sequence[float],
) -> SharedError:
    """With what the clock leaves open: one scatter of runs is much like another's."""
    if not values:
        return NO_SHARED_ERROR
    shared = shared_error(values, level)
    # Anything within that range is as likely: the variance of a uniform distribution.
    open_ = max(unseen, default=0.0) ** 2 / 3
    return replace(shared, variance=shared.variance + open_)


def _condensed(timings: Sequence[Timing], tick: int) -> dict[Key, float]:
    """Milliseconds of each session and cell, as timed; of the reference, the mean of its points."""
    logs: dict[Key, list[float]] = defaultdict(list)
    for timing in timings:
        ms = condense_timed(timing.ns, tick) / 1e6
        logs[timing.session, timing.cell].append(math.log(ms))
    return {key: math.exp(statistics.fmean(values)) for key, values in logs.items()}


def _drift(timings: Sequence[Timing], tick: int) -> Drift | None:
    reference = [timing for timing in timings if timing.cell is None]
    if not reference:
        return None
    return drift_factors(
        [ReferencePoint(t.session, t.at_s, condense_timed(t.ns, tick)) for t in reference]
    )


def _corrected(
    timings: Sequence[Timing], raw: Mapping[Key, float], drift: Drift | None
) -> Adjusted[Cell | None]:
    """Latencies per cell and session, corrected for lasting and passing changes of speed."""
    if drift is None:
        return Adjusted({}, 0.0, 0.0)
    deviations: dict[Key, list[float]] = defaultdict(list)
    for timing in timings:
        deviation = drift.deviation(timing.session, timing.at_s)
        deviations[timing.session, timing.cell].append(deviation)
    values: dict[Cell | None, dict[int, float]] = defaultdict(dict)
    covariate: dict[Cell | None, dict[int, float]] = defaultdict(dict)
    for (session, cell), ms in raw.items():
        values[cell][session] = ms / drift.regime_factors[session]
        covariate[cell][session] = statistics.fmean(deviations[session, cell])
    return adjust(values, covariate)


def _with_rest(result: CellResult, doubt: str | None, tick: int, confidence: float) -> CellResult:
    """`result`, with what does not follow from its own estimate."""
    runs = replace(result.runs, tick_ns=tick, confidence=confidence)
    return replace(result, runs=runs, doubt=doubt)


def _result(
    cell: Cell,
    timings: Sequence[Timing],
    estimate: Estimate | None,
    failure: Failure | None,
    factors: dict[Key, float],
) -> CellResult:
    last = timings[-1] if timings else failure
    return CellResult(
        cell=cell,
        estimate=estimate,
        runs=CellRuns(cell, tuple(timings), tuple(factors[t.session, cell] for t in timings)),
        n_sessions=len(timings),
        n_runs=sum(len(t.ns) for t in timings),
        model_sha256=last.model_sha256 if last else "",
        measured_at=last.measured_at if last else "",
        failure=None if failure is None else failure.reason,
    )
