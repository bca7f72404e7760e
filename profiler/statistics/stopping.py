"""When to stop adding sessions.

The rule looks at the interval after every session and stops once it is short enough. Because it
stops when the sample variance happens to be small, the plain t interval then covers too rarely
(Chow and Robbins, On the asymptotic theory of fixed-width sequential confidence intervals, 1965).
For normal data the loss can be computed: the mean is independent of all sample variances, so the
interval at stopping time N covers with probability E[2 Phi(t[N] s[N] / sigma) - 1] (Robbins,
Sequential estimation of the mean of a normal population, 1959). `benchmarks/bench_statistics.py`
evaluates it over all sigma: with at least 5 sessions, or 3 where the interval is a third as long as
asked for, and with 0.8 of the permitted misses spent on each interval, 95 % intervals cover between
93.5 % (sd twice the target) and 96 % (tiny sd).

Confidence sequences (Howard et al., Time-uniform, nonparametric, nonasymptotic confidence
sequences, 2021) need no such calibration, but hold for endless looking and are wider for it. They
serve where sessions are added until a result is a certain one, see `anytime_reach`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from compofa.common.errors import UserError
from compofa.profiler.statistics.interval import Estimate
from compofa.profiler.statistics.two_way import K

MIN_SESSIONS = 5
"""The first look. With 4, coverage falls to 92.9 % in the worst case."""

MAX_SESSIONS = 30
"""The largest number of sessions that the rule was calibrated for."""

USUAL_SESSIONS = 20
"""The number of sessions at which a bound that holds for endless looking is tightest."""


EARLY_SESSIONS, EARLY_SHARE = 3, 1 / 3
"""A device whose intervals are so much shorter than asked for is stopped at after so few sessions:
95 % intervals then cover 93.9 % in the worst case (sd 0.4 times the target), 96 % on quieter ones.
After two sessions it would be 92 %."""


GUARD, GUARDED_FROM = 0.2, 1 / 3
"""An interval that is nearly as long as asked for may be short by luck, which is why sessions stop.
Reported a fifth longer, but not beyond what was asked for, 95 % intervals cover 95 to 96 % where
the sd is half the target or as large, instead of 94 %, and it costs no session. Those of up to a
third of the target are reported as they are."""

SPLIT_SESSIONS = 7
"""The least where sessions ran at two speeds: they are told apart when those of each speed happen
to agree well, so an interval that rests on them alone is short. 95 % intervals cover 93 % if one
stops as usual, 96 % after so many."""


def is_enough(
    half_width: float, n_sessions: int, target: float, min_sessions: int = MIN_SESSIONS
) -> bool:
    """Whether an interval needs no more sessions.

    Args:
        half_width: of the interval, relative, with peeking allowed for (`estimate_cells`).
        n_sessions: that it rests on.
        target: the half-width that was asked for.
        min_sessions: with fewer an interval is not enough, except that `EARLY_SESSIONS` are where
            it is far shorter than asked for and no more than the usual minimum is wanted.
    """
    if n_sessions >= min_sessions:
        return half_width <= target
    early = n_sessions >= EARLY_SESSIONS and min_sessions <= MIN_SESSIONS
    return early and half_width <= EARLY_SHARE * target


def guarded(estimate: Estimate, target: float) -> Estimate:
    """An estimate as it is reported: its interval longer by up to `GUARD`.

    An interval is within the target, or a third of it, if it was before.

    Args:
        estimate: with peeking allowed for.
        target: the relative half-width that was asked for.
    """
    half = estimate.relative_half_width
    if not GUARDED_FROM * target < half < target:
        return estimate
    share = (half / target - GUARDED_FROM) / (1 - GUARDED_FROM)
    longer = min(half * (1 + GUARD * min(2 * share, 1.0)), target * (1 - 1e-9))
    reach = math.asinh(longer)
    return replace(
        estimate, low=estimate.value * math.exp(-reach), high=estimate.value * math.exp(reach)
    )


def converged(
    estimates: Mapping[K, Estimate], target: float, min_sessions: int = MIN_SESSIONS
) -> frozenset[K]:
    """The cells of `estimates` that need no more sessions, see `is_enough`.

    Raises:
        UserError: the target is not positive.
    """
    if not target > 0:
        raise UserError(f"the target half-width is {target:g}, not positive")
    return frozenset(
        cell
        for cell, each in estimates.items()
        if is_enough(each.relative_half_width, each.n_sessions, target, min_sessions)
    )


def anytime_reach(n_sessions: int, miss: float) -> float:
    """Standard errors above a mean of normal sessions below which the true mean is at all times.

    Robbins' normal mixture (Statistical methods related to the law of the iterated logarithm, 1970;
    Howard et al. 2021, equation 14): with r a constant, and for both sides with probability 2 a,

        sqrt((n + r) / n * log((n + r) / (4 a^2 r)))

    Args:
        n_sessions: of the mean, n >= 1.
        miss: the probability a that the true mean is ever above, however often one looks.
    """
    certainty = -2 * math.log(2 * miss)
    # r that makes the bound tightest at the usual number of sessions (Howard et al., section 3.5).
    r = USUAL_SESSIONS / (certainty + math.log1p(certainty))
    return math.sqrt((n_sessions + r) / n_sessions * (math.log((n_sessions + r) / r) + certainty))
