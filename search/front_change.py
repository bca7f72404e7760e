"""Tells whether slower latencies reduce the accuracy that is possible within each limit."""

from __future__ import annotations

import numpy as np

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.normal_interval import reach, reaches
from compofa.profiler.comparison.front import FrontChange, Limit
from compofa.profiler.settings import CONFIDENCE
from compofa.search.candidates import Candidates
from compofa.search.exact import front, ranking


def front_change(
    base: Candidates,
    new: Candidates,
    device: float = 1.0,
    min_effect: float = 0.0,
    confidence: float = CONFIDENCE,
) -> FrontChange:
    """Tells for each member of the base's front whether its accuracy is still possible.

    The latency of the member is the limit. The accuracy within it surely fell if every candidate
    that is at least as accurate is now slower than the limit by more than the smallest effect and
    the noise of both latencies,

        log new[c] - log base[m] > log(1 + min_effect) + z sqrt(sd_new[c]^2 + sd_base[m]^2),

    where z is the normal quantile of the confidence, corrected for the number of limits
    (Bonferroni).

    Args:
        base, new: candidates of one table each, of the same space.
        device: by which factor the device itself became slower; the new latencies are divided by
            it.
        min_effect: the tolerance of the limits, as a fraction.
        confidence: the probability that no reported fall is a false alarm.
    """
    members = _members(base)
    now_ms = new.latency_ms[:, 0] / device
    spread_base, spread_new = _log_spread(base), _log_spread(new)
    z = reach(1 - (1 - confidence) / len(members))
    limits = []
    for member in members:
        limit, before = float(base.latency_ms[member, 0]), float(base.top1[member])
        noise = z * np.hypot(spread_new, spread_base[member])
        excess = np.log(now_ms / limit) - np.log1p(min_effect) - noise
        as_good = new.top1 >= before - 1e-9
        after = float(new.top1[now_ms <= limit].max(initial=0.0))
        limits.append(Limit(limit, before, after, bool((excess[as_good] > 0).all())))
    after_ms = [(ms / device, top1) for ms, top1 in _points(new, _members(new))]
    return FrontChange(tuple(limits), tuple(_points(base, members)), tuple(after_ms), new.predicted)


def _members(candidates: Candidates) -> IntArray:
    """The members of the front, fastest first."""
    return front(ranking(candidates.top1, candidates.latency_ms), candidates.latency_ms)[::-1]


def _points(candidates: Candidates, members: IntArray) -> list[tuple[float, float]]:
    return [(float(candidates.latency_ms[i, 0]), float(candidates.top1[i])) for i in members]


def _log_spread(candidates: Candidates) -> FloatArray:
    """Standard deviations of the log latencies, from their intervals; infinite without one."""
    confidence = np.array([row.confidence for row in candidates.rows[0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.log(candidates.high_ms[:, 0] / candidates.low_ms[:, 0]) / 2
    spread: FloatArray = np.where(np.isfinite(width), width, np.inf) / reaches(confidence)
    return spread
