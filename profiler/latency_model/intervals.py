"""Prediction intervals that hold what they promise, from predictions of cells left out.

Every measured cell is predicted from the others. Its *score* is the size of its error over the
standard deviation that was expected. A new cell's score is as likely as any to take each place
among them (conformal prediction, Vovk, Gammerman and Shafer 2005), so the interval reaches as many
expected standard deviations as a high enough score. A handful of scores says little of how far the
highest may go: they are joined by those that devices have shown so far, which soon count for
nothing as more cells are measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.average import Average
from compofa.profiler.latency_model.features import Floats

EXPECTED = 10.0
"""How many measured cells the expected scores count for."""

EXPECTED_SCALE = 1.1
"""Scores of devices so far, over those of Student's t with `EXPECTED_TAIL` degrees of freedom."""

EXPECTED_TAIL = 4.0

LEARNED = 4
"""How many numbers are learned from all cells, left-out ones too: that makes scores too small."""

FEWEST = 3
"""With fewer cells, the remaining ones say too little about the one that is left out."""


@dataclass(frozen=True)
class Calibration:
    """Sorted scores [n] of left-out cells."""

    scores: Floats

    @classmethod
    def of(cls, average: Average) -> Calibration:
        """Calibration by the cells that `average` was fitted on."""
        n = len(average.measured)
        if n < FEWEST:
            return cls(np.empty(0))
        errors, sd = average.left_out()
        return cls(np.sort(np.abs(errors) / sd) * np.sqrt((n + LEARNED) / n))

    def reach(self, confidence: float) -> float:
        """Half-width, in expected standard deviations, of an interval that holds `confidence`.

        It is where the distribution of the scores, a mixture of the seen and the expected, has
        come to `confidence`. Past the last score seen, both fall off as the expected ones do.
        """
        from scipy.special import stdtrit

        expected = np.linspace(0, 0.9999, 2000)
        ends = EXPECTED_SCALE * np.asarray(stdtrit(EXPECTED_TAIL, (1 + expected) / 2))
        n = len(self.scores)
        if not n:
            return float(np.interp(confidence, expected, ends))
        places = np.append(0, np.arange(1, n + 1) / (n + 1))
        held = np.interp(ends, np.append(0, self.scores), places)
        past = ends > self.scores[-1]
        if past.any():
            held[past] = 1 - (1 - expected[past]) / (1 - expected[past][0]) / (n + 1)
        return float(np.interp(confidence, (n * held + EXPECTED * expected) / (n + EXPECTED), ends))
