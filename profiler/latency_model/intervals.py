"""Prediction intervals that hold what they promise, from predictions of cells left out.

Every measured cell is predicted by a process that has not seen it. Its *score* is the size of its
error over the standard deviation that the process expected. A new cell's score is as likely as
any to take each place among them (conformal prediction, Vovk, Gammerman and Shafer 2005; from
cross-validation, Barber et al., Predictive inference with the jackknife+, 2021), so the
interval reaches as many expected standard deviations as a high enough score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.features import Floats
from compofa.profiler.latency_model.process import TAIL, Process

FOLDS = 20
"""Parts that measured cells are left out in."""

REFITTED = 300
"""Up to this many cells, all is fitted anew without a fold; more cells fix the variances well."""


@dataclass(frozen=True)
class Calibration:
    """Sorted scores [n] of left-out cells."""

    scores: Floats

    @classmethod
    def of(cls, process: Process, seed: int) -> Calibration:
        """Calibration of `process` by cross-validation; `seed` draws the folds."""
        n = len(process.measured)
        if n > REFITTED:
            errors, sd = process.left_out()
            return cls(np.sort(np.abs(errors) / sd))
        shuffled = np.random.default_rng(seed).permutation(n)
        scores = []
        for rows in np.array_split(shuffled, min(n, FOLDS)):
            left_out = process.measured.take(rows)
            mean, sd = process.without(rows).predict(left_out.features, left_out.known_noise)
            scores.append(np.abs(np.log(left_out.latency_ms) - mean) / sd)
        return cls(np.sort(np.concatenate(scores)))

    def reach(self, confidence: float) -> float:
        """Half-width, in expected standard deviations, of an interval that holds `confidence`.

        Between two scores it is interpolated; past the last of few scores it grows as the
        quantiles of Student's t with the process's tails.
        """
        n = len(self.scores)
        highest = n / (n + 1)
        places = np.arange(1, n + 1) / (n + 1)
        reach = float(np.interp(confidence, np.append(0, places), np.append(0, self.scores)))
        return reach if confidence <= highest else reach * _t(confidence) / _t(highest)


def _t(confidence: float) -> float:
    """Half-width of the central `confidence` of Student's t with `TAIL` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(TAIL, (1 + confidence) / 2))
