"""A/A tests of a set-up: how noisy it is, which changes it can show, and its false alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.measurement.plan import Plan
from compofa.profiler.results.analysis import analyse
from compofa.profiler.results.journal import JournalLine, SessionLine, Timing, of_kind
from compofa.profiler.results.speeds import TwoSpeeds
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import CONFIDENCE, MIN_EFFECT, Protocol
from compofa.profiler.statistics.compare import Verdict, compare
from compofa.profiler.statistics.interval import estimate_cells
from compofa.profiler.statistics.stopping import converged
from compofa.profiler.statistics.variance_components import VarianceComponents
from compofa.supernet.space import Space

SPLITS = 200
"""How often the sessions are split at random into two sides; each split is an A/A comparison."""

SIMULATED, POWER = 80, 0.95
"""How many comparisons are simulated, and the share of them that has to find a change. More than
the nine in ten that are promised: the noise they are simulated with is known from few sessions."""

LARGEST, PRECISION = 1.0, 0.001
"""The largest change that is tried, as a fraction, and how finely changes are told apart."""


@dataclass(frozen=True)
class Selftest:
    """The result of an A/A test.

    Attributes:
        noise: standard deviations between sessions, between loads and between runs.
        sessions, cells: how many of each it rests on.
        seconds_per_cell: the time of one cell in one session, everything included.
        false_alarms: share of A/A comparisons that called any cell slower or faster.
        comparisons: how many those were.
        speeds: two speeds that whole sessions ran at. What comparisons show then depends on which
            speed each profile meets, and no simulation of scatter says it.
    """

    noise: VarianceComponents
    sessions: int
    cells: int
    seconds_per_cell: float
    false_alarms: float
    comparisons: int
    speeds: tuple[TwoSpeeds, ...] = ()

    def sessions_within(self, minutes: float, cells: int) -> int:
        """The most sessions of each of two profiles of `cells` cells that take `minutes` in all."""
        return int(minutes * 60 / (2 * cells * self.seconds_per_cell))


@dataclass(frozen=True)
class ComparisonOptions:
    """How `compofa-report compare` is called on two profiles.

    Attributes:
        min_effect: the smallest change that counts, as a fraction.
        confidence: that nothing is falsely called slower or faster.
    """

    min_effect: float = MIN_EFFECT
    confidence: float = CONFIDENCE


def smallest_change(
    noise: VarianceComponents, most_sessions: int, cells: int, options: ComparisonOptions
) -> tuple[float, float] | None:
    """The smallest slow-down of one cell that a comparison of two profiles finds 9 times in 10.

    Profiles and comparisons are simulated with this noise and by the rules that they follow: each
    profile stops by its intervals, and the comparison takes off what the reference model shows of
    a change of the device.

    Args:
        noise: of the set-up.
        most_sessions: that the time allows each profile; it seldom needs them all.
        cells: of each profile.
        options: of the comparison.

    Returns:
        The slow-down as a fraction, and how many sessions a profile made on average; None where two
        sessions a side are not to be had, or no slow-down below `LARGEST` is found.
    """
    protocol = Protocol()
    most = min(most_sessions, protocol.max_sessions)
    if most < 2:
        return None
    rng = np.random.default_rng(0)
    pairs = [
        tuple(_simulated_profile(rng, noise, most, cells, protocol) for _ in range(2))
        for _ in range(SIMULATED)
    ]
    made = float(np.mean([len(side[SEEN_AS_REFERENCE]) for pair in pairs for side in pair]))
    low, high = 0.0, LARGEST
    if _found(pairs, high, options) < POWER:
        return None
    while high - low > PRECISION:
        middle = (low + high) / 2
        enough = _found(pairs, middle, options) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high, made


SEEN_AS_REFERENCE = -1

Simulated = dict[int, dict[int, float]]
"""Latencies of cells by session, the reference model's too."""


def _simulated_profile(
    rng: np.random.Generator,
    noise: VarianceComponents,
    most: int,
    cells: int,
    protocol: Protocol,
) -> Simulated:
    """A profile that is stopped as profiles are."""
    shared = 0.0 if math.isnan(noise.session) else noise.session
    data = noise.one_cell * rng.standard_normal((cells + 1, most)) + shared * rng.standard_normal(
        most
    )
    latency = np.exp(data)
    values: Simulated = {cell: {} for cell in (*range(cells), SEEN_AS_REFERENCE)}
    for session in range(most):
        estimates = estimate_cells(values, protocol.confidence) if session > 1 else {}
        done = converged(estimates, protocol.target, protocol.min_sessions)
        left = [cell for cell in range(cells) if cell not in done]
        if not left:
            break
        for cell in left:
            values[cell][session] = float(latency[cell, session])
        values[SEEN_AS_REFERENCE][session] = float(latency[cells, session])
    return values


def _found(
    pairs: Sequence[tuple[Simulated, ...]], change: float, options: ComparisonOptions
) -> float:
    """Share of cells called slower where all are so by `change`, and the reference model is not.

    That is what a comparison says of each of them if it alone is slower: how fast the others are
    is fitted, whatever it is.
    """
    shares = []
    for base, new in pairs:
        slower = {
            cell: {s: ms * (1 + change) for s, ms in row.items()} for cell, row in new.items()
        }
        slower[SEEN_AS_REFERENCE] = new[SEEN_AS_REFERENCE]
        compared = compare(
            base,
            slower,
            min_effect=options.min_effect,
            confidence=options.confidence,
            relative_to=SEEN_AS_REFERENCE,
        )
        verdicts = [ratio.verdict for ratio in compared.cells.values()]
        shares.append(verdicts.count(Verdict.SLOWER) / len(verdicts))
    return float(np.mean(shares))


USUAL = ComparisonOptions()


def selftest_plan(space: Space, resolutions: Sequence[int], cells: int, seed: int) -> Plan:
    """Cells drawn at random, all of them measured and none predicted."""
    rng = np.random.default_rng(seed)
    chosen: dict[Cell, None] = {}
    # Bounded: a small space may not have so many different cells.
    for _ in range(100 * cells):
        if len(chosen) == cells:
            break
        key = space.key(space.sample(rng))
        chosen[Cell(space.name, key, int(rng.choice(resolutions)), 1)] = None
    return Plan("selftest", seed, tuple(chosen), tuple(range(len(chosen))), ())


def run_selftest(
    lines: Sequence[JournalLine], seed: int = 0, options: ComparisonOptions = USUAL
) -> Selftest:
    """Judges a journal of undisturbed sessions on one set-up.

    The sessions are split at random into two halves, again and again: no difference is real, so
    every verdict other than "same" and "cannot tell" is a false alarm.

    Raises:
        UserError: fewer than 4 sessions measured anything.
    """
    analysis = analyse(lines)
    sessions = sorted({s for values in analysis.values.values() for s in values})
    if len(sessions) < 4 or analysis.noise is None:
        raise UserError(
            f"an A/A test needs at least 4 sessions that measured something, not {len(sessions)}"
        )
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(SPLITS):
        shuffled = rng.permutation(sessions)
        half = len(sessions) // 2
        first, second = set(shuffled[:half].tolist()), set(shuffled[half:].tolist())
        compared = compare(
            _side(analysis.values, first),
            _side(analysis.values, second),
            min_effect=options.min_effect,
            confidence=options.confidence,
            relative_to=REFERENCE,
        )
        verdicts = {ratio.verdict for ratio in compared.cells.values()}
        alarms += bool(verdicts & {Verdict.SLOWER, Verdict.FASTER})
    cells = [cell for cell in analysis.values if cell is not None]
    return Selftest(
        noise=analysis.noise,
        sessions=len(sessions),
        cells=len(cells),
        seconds_per_cell=_seconds_per_cell(lines),
        false_alarms=alarms / SPLITS,
        comparisons=SPLITS,
        speeds=tuple(each for each in analysis.speeds if each.of.startswith("sessions")),
    )


def _side(
    values: Mapping[Cell | None, Mapping[int, float]], sessions: set[int]
) -> dict[Cell, dict[int, float]]:
    """The part of `values` that belongs to `sessions`; cells none of them measured are left out."""
    side = {
        cell or REFERENCE: {
            session: ms for session, ms in by_session.items() if session in sessions
        }
        for cell, by_session in values.items()
    }
    return {cell: by_session for cell, by_session in side.items() if by_session}


def _seconds_per_cell(lines: Sequence[JournalLine]) -> float:
    """Mean time of a cell in a session, with its share of the reference model and of the start."""
    ends: dict[int, float] = {}
    for timing in of_kind(lines, Timing):
        ends[timing.session] = max(ends.get(timing.session, 0.0), timing.at_s)
    cells = sum(timing.cell is not None for timing in of_kind(lines, Timing))
    starts = {line.session for line in of_kind(lines, SessionLine)}
    return sum(ends[session] for session in starts if session in ends) / max(cells, 1)
