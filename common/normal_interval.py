"""Converts between confidence intervals and standard deviations of normally distributed figures.

An interval of confidence c around a mean reaches z((1 + c) / 2) standard deviations to either side,
where z is the quantile function of the standard normal distribution: 1.96 for 95 %.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statistics import NormalDist

    from compofa.common.arrays import FloatArray

LEAST_CONFIDENCE, MOST_CONFIDENCE = 1e-3, 1 - 1e-9
"""Outside these, rounding makes the half-width of an interval zero or infinite."""


def check_confidence(confidence: float) -> float:
    """Returns `confidence` if it is a possible confidence of an interval.

    Raises:
        ValueError: it is not from `LEAST_CONFIDENCE` to `MOST_CONFIDENCE`.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    if not LEAST_CONFIDENCE <= confidence <= MOST_CONFIDENCE:
        least, most = LEAST_CONFIDENCE, MOST_CONFIDENCE
        raise ValueError(f"confidence must be from {least} to {most}, not {confidence}")
    return confidence


@cache
def _standard_normal() -> NormalDist:
    # Deferred: `statistics` brings decimals and fractions, and most commands need no quantile.
    from statistics import NormalDist

    return NormalDist()


def quantile(probability: float) -> float:
    """The quantile of the standard normal distribution, in standard deviations above the mean.

    Args:
        probability: of a value below that quantile, strictly between 0 and 1.
    """
    return _standard_normal().inv_cdf(probability)


def reach(confidence: float) -> float:
    """How many standard deviations an interval reaches to either side of the mean."""
    return quantile((1 + confidence) / 2)


def reaches(confidences: FloatArray) -> FloatArray:
    """`reach` of every element of an array of any shape."""
    import numpy as np

    # A column holds few different confidences, and each quantile is a slow call of Python code.
    known = {level: reach(level) for level in np.unique(confidences)}
    each: FloatArray = np.vectorize(known.__getitem__, otypes=[np.float64])(confidences)
    return each


def standard_deviation(half_width: float, confidence: float) -> float:
    """The standard deviation of a figure whose interval reaches `half_width` to either side."""
    return half_width / reach(confidence)


def probability_below(limit: float, mean: float, deviation: float) -> float:
    """The probability that a normal figure is at most `limit`; `deviation` must be above zero."""
    return _standard_normal().cdf((limit - mean) / deviation)
