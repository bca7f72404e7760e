"""Acceptance: when a measured latency surely keeps its limit, and when measuring on is no use.

Many candidates are looked at again and again, and one of them is accepted for looking fast. An
interval that holds at one look does not hold then, so acceptance goes by a bound that holds at all
looks together.
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
"""A latency that exceeds its limit by this share of it counts as equal: no number of sessions would
show that it does not exceed it at all."""

MISS = 0.01
"""The probability of ever accepting a cell that exceeds its limit by more than the tolerance."""


def surely_keeps(known: Estimate, limit: float) -> bool:
    """Whether a latency is at most `limit`, but for the tolerance, at whatever time one looks."""
    if known.n_sessions == 0:
        return False
    deviation = standard_deviation(known.high - known.value, known.confidence)
    upper = known.value + anytime_reach(known.n_sessions, MISS) * deviation
    return known.value <= limit and upper <= (1 + TOLERANCE) * limit


def decided(known: Estimate, limits: Iterable[float]) -> bool:
    """Whether a latency surely keeps each limit, or hardly keeps it."""
    return all(surely_keeps(known, limit) or hopeless(known, limit) for limit in limits)


def hopeless(known: Estimate, limit: float) -> bool:
    """Whether a latency is too likely over its limit to be worth measuring on."""
    keeps = probability_within(known.value, known.low, known.high, known.confidence, limit)
    return keeps is not None and keeps < PROMISING
