"""Whether one set-up is slower than another, cell by cell, with few false alarms in all.

Unpaired (`compare`) where each side was measured in sessions of its own, paired (`compare_paired`)
where both were measured in the same sessions. Verdicts follow one rule, that of `compare_means`:

The log ratio of cell c has a part of its error in common with all cells (session effects,
variance V on few degrees of freedom) and a part of its own (variance v[c], on many). A cell is
slower or faster if zero is outside the simultaneous interval

    log ratio ± (t[alpha / 2] sqrt(V) + t[alpha / (2 C)] sqrt(v[c])),   alpha = 1 - confidence,

each t two-sided on its own degrees of freedom. By Bonferroni's inequality (Miller, Simultaneous
Statistical Inference, 1981, section 1.5) the first term fails for any cell at most alpha / 2 of
the time, the second for some cell at most alpha / 2, however cells are correlated. Holm's
procedure on whole errors would ask V for C-fold evidence, though it is the same V in every
cell. A cell is the same if its 1 - 2 alpha interval lies within ± min_effect (Schuirmann, two
one-sided tests, 1987), and never slower or faster where the estimate itself lies within; the
single intervals reported are at `confidence` (Welch 1947).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.settings import CONFIDENCE
from compofa.profiler.statistics.device_change import DeviceChange, device_change
from compofa.profiler.statistics.interval import PEEKING, POOLED_CELLS, LogMeans, log_means
from compofa.profiler.statistics.latencies import check_fraction
from compofa.profiler.statistics.student import half_width, satterthwaite, student_quantile
from compofa.profiler.statistics.two_way import K, fit_two_way
from compofa.profiler.statistics.variance_components import VarianceComponents


class Verdict(Enum):
    """What can be said about a cell."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Ratio:
    """New latency over base latency.

    Attributes:
        value: above 1 is slower.
        low: lower end of its confidence interval.
        high: upper end.
        effect_size: log ratio in units of the noise of one session (Cohen's d); infinite or NaN
            where there is no noise.
        verdict: errors controlled over all cells compared.
    """

    value: float
    low: float
    high: float
    effect_size: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison(Generic[K]):
    """Two set-ups compared.

    Attributes:
        cells: a ratio for each cell that both have.
        overall: the geometric mean ratio of all cells.
        confidence: of each interval by itself, and that no cell is falsely called slower or faster.
        device: what was taken off for a change of the device, where cells were compared relative
            to a reference.
    """

    cells: Mapping[K, Ratio]
    overall: Ratio
    confidence: float
    device: DeviceChange | None = None


def compare(
    base: Mapping[K, Mapping[int, float]],
    new: Mapping[K, Mapping[int, float]],
    *,
    confidence: float = CONFIDENCE,
    min_effect: float = 0.01,
    levels: tuple[Collection[int] | None, Collection[int] | None] = (None, None),
    relative_to: K | None = None,
) -> Comparison[K]:
    """Compares the cells that two sets of sessions have in common; see above for the rule.

    With `relative_to`, what the change of that cell explains of the others is taken off first, as
    `device_change` has it: a host that is busier on one side is told from slower networks.

    Args:
        base: per cell, one drift-corrected latency for each session of the base.
        new: likewise of the new set-up; sessions of both sides are distinct even if their numbers
            are not.
        confidence: as `Comparison.confidence`.
        min_effect: the smallest change that matters, as a fraction.
        levels: the undisturbed sessions (`Drift.level_sessions`) of the base and of the new
            set-up; None stands for all.
        relative_to: a cell of both sides, itself not compared; none by default.

    Raises:
        UserError: no cell in common, or not that one, a side with fewer than two sessions, and what
            `fit_two_way` refuses.
    """
    cells = [cell for cell in base if cell in new]
    if not cells:
        raise UserError("the two sides have no cell in common")
    sides: list[dict[K, Mapping[int, float]]] = [
        {cell: side[cell] for cell in cells} for side in (base, new)
    ]
    device = None
    if relative_to is not None:
        if relative_to not in cells or len(cells) == 1:
            raise UserError("the two sides have no cell in common except the reference model")
        cells.remove(relative_to)
        references = sides[0].pop(relative_to), sides[1].pop(relative_to)
        fits = fit_two_way(sides[0], levels[0]), fit_two_way(sides[1], levels[1])
        device = device_change(fits, references)
        sides = [device.take_off(s, r) for s, r in zip(sides, references, strict=True)]
    means = [_side(side, level) for side, level in zip(sides, levels, strict=True)]
    return compare_means(cells, *means, confidence=confidence, min_effect=min_effect, device=device)


def compare_paired(
    base: Mapping[K, Mapping[int, float]],
    new: Mapping[K, Mapping[int, float]],
    *,
    confidence: float = CONFIDENCE,
    min_effect: float = 0.01,
    peeking: bool = True,
) -> dict[K, Ratio]:
    """Compares cells by the differences of their log latencies within each session.

    Whatever a session does to both sides drops out of a difference: paired t intervals (Student
    1908), and verdicts as in `compare`, by Bonferroni's inequality over the cells.

    Args:
        base, new: per cell, a latency for each session.
        confidence: of each interval, and that no cell is falsely called slower or faster.
        min_effect: the smallest change that matters, as a fraction.
        peeking: whether sessions are added until intervals are short enough: as `estimate_cells`.

    Returns:
        A ratio for each cell that two sessions measured on both sides; none if there is no such
        cell.

    Raises:
        UserError: a fraction is outside (0, 1).
    """
    check_fraction(confidence, "the confidence")
    logs = {cell: _log_ratios(base[cell], new[cell]) for cell in base if cell in new}
    logs = {cell: values for cell, values in logs.items() if values.size > 1}
    if not logs:
        return {}
    counts = np.array([values.size for values in logs.values()], dtype=np.float64)
    differences = LogMeans(
        means=np.array([values.mean() for values in logs.values()]),
        own_variance=np.array([values.var(ddof=1) for values in logs.values()]) / counts,
        own_freedom=counts - 1,
        shared_variance=0.0,
        shared_freedom=math.inf,
        counts=counts,
    )
    zeros = np.zeros_like(counts)
    nothing = replace(differences, means=zeros, own_variance=zeros)
    sure = 1 - PEEKING * (1 - confidence) if peeking else confidence
    comparison = compare_means(
        list(logs), nothing, differences, confidence=sure, min_effect=min_effect
    )
    return dict(comparison.cells)


def _log_ratios(base: Mapping[int, float], new: Mapping[int, float]) -> FloatArray:
    """Of the sessions that measured both sides."""
    return np.array([math.log(new[number] / ms) for number, ms in base.items() if number in new])


def compare_means(
    cells: Sequence[K],
    base: LogMeans,
    new: LogMeans,
    *,
    confidence: float = CONFIDENCE,
    min_effect: float = 0.01,
    device: DeviceChange | None = None,
) -> Comparison[K]:
    """`compare`, where the means of both sides are known already, in the order of `cells`.

    Args:
        device: what was taken off the means for a change of the device, if anything was.

    Raises:
        UserError: a fraction outside (0, 1).
    """
    alpha = 1 - check_fraction(confidence, "the confidence")
    check_fraction(min_effect, "the smallest effect")
    sides = [base, new]
    error = _Error.of(sides, device)
    log_ratio = sides[1].means - sides[0].means
    noise = np.sqrt(sum((s.own_variance + s.shared_variance) * s.counts for s in sides) / 2)
    rows = np.stack(
        [
            log_ratio,
            error.simultaneous(alpha, log_ratio.size),
            error.marginal(alpha),
            error.marginal(2 * alpha),
            _in_units(log_ratio, noise),
        ],
        axis=1,
    )
    ratios = [
        _ratio(log, wide, width, narrow, size, min_effect)
        for log, wide, width, narrow, size in rows.tolist()
    ]
    return Comparison(
        cells=dict(zip(cells, ratios, strict=True)),
        overall=_overall(log_ratio, error, noise, alpha, min_effect),
        confidence=confidence,
        device=device,
    )


@dataclass(frozen=True, slots=True)
class _Error:
    """Variances of log ratios with degrees of freedom: own ones, shape (C,), and the shared.

    `doubt` is not a variance: all log ratios may be wrong by that much in either direction.
    """

    own: FloatArray
    own_freedom: FloatArray
    shared: FloatArray
    shared_freedom: FloatArray
    doubt: float = 0.0

    @classmethod
    def of(cls, sides: list[LogMeans], device: DeviceChange | None) -> _Error:
        own = [side.own_variance for side in sides]
        own_freedom = [side.own_freedom for side in sides]
        shared = [np.array([side.shared_variance]) for side in sides]
        shared_freedom = [np.array([float(side.shared_freedom)]) for side in sides]
        if device is not None:
            own.append(np.full_like(own[0], device.scatter))
            own_freedom.append(np.full_like(own[0], max(own[0].size - 1.0, 1.0)))
            shared.append(np.array([device.variance]))
            shared_freedom.append(np.array([float(device.freedom)]))
        return cls(
            own=np.sum(own, axis=0),
            own_freedom=satterthwaite(own, own_freedom),
            shared=np.sum(shared, axis=0),
            shared_freedom=satterthwaite(shared, shared_freedom),
            doubt=0.0 if device is None else device.doubt,
        )

    def marginal(self, alpha: float) -> FloatArray:
        """Half-width of the interval of each cell by itself."""
        parts = [(self.own, self.own_freedom), (self.shared, self.shared_freedom)]
        return self.doubt + half_width(1 - alpha, parts)

    def simultaneous(self, alpha: float, cells: int) -> FloatArray:
        """Half-width of the intervals that hold for all cells at once."""
        common, own = self.simultaneous_parts(alpha, cells)
        return self.doubt + common + own

    def simultaneous_parts(self, alpha: float, cells: int) -> tuple[FloatArray, FloatArray]:
        """Its parts: of the shared error, shape (1,), and of the cells' own errors, shape (C,)."""
        # NaN counts as nothing shared, too. Without that part, all of alpha is there for the other.
        nothing_shared = not self.shared[0] > 0
        spent = alpha if nothing_shared else alpha / 2
        own = student_quantile(1 - spent / 2 / cells, self.own_freedom) * np.sqrt(self.own)
        if nothing_shared:
            return np.zeros(1), own
        return student_quantile(1 - spent / 2, self.shared_freedom) * np.sqrt(self.shared), own


def _side(
    values: Mapping[K, Mapping[int, float]], level_sessions: Collection[int] | None
) -> LogMeans:
    fit = fit_two_way(values, level_sessions)
    logs = log_means(fit)
    if (logs.own_freedom == 0).any() or logs.shared_freedom == 0:
        raise UserError(
            "one side of the comparison has a single session",
            hint="measure at least two sessions on each side",
        )
    return logs


def _overall(
    log_ratio: FloatArray, error: _Error, noise: FloatArray, alpha: float, min_effect: float
) -> Ratio:
    """The mean of all cells: their own errors average out, the shared one does not.

    Where variances are not shared, what cells have in common is unknown: nothing averages out.
    """
    pooled = np.isfinite(error.shared_freedom[0])
    own = error.own.sum() / log_ratio.size**2 if pooled else np.sqrt(error.own).mean() ** 2
    mean = replace(error, own=np.array([own]), own_freedom=np.array([error.own_freedom.mean()]))
    width = float(mean.marginal(alpha)[0])
    log_mean = log_ratio.mean(keepdims=True)
    return _ratio(
        float(log_mean[0]),
        width,
        width,
        float(mean.marginal(2 * alpha)[0]),
        float(_in_units(log_mean, noise.mean(keepdims=True))[0]),
        min_effect,
    )


def _in_units(log_ratio: FloatArray, noise: FloatArray) -> FloatArray:
    """Log ratios over the noise; infinite or NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(log_ratio, noise))


def _ratio(
    log_ratio: float,
    wide: float,
    width: float,
    narrow: float,
    effect_size: float,
    min_effect: float,
) -> Ratio:
    equal = math.log1p(min_effect)
    # First: a change that is significant but too small to matter is no news.
    if abs(log_ratio) + narrow <= equal:
        verdict = Verdict.SAME
    elif abs(log_ratio) > max(wide, equal):
        verdict = Verdict.SLOWER if log_ratio > 0 else Verdict.FASTER
    else:
        verdict = Verdict.CANNOT_TELL
    value, low, high = (math.exp(log_ratio + w) for w in (0.0, -width, width))
    return Ratio(value, low, high, effect_size, verdict)


def smallest_change(
    noise: VarianceComponents,
    sessions: int,
    cells: int = 1,
    confidence: float = CONFIDENCE,
    power: float = 0.9,
) -> float:
    """The slow-down of a cell that `compare` finds with probability `power`, as a fraction.

    The half-width w of `compare` from the true variances, plus the normal quantile of `power`
    times the standard deviation of the log ratio less the estimated half-width: its variance is
    that of the ratio plus w^2 / (2 d) for each part of w, on d degrees of freedom (the delta
    method for a standard deviation). In simulations 87 to 90 % are found where 90 % are asked.

    Args:
        noise: of the set-up.
        sessions: on each side.
        cells: compared at once.
        confidence: as in `compare`.
        power: the probability of finding a change of that size.

    Raises:
        UserError: fewer than two sessions, no cells, or a fraction outside (0, 1).
    """
    alpha = 1 - check_fraction(confidence, "the confidence")
    check_fraction(power, "the power")
    if sessions < 2 or cells < 1:
        raise UserError("a change needs at least one cell and two sessions a side to be seen")
    pooled = cells >= POOLED_CELLS and not math.isnan(noise.session)
    session = noise.session if pooled else 0.0
    shared = np.array([2 * session**2 / sessions])
    own = np.array([2 * noise.one_session**2 / sessions]) - shared
    freedom = np.array([2.0 * (sessions - 1)])
    error = _Error(own, freedom * (cells - 1 if pooled else 1), shared, freedom)
    parts = error.simultaneous_parts(alpha, cells)
    scatter = [
        part**2 / (2 * d)
        for part, d in zip(parts, (error.shared_freedom, error.own_freedom), strict=True)
    ]
    spread = np.sqrt(shared + own + sum(scatter))
    log_change = sum(parts) + student_quantile(power, np.array([math.inf])) * spread
    return math.expm1(float(log_change[0]))
