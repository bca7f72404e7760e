"""Simulations that show what the statistics promise: coverage, bias, delays, error rates.

    python benchmarks/bench_statistics.py

prints every figure of docs/notes/coverage.md and writes them, with facts of the machine, to
benchmarks/results/statistics.json. It takes eleven minutes. The tests run the same functions
with fewer repetitions.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from compofa.profiler.statistics.change_points import regimes, slowdown
from compofa.profiler.statistics.compare import Verdict, compare, smallest_change
from compofa.profiler.statistics.covariate import adjust
from compofa.profiler.statistics.drift import Drift, ReferencePoint, drift_factors
from compofa.profiler.statistics.interval import Estimate, estimate_cells
from compofa.profiler.statistics.runs.location import QUIET, Slice
from compofa.profiler.statistics.runs.modes import dip, find_modes
from compofa.profiler.statistics.runs.warmup import warmup_length
from compofa.profiler.statistics.stopping import (
    EARLY_SESSIONS,
    EARLY_SHARE,
    MAX_SESSIONS,
    converged,
)
from compofa.profiler.statistics.variance_components import VarianceComponents

Floats = npt.NDArray[np.float64]
Values = dict[int, dict[int, float]]
Scaled = Callable[[int], int]
Studies = Iterator[tuple[str, Callable[[], object]]]

SDS = (0.0, 0.005, 0.01, 0.03)
REFERENCE = -1
"""The reference model's key among cells numbered from 0."""


@dataclass(frozen=True)
class Result:
    """A mean over repetitions with its Monte Carlo standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Result:
        array = np.asarray(values, dtype=float)
        return cls(float(array.mean()), float(array.std() / math.sqrt(array.size)))


def heavy_runs(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Log noise of runs: one-sided Student t with 3 degrees of freedom, and 5 % preempted ones."""
    tail = 0.01 * np.abs(rng.standard_t(3, shape))
    preempted = (rng.random(shape) < 0.05) * rng.uniform(0.1, 1.0, shape)
    return np.asarray(tail + preempted)


@cache
def condensed_noise(count: int = 20_000, runs: int = 40) -> tuple[Floats, float]:
    """Log condensed latencies of (session, cell) pairs, and what endless runs would give."""
    rng = np.random.default_rng(0)
    sample = condense_rows(np.exp(heavy_runs(rng, (count, runs))))
    truth = condense_rows(np.exp(heavy_runs(rng, (1, 2_000_000))))
    return np.log(sample), float(np.log(truth[0]))


def condense_rows(runs: Floats, part: Slice = QUIET) -> Floats:
    """The vectorised twin of `location.condense`; a test checks that they agree."""
    edges = np.arange(runs.shape[1] + 1) / runs.shape[1]
    weights = np.diff(np.clip(edges, part.low, part.high))
    return np.asarray(np.sort(runs, axis=1) @ weights / weights.sum())


class Setup:
    """A simulated set-up, all of whose cells have a true log latency of 0.

    A session has an effect on all cells (sd `session`), and one on each cell: `session / 2`, times
    a factor of the cell's own between about 0.5 and 2. Runs are heavy-tailed.
    """

    def __init__(self, rng: np.random.Generator, session: float, cells: int) -> None:
        self.rng = rng
        self.session = session
        self.cells = cells
        self.pool, self.truth = condensed_noise()

    def measure(self, sessions: int) -> Floats:
        """Log latencies of the reference (row 0) and of cells, shape (1 + cells, sessions)."""
        shape = (self.cells + 1, sessions)
        own = self.session / 2 * np.exp(0.35 * self.rng.standard_normal((shape[0], 1)))
        shared = self.session * self.rng.standard_normal(sessions)
        runs = self.rng.choice(self.pool, shape) - self.truth
        return np.asarray(shared + own * self.rng.standard_normal(shape) + runs)


def as_values(log_latency: Floats, measured: npt.NDArray[np.bool_] | None = None) -> Values:
    """Rows as cells numbered from `REFERENCE` on, columns as sessions from 0 on."""
    latency = np.exp(log_latency)
    return {
        row + REFERENCE: {
            s: float(latency[row, s])
            for s in range(latency.shape[1])
            if measured is None or measured[row, s]
        }
        for row in range(latency.shape[0])
    }


def share_covered(estimates: Mapping[int, Estimate], truth: float = 1.0) -> float:
    return float(
        np.mean([e.low <= truth <= e.high for cell, e in estimates.items() if cell != REFERENCE])
    )


def fixed_coverage(session: float, sessions: int, cells: int, repetitions: int) -> Result:
    """Of 95 % intervals, with the number of sessions fixed beforehand."""
    setup = Setup(np.random.default_rng(1), session, cells)
    return Result.of(
        [
            share_covered(estimate_cells(as_values(setup.measure(sessions)), peeking=False))
            for _ in range(repetitions)
        ]
    )


def sequential_coverage(
    session: float, cells: int, repetitions: int, target: float = 0.02
) -> tuple[Result, Result, Result]:
    """Coverage, sessions a cell, share of converged cells, when cells leave as they converge."""
    setup = Setup(np.random.default_rng(2), session, cells)
    covered, used, reached = [], [], []
    for _ in range(repetitions):
        data = setup.measure(MAX_SESSIONS)
        measured = np.zeros(data.shape, dtype=bool)
        measured[:, :EARLY_SESSIONS] = True
        for n in range(EARLY_SESSIONS, MAX_SESSIONS + 1):
            estimates = estimate_cells(as_values(data[:, :n], measured[:, :n]))
            left = [c for c in estimates.keys() - converged(estimates, target) if c != REFERENCE]
            if not left or n == MAX_SESSIONS:
                break
            measured[[0] + [cell - REFERENCE for cell in left], n] = True
        covered.append(share_covered(estimates))
        used.append(float(measured[1:].sum(axis=1).mean()))
        reached.append(1 - len(left) / cells)
    return Result.of(covered), Result.of(used), Result.of(reached)


def rogue_coverage(session: float, noisier: float, repetitions: int) -> Result:
    """Of a cell with more noise of its own (0.3 % times `noisier`) than 19 others, 5 sessions."""
    rng = np.random.default_rng(13)
    own = np.full((20, 1), 0.003)
    own[0] *= noisier
    covered = []
    for _ in range(repetitions):
        shared = session * rng.standard_normal(5)
        rows = as_values(shared + own * rng.standard_normal((20, 5)))
        rogue = estimate_cells(rows, peeking=False)[REFERENCE]
        covered.append(rogue.low <= 1 <= rogue.high)
    return Result.of(covered)


def stopped_coverage(
    confidence: float, min_sessions: int, repetitions: int = 40_000, early: bool = False
) -> dict[float, float]:
    """Coverage of one cell's t intervals after stopping, by sd over target (see `stopping`)."""
    rng = np.random.default_rng(3)
    n = np.arange(2, MAX_SESSIONS + 1)
    squares = np.cumsum(rng.standard_normal((repetitions, n.size)) ** 2, axis=1)
    quantile = stdtrit(n - 1, 0.5 + confidence / 2)
    coverage = {}
    for ratio in (0.05, 0.2, 0.5, 0.8, 1.0, 1.2, 1.5, 1.8, 2.1, 2.5, 3.0):
        width = quantile * ratio * np.sqrt(squares / (n - 1) / n)
        stop = (width <= 1) & (n >= min_sessions)
        if early:
            stop |= (width <= EARLY_SHARE) & (n >= EARLY_SESSIONS)
        stop[:, -1] = True
        at = stop.argmax(axis=1)
        reached = width[np.arange(repetitions), at] * np.sqrt(n[at]) / ratio
        coverage[ratio] = float(np.mean(2 * ndtr(reached) - 1))
    return coverage


SLOWDOWNS = ("half", "middle", "onset")


def slowness(where: str, sessions: int, times: Floats, slow: float) -> Floats:
    """Log slow-down by session and time, for times within [0, 1], shape (sessions, ...)."""
    session = np.arange(sessions)[:, None]
    late = times >= 0.45
    slowed = {
        "half": (session >= sessions // 2) & (times >= 0),
        "middle": (session == 3) & late,
        "onset": (session > 3) | ((session == 3) & late),
    }[where]
    return np.where(slowed, math.log1p(slow), 0.0)


def slowed_estimates(
    where: str,
    session: float,
    repetitions: int,
    sessions: int = 10,
    points: int = 21,
    point_noise: float = 0.01,
    slow: float = 0.10,
) -> dict[str, Result]:
    """What a slow-down does to estimates: relative to the same data without it.

    `where` is "half" (from half of the sessions on), "middle" (in one session, from its middle
    on) or "onset" (from the middle of one session on, and in all that follow). Profiles that
    suspect two speeds are marked; the others count.
    """
    rng = np.random.default_rng(4)
    setup = Setup(rng, session, cells=20)
    at = np.broadcast_to(np.linspace(0, 1, points), (sessions, points))
    shifts, uncorrected, covered, marked = [], [], [], []
    for _ in range(repetitions):
        data = setup.measure(sessions)
        times = rng.random((sessions, setup.cells))
        reference = data[0][:, None] + point_noise * rng.standard_normal(at.shape)
        slow_cells = data[1:] + slowness(where, sessions, times, slow).T
        slow_reference = reference + slowness(where, sessions, at, slow)
        quiet = corrected_estimates(data[1:], times, reference, at)
        drift = _drift(slow_reference, at)
        marked.append(drift.suspected)
        if drift.suspected:
            continue
        slowed = _estimated(drift, slow_cells, times)
        raw = estimate_cells(as_values(slow_cells), peeking=False)
        uncorrected.append(np.mean([raw[c - 1].value / quiet[c].value - 1 for c in quiet]))
        shifts.append([slowed[c].value / quiet[c].value - 1 for c in quiet])
        covered.append(share_covered(slowed))
    moved = np.array(shifts)
    return {
        "uncorrected_shift": Result.of(uncorrected),
        "shift": Result.of(moved.mean(axis=1)),
        "absolute_shift": Result.of(np.abs(moved).mean(axis=1)),
        "within_1_percent": Result.of((np.abs(moved) < 0.01).mean(axis=1)),
        "coverage": Result.of(covered),
        "marked": Result.of(marked),
    }


def corrected_estimates(
    cells: Floats, times: Floats, reference: Floats, at: Floats
) -> dict[int, Estimate]:
    """As the profiler does it: drift and deviations from the reference, adjustment, estimates."""
    return _estimated(_drift(reference, at), cells, times)


def _drift(reference: Floats, at: Floats) -> Drift:
    return drift_factors(
        [
            ReferencePoint(s, float(t), math.exp(x))
            for s in range(at.shape[0])
            for t, x in zip(at[s], reference[s], strict=True)
        ]
    )


def _estimated(drift: Drift, cells: Floats, times: Floats) -> dict[int, Estimate]:
    factors = drift.regime_factors
    values = {
        c: {s: math.exp(x) / factors[s] for s, x in enumerate(row)} for c, row in enumerate(cells)
    }
    deviations = {
        c: {s: drift.deviation(s, float(times[s, c])) for s in row} for c, row in values.items()
    }
    adjusted = adjust(values, deviations)
    return estimate_cells(adjusted.values, level_sessions=drift.level_sessions, peeking=False)


def wandering_estimates(
    repetitions: int,
    wander: float = 0.08,
    sessions: int = 8,
    cells: int = 20,
    memory: float = 0.7,
) -> dict[str, Result]:
    """What a device whose speed wanders within seconds does to estimates, as shared hosts' do.

    The log of its speed is autoregressive along a session (`memory` from a cell to the next
    reference point), the cells covary with 0.7 of it, and both have 3 % of noise of their own.
    """
    rng = np.random.default_rng(11)
    estimates, plain_estimates = [], []
    for _ in range(repetitions):
        steps = rng.standard_normal((sessions, 2 * cells + 1))
        path = np.empty_like(steps)
        path[:, 0] = steps[:, 0]
        for i in range(1, path.shape[1]):
            path[:, i] = memory * path[:, i - 1] + math.sqrt(1 - memory**2) * steps[:, i]
        path *= wander
        shared = 0.01 * rng.standard_normal((sessions, 1))
        seen = path + shared + 0.03 * rng.standard_normal(path.shape)
        # Each session visits the cells in an order of its own.
        order = np.argsort(rng.random((sessions, cells)), axis=1)
        rows = np.take_along_axis(
            0.7 * path[:, 1::2] + shared + 0.03 * rng.standard_normal((sessions, cells)),
            order,
            axis=1,
        ).T
        times = (2.0 * order + 1).astype(np.float64)
        at = np.broadcast_to(2.0 * np.arange(cells + 1), (sessions, cells + 1))
        estimates.append(corrected_estimates(rows, times, seen[:, ::2], at))
        plain_estimates.append(estimate_cells(as_values(rows), peeking=False))
    logs = [[math.log(e.value) for e in found.values()] for found in estimates]
    # The level is that of a device as quiet as it is a third of the time, whatever that is.
    truth = math.exp(float(np.mean(logs)))
    halves = [np.mean([e.relative_half_width for e in found.values()]) for found in estimates]
    before = [np.mean([e.relative_half_width for e in f.values()]) for f in plain_estimates]
    return {
        "coverage": Result.of([share_covered(found, truth) for found in estimates]),
        "half_width_ratio": Result.of(list(np.array(halves) / np.array(before))),
    }


def throttling(
    step: float,
    quiet_sessions: int,
    repetitions: int,
    known: bool = False,
    heavy: bool = False,
    noise: float = 0.01,
) -> tuple[Result, Result]:
    """Share of steps found within 3 sessions, and of 30 quiet sessions with a false alarm."""
    rng = np.random.default_rng(5)
    prior = noise if known else None

    def levels(n: int) -> Floats:
        z = rng.standard_t(4, n) / math.sqrt(2) if heavy else rng.standard_normal(n)
        return np.asarray(noise * z)

    def alarm(x: Floats, first: int) -> bool:
        series = list(np.exp(x))
        return any(slowdown(series[:n], noise=prior) for n in range(first, x.size + 1))

    found, alarms = [], []
    for _ in range(repetitions):
        x = levels(quiet_sessions + 3)
        x[quiet_sessions:] += math.log1p(step)
        found.append(alarm(x, quiet_sessions + 1))
        alarms.append(alarm(levels(30), 1))
    return Result.of(found), Result.of(alarms)


def split_rate(repetitions: int, noise: float = 0.01) -> Result:
    """How often `regimes` splits ten undisturbed sessions."""
    rng = np.random.default_rng(6)
    return Result.of(
        [
            max(regimes(list(np.exp(noise * rng.standard_normal(10))))) > 0
            for _ in range(repetitions)
        ]
    )


def comparison(
    sessions: int,
    cells: int,
    repetitions: int,
    slow: float = 0.0,
    slow_share: float = 1.0,
    noisier: float = 1.0,
    host: float | None = None,
) -> dict[str, Result]:
    """Two sides with 1 % between sessions; the new one `noisier` by a factor.

    A share of its cells is slower by `slow`; the others are unchanged. Where `host` is given, the
    new side's device as a whole is slower by that, and cells are taken relative to the reference.
    """
    setup = Setup(np.random.default_rng(7), 0.01, cells)
    changed = np.arange(cells) < (slow_share * cells if slow else 0)
    effect = np.where(changed, slow, 0.0)
    added = np.log1p(np.concatenate([[0.0], effect]))[:, None] + np.log1p(host or 0.0)
    reference = None if host is None else REFERENCE
    alarms, found, covered, overall = [], [], [], []
    for _ in range(repetitions):
        base, new = (
            as_values(each)
            for each in (
                setup.measure(sessions),
                noisier * setup.measure(sessions) + added,
            )
        )
        if reference is None:
            del base[REFERENCE], new[REFERENCE]
        result = compare(base, new, relative_to=reference)
        ratios = list(result.cells.values())
        slower = np.array([ratio.verdict is Verdict.SLOWER for ratio in ratios])
        faster = np.array([ratio.verdict is Verdict.FASTER for ratio in ratios])
        alarms.append(bool((slower | faster)[~changed].any() or faster.any()))
        found.append(slower[changed].mean() if changed.any() else math.nan)
        covered.append(
            np.mean([r.low <= 1 + e <= r.high for r, e in zip(ratios, effect, strict=True)])
        )
        truth = math.exp(np.log1p(effect).mean())
        overall.append(result.overall.low <= truth <= result.overall.high)
    return {
        "false_alarm": Result.of(alarms),
        "cells_found": Result.of(found),
        "interval_coverage": Result.of(covered),
        "overall_coverage": Result.of(overall),
    }


def restless_host(
    slope: float,
    shift: float,
    repetitions: int,
    slow: float = 0.0,
    cells: int = 60,
    wander: float = 0.05,
) -> dict[str, Result]:
    """Two sides of ten sessions on a host whose speed wanders between sessions, by 5 % if not said.

    Cells covary with `slope` of what the reference shows, each with a slope of its own (sd 0.1),
    and have 2 % of noise of their own. On the new side, the host is slower by `shift` for the
    reference, and all cells by `slow` besides.
    """
    rng = np.random.default_rng(9)
    alarms, found, covered, doubts = [], [], [], []
    for _ in range(repetitions):
        slopes = np.concatenate([[1.0], slope + 0.1 * rng.standard_normal(cells)])[:, None]
        noise = np.concatenate([[0.01], np.full(cells, 0.02)])[:, None]
        base, new = (
            slopes * (wander * rng.standard_normal(10) + level)
            + noise * rng.standard_normal((cells + 1, 10))
            for level in (0.0, math.log1p(shift))
        )
        new[1:] += math.log1p(slow)
        result = compare(as_values(base), as_values(new), min_effect=0.03, relative_to=REFERENCE)
        verdicts = {ratio.verdict for ratio in result.cells.values()} | {result.overall.verdict}
        alarms.append(Verdict.FASTER in verdicts or (not slow and Verdict.SLOWER in verdicts))
        found.append(Verdict.SLOWER in verdicts)
        covered.append(result.overall.low <= 1 + slow <= result.overall.high)
        assert result.device is not None
        doubts.append(result.device.doubt)
    return {
        "false_alarm": Result.of(alarms),
        "found": Result.of(found),
        "overall_coverage": Result.of(covered),
        "doubt": Result.of(doubts),
    }


def stopped_comparison(repetitions: int, cells: int = 20) -> Result:
    """False alarms of A/A where each side stopped when its own intervals were short enough."""
    setup = Setup(np.random.default_rng(8), 0.01, cells)

    def stopped() -> Values:
        data = setup.measure(MAX_SESSIONS)
        for n in range(EARLY_SESSIONS, MAX_SESSIONS):
            values = as_values(data[:, :n])
            if len(converged(estimate_cells(values), 0.012)) == len(values):
                break
        return values

    return Result.of(
        [
            any(
                ratio.verdict in (Verdict.SLOWER, Verdict.FASTER)
                for ratio in compare(stopped(), stopped()).cells.values()
            )
            for _ in range(repetitions)
        ]
    )


def promised_power(sessions: int, cells: int, repetitions: int) -> dict[str, Result]:
    """`smallest_change` at a power of 0.9, and how often `compare` finds just that change."""
    rng = np.random.default_rng(9)
    change = smallest_change(VarianceComponents(0.01, 0.005, 0.0), sessions, cells)
    found = []
    for _ in range(repetitions):
        sides = [
            0.01 * rng.standard_normal(sessions) + 0.005 * rng.standard_normal((cells, sessions))
            for _ in range(2)
        ]
        ratios = compare(as_values(sides[0]), as_values(sides[1] + math.log1p(change))).cells
        found.append(np.mean([ratio.verdict is Verdict.SLOWER for ratio in ratios.values()]))
    return {"change": Result(change, 0.0), "found": Result.of(found)}


def dip_quantile(runs: int, repetitions: int) -> float:
    """The 99 % quantile of sqrt(n) times the dip of uniform samples."""
    rng = np.random.default_rng(10)
    dips = [dip(np.sort(rng.random(runs))) for _ in range(repetitions)]
    return float(np.quantile(dips, 0.99) * math.sqrt(runs))


def modes_found(runs: int, gap: float, share: float, repetitions: int) -> Result:
    """How often two modes are reported; with a gap of 0 there is one."""
    rng = np.random.default_rng(11)
    noise = heavy_runs(rng, (repetitions, runs))
    slow = rng.random(noise.shape) < share
    return Result.of([find_modes(list(np.exp(row))) is not None for row in noise + gap * slow])


def warmup_found(runs: int, time_constant: float, repetitions: int) -> dict[str, float]:
    """Runs dropped from series that start 30 % slow and settle exponentially (0: at once)."""
    rng = np.random.default_rng(12)
    start = 0.3 * np.exp(-np.arange(runs) / time_constant) if time_constant else np.zeros(runs)
    lengths = [
        warmup_length(list(np.exp(row + start))) for row in heavy_runs(rng, (repetitions, runs))
    ]
    settled = [n for n in lengths if n is not None]
    low, middle, high = np.percentile(settled, [5, 50, 95]) if settled else [math.nan] * 3
    return {
        "unsettled": 1 - len(settled) / repetitions,
        "p5": float(low),
        "median": float(middle),
        "p95": float(high),
    }


def coverage_studies(n: Scaled) -> Studies:
    for sd in SDS:
        for cells, sessions in ((1, 5), (7, 5), (20, 3), (20, 5), (20, 10)):
            name = f"fixed, session sd {sd:.1%}, {cells} cells, {sessions} sessions"
            yield name, partial(fixed_coverage, sd, sessions, cells, n(2000))
        for cells in (1, 20):
            name = f"sequential, session sd {sd:.1%}, {cells} cells"
            yield name, partial(sequential_coverage, sd, cells, n(1500))
    for sd in (0.0, 0.01):
        for noisier in (1.0, 2.0, 3.0, 10.0):
            name = f"one cell {noisier:g} times noisier, session sd {sd:.1%}"
            yield name, partial(rogue_coverage, sd, noisier, n(3000))
    for confidence, first in ((0.95, 5), (0.96, 5), (0.96, 4)):
        name = f"after stopping, {confidence:.0%} intervals, first look at {first}"
        yield name, partial(stopped_coverage, confidence, first)
    name = "after stopping, 96% intervals, at 5, or at 3 with a third of the width"
    yield name, partial(stopped_coverage, 0.96, 5, early=True)


def time_studies(n: Scaled) -> Studies:
    for where in SLOWDOWNS:
        for points, noise in ((21, 0.01), (8, 0.003)):
            name = f"10 % slow-down, {where}, {points} points of {noise:.1%} noise a session"
            yield (
                name,
                partial(slowed_estimates, where, 0.01, n(500), points=points, point_noise=noise),
            )
    for wander in (0.0, 0.03, 0.08):
        yield f"wander of {wander:.0%}", partial(wandering_estimates, n(500), wander)
    for quiet in (3, 5, 8, 10, 15):
        for known in (False, True):
            name = f"5 % step after {quiet} sessions" + (", noise known" if known else "")
            yield name, partial(throttling, 0.05, quiet, n(3000), known=known)
    yield (
        "5 % step after 10 sessions, heavy tails",
        partial(throttling, 0.05, 10, n(3000), heavy=True),
    )
    yield "undisturbed sessions split", partial(split_rate, n(5000))


def comparison_studies(n: Scaled) -> Studies:
    for sessions in (5, 6, 8):
        yield f"A/A, 1215 cells, {sessions} sessions", partial(comparison, sessions, 1215, n(1000))
        for share in (1.0, 1 / 3):
            name = f"5 % slower in {share:.0%} of 1215 cells, {sessions} sessions"
            yield name, partial(comparison, sessions, 1215, n(200), 0.05, share)
    for cells in (1, 5, 6, 60):
        for noisier in (1.0, 2.0):
            name = f"A/A, {cells} cells, 5 sessions, one side {noisier:g} times as noisy"
            yield name, partial(comparison, 5, cells, n(2000), noisier=noisier)
    for cells in (5, 60, 1215):
        name = f"A/A, {cells} cells relative to the reference, host 6 % slower, 5 sessions"
        count = n(2000) if cells < 1000 else n(1000)
        yield name, partial(comparison, 5, cells, count, host=0.06)
    for wander, shift, slope in product((0.003, 0.01, 0.05), (0.02, 0.05, 0.2), (0, 0.5, 1, 1.5)):
        host = f"host wanders by {wander:.1%}, then is {shift:.0%} slower, cells follow {slope:.0%}"
        study = partial(restless_host, slope, shift, n(500), wander=wander)
        yield f"{host}: A/A", study
        yield f"{host}: all cells 8 % slower", partial(study, slow=0.08)
    yield "A/A, 20 cells, stopped by their intervals", partial(stopped_comparison, n(1500))
    yield "smallest change, 60 cells, 6 sessions", partial(promised_power, 6, 60, n(1000))


def run_studies(n: Scaled) -> Studies:
    for runs in (30, 100, 300, 1000):
        yield f"99 % quantile of the dip, {runs} runs", partial(dip_quantile, runs, n(2000))
    for gap, share in ((0.0, 0.0), (0.05, 0.4), (0.1, 0.2)):
        for runs in (100, 300):
            name = f"modes {gap:.0%} apart, {share:.0%} slow, {runs} runs"
            yield name, partial(modes_found, runs, gap, share, n(1000))
    for runs in (60, 100, 400):
        for constant in (0.0, 8.0, 1000.0):
            name = f"warm-up, time constant {constant:g}, {runs} runs"
            yield name, partial(warmup_found, runs, constant, n(1000))


STUDIES = {
    "coverage": coverage_studies,
    "time": time_studies,
    "comparison": comparison_studies,
    "runs": run_studies,
}


def full(scale: float, only: str | None = None) -> dict[str, object]:
    """Every simulation, or those of one kind, with repetitions multiplied by `scale`."""

    def n(repetitions: int) -> int:
        return max(2, round(repetitions * scale))

    results: dict[str, object] = {}
    for kind in STUDIES if only is None else [only]:
        for name, study in STUDIES[kind](n):
            begun = time.perf_counter()
            results[name] = study()
            print(f"{name}: {results[name]}  [{time.perf_counter() - begun:.1f} s]", flush=True)
    return results


def plain(result: object) -> object:
    """`result` as JSON knows it."""
    if isinstance(result, Result):
        return {"mean": plain(result.mean), "standard_error": plain(result.error)}
    if isinstance(result, Mapping):
        return {str(key): plain(value) for key, value in result.items()}
    if isinstance(result, tuple):
        return [plain(value) for value in result]
    return None if isinstance(result, float) and math.isnan(result) else result


def main() -> None:
    from machine import RESULTS, save

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of repetitions")
    parser.add_argument("--only", choices=STUDIES, help="of one kind; the others stay as saved")
    options = parser.parse_args()
    saved = RESULTS / "statistics.json"
    results = json.loads(saved.read_text())["results"] if options.only else {}
    for name, result in full(options.scale, options.only).items():
        results[name] = plain(result)
    print(save("statistics", {"scale": options.scale, "results": results}))


if __name__ == "__main__":
    main()
