"""Checks that every latency in the statistics is a positive, finite number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError


def log_latencies(latencies: Sequence[float] | FloatArray, what: str) -> FloatArray:
    """Natural logarithms of `latencies`, shape (n,).

    Args:
        latencies: in any unit, all in the same one.
        what: names them in messages, as in "the runs".

    Raises:
        UserError: there are none, or one is zero, negative, infinite or not a number.
    """
    values = np.asarray(latencies, dtype=np.float64).ravel()
    if values.size == 0:
        raise UserError(f"{what}: there are no latencies")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if wrong.size:
        first = int(wrong[0])
        raise UserError(
            f"{what}: latency number {first + 1} is {values[first]:g}",
            hint="every latency must be a positive finite number",
        )
    return np.log(values)


def check_fraction(value: float, what: str) -> float:
    """`value`, if it lies strictly between 0 and 1.

    Raises:
        UserError: it does not.
    """
    if not 0 < value < 1:
        raise UserError(f"{what} is {value:g}", hint="it must lie between 0 and 1")
    return value
