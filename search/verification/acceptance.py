"""Decides when a measured latency surely keeps its limit, and when further measuring is useless.

Many candidates are examined again and again, and one of them is accepted because it looks fast. The
coverage of an ordinary interval holds for a single examination only, so acceptance uses a bound
that holds for all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable

from compofa.common.normal_interval import standard_deviation
from compofa.profiler.statistics.interval import Estimate
from compofa.profiler.statistics.stopping import anytime_reach
from compofa.search.uncertainty import probability_within

PROMISING = 0.1
"""A candidate is worth measuring if it meets its limit with at least this probability."""

TOLERANCE = 0.01
"""A latency may exceed its limit by this share. Without a tolerance, no number of sessions could
show that a latency very close to the limit keeps it."""

MISS = 0.01
"""The largest probability of ever accepting a cell that exceeds its limit by more than that."""


def surely_keeps(known: Estimate, limit: float) -> bool:
    """Whether a latency is at most `limit`, with the tolerance, however often this is asked."""
    if known.n_sessions == 0:
        return False
    deviation = standard_deviation(known.high - known.value, known.confidence)
    upper = known.value + anytime_reach(known.n_sessions, MISS) * deviation
    return known.value <= limit and upper <= (1 + TOLERANCE) * limit


def decided(known: Estimate, limits: Iterable[float]) -> bool:
    """Whether it is settled for each limit that a latency surely keeps it or is hopeless."""
    return all(surely_keeps(known, limit) or hopeless(known, limit) for limit in limits)


def hopeless(known: Estimate, limit: float) -> bool:
    """Whether a latency so probably exceeds its limit that it is not worth measuring again."""
    keeps = probability_within(known.value, known.low, known.high, known.confidence, limit)
    return keeps is not None and keeps < PROMISING
