"""Where the warm-up of a session ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.common.normal_interval import reach
from compofa.profiler.statistics.latencies import log_latencies

BATCH = 5

LEAST = 10
"""Batches that must stay: with fewer, ranks cannot tell two halves apart at `SIGNIFICANCE`."""

TOLERANCE = 1.1
"""Dropping more runs must shrink the score by a tenth, or heavy tails would drop runs at random."""

SIGNIFICANCE = 0.01
"""Chance that settled runs are taken for unsettled ones."""


def warmup_length(runs: Sequence[float]) -> int | None:
    """How many of the first runs to drop so that the rest is stationary.

    MSER-5 (White, An effective truncation heuristic for bias reduction in simulation output,
    1997): with z[1..k] the values of consecutive batches of 5 runs, drop the d <= k / 2 batches
    that minimise sum((z[i] - mean)^2 for i > d) / (k - d)^2, the squared standard error of what
    stays. Batches are condensed by their median log rather than their mean, since outliers, which
    latencies have, would otherwise decide. What stays has settled if its first and second half
    agree (after Geweke, Evaluating the accuracy of sampling-based approaches, 1992, but by rank:
    Mann and Whitney 1947).

    Args:
        runs: latencies in the order they were timed.

    Returns:
        Runs to drop; None if the runs have not settled yet, or if they are fewer than 50.

    Raises:
        UserError: no run, or one that is not a positive finite number.
    """
    logs = log_latencies(runs, "the warm-up runs")
    count = logs.size // BATCH
    if count < LEAST:
        return None
    z = np.median(logs[: count * BATCH].reshape(count, BATCH), axis=1)
    centred = z - z.mean()
    left = count - np.arange(count)
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    score = (np.maximum(squares - sums**2 / left, 0.0) / left**2)[
        : min(count // 2, count - LEAST) + 1
    ]
    dropped = int(np.argmax(score <= TOLERANCE * score.min()))
    return dropped * BATCH if _agree(z[dropped:]) else None


def _agree(z: FloatArray) -> bool:
    """Whether both halves of a series come from one distribution, as far as ranks can tell."""
    first, second = z[: z.size // 2], z[z.size // 2 :]
    above = np.sign(first[:, None] - second).sum() / 2
    spread = np.sqrt(first.size * second.size * (z.size + 1) / 12)
    return bool(abs(above) <= reach(1 - SIGNIFICANCE) * spread)
