"""Drift in time, as the interleaved reference model sees it.

Time acts in two ways. What lasts, such as a throttled stretch of sessions, is divided out, and such
sessions no longer count for the level. What passes within a session, such as a step, a ramp or the
restless speed of a shared host, shows as the reference's deviation from its level around a moment;
which share of it cells have is estimated (`covariate`). Scatter between sessions without a shape in
time is left alone: it is the session effect, and its variance belongs in the intervals
(`two_way`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.profiler.statistics.change_points import regimes, suspects_regimes
from compofa.profiler.statistics.latencies import log_latencies

FAST_SIDE = 0.1, 0.35
"""The quantiles of a session's reference points that its level is judged by: disturbances only ever
slow a device down, so the level hardly moves while up to two thirds of a session are slow."""

TO_MIDDLE = 0.43
"""How far above them the median of a normal distribution lies, in units of their distance."""


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """The reference model, timed once within a session.

    Attributes:
        session: its number; sessions follow one another in time by number.
        time_s: seconds, on a clock that runs through the session.
        latency: condensed from the runs at that moment, in any unit.
    """

    session: int
    time_s: float
    latency: float


@dataclass(frozen=True)
class Drift:
    """How fast the device was, session by session and moment by moment.

    Attributes:
        level_sessions: the sessions in the fastest regime, whose mean is the level of estimates.
        regime_factors: per session, its regime's level over the fastest one's: what to divide
            its latencies by.
        points: per session, times in seconds and log latencies over the session's level, both of
            shape (points,).
        suspected: whether sessions that count as one regime may be two after all.
    """

    level_sessions: frozenset[int]
    regime_factors: Mapping[int, float]
    points: Mapping[int, tuple[FloatArray, FloatArray]]
    suspected: bool = False

    def deviation(self, session: int, time_s: float) -> float:
        """Log of the reference's latency around `time_s` over its level in the session.

        The mean of the last point before that moment and the first one after it.

        Raises:
            UserError: the reference was not measured in that session.
        """
        if session not in self.points:
            raise UserError(
                f"session {session} did not time the reference model, so its drift is not known"
            )
        times, logs = self.points[session]
        after = int(np.searchsorted(times, time_s))
        return float(logs[max(after - 1, 0) : after + 1].mean())


def drift_factors(reference: Sequence[ReferencePoint]) -> Drift:
    """What the reference's points say about lasting and passing changes of the device's speed.

    The level of a session is the middle of its log latencies as their fast side tells it
    (`FAST_SIDE`); lasting changes between levels come from `change_points.regimes`.

    Args:
        reference: in order of time within each session.

    Raises:
        UserError: there is no point, a time is not finite or goes back within its session, or a
            latency is not a positive finite number.
    """
    logs = log_latencies([point.latency for point in reference], "the reference model")
    order = sorted(range(len(reference)), key=lambda i: reference[i].session)
    points: dict[int, tuple[FloatArray, FloatArray]] = {}
    levels: dict[int, float] = {}
    for session, group in groupby(order, key=lambda i: reference[i].session):
        indices = list(group)
        times = _checked_times(session, [reference[i].time_s for i in indices])
        levels[session] = _level(logs[indices])
        points[session] = times, logs[indices] - levels[session]
    numbers = dict(zip(levels, regimes([math.exp(v) for v in levels.values()]), strict=True))
    regime_levels = {
        number: float(np.mean([levels[s] for s in levels if numbers[s] == number]))
        for number in set(numbers.values())
    }
    within = [math.exp(level - regime_levels[numbers[s]]) for s, level in levels.items()]
    return Drift(
        level_sessions=frozenset(s for s in levels if numbers[s] == 0),
        regime_factors={s: math.exp(regime_levels[numbers[s]] - regime_levels[0]) for s in levels},
        points=points,
        suspected=suspects_regimes(within),
    )


def _level(logs: FloatArray) -> float:
    """The median, if nothing but symmetric wander was at work; of a disturbed session, less."""
    low, high = np.quantile(logs, FAST_SIDE)
    return float(high + TO_MIDDLE * (high - low))


def _checked_times(session: int, times: list[float]) -> FloatArray:
    array = np.asarray(times, dtype=np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"session {session}: a time of the reference model is not finite")
    back = np.flatnonzero(np.diff(array) < 0)
    if back.size:
        i = int(back[0])
        raise UserError(
            f"session {session}: time goes back from {array[i]:g} s to {array[i + 1]:g} s",
            hint="the clock was set during the session; leave the session out",
        )
    return array
