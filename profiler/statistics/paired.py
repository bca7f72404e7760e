"""Whether one set-up is slower than another where both were measured in the same sessions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.compare import Ratio, compare_means
from compofa.profiler.statistics.interval import PEEKING, LogMeans
from compofa.profiler.statistics.latencies import check_fraction
from compofa.profiler.statistics.two_way import K


def compare_paired(
    base: Mapping[K, Mapping[int, float]],
    new: Mapping[K, Mapping[int, float]],
    *,
    confidence: float = 0.95,
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
    found = compare_means(list(logs), nothing, differences, confidence=sure, min_effect=min_effect)
    return dict(found.cells)


def _log_ratios(base: Mapping[int, float], new: Mapping[int, float]) -> FloatArray:
    """Of the sessions that measured both sides."""
    return np.array([math.log(new[number] / ms) for number, ms in base.items() if number in new])
