"""Several processes with different priors, averaged by how well each explains what was measured.

Which prior holds is not known: whether launches hide behind computing, whether a device is like
another. Each gets the weight of its evidence (Bayesian model averaging; Hoeting, Madigan, Raftery
and Volinsky, Statistical Science 14, 1999), and where they disagree predictions are less sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.covariance import alike
from compofa.profiler.latency_model.features import Features, Floats
from compofa.profiler.latency_model.prior import Prior
from compofa.profiler.latency_model.process import Measured, Process

LEAST_WEIGHT = 1e-3
"""A process of less weight is left out."""


@dataclass(frozen=True)
class Average:
    """Processes of the same measured cells, and their weights, which add up to 1."""

    processes: tuple[Process, ...]
    weights: Floats

    @classmethod
    def fit(cls, measured: Measured, priors: Sequence[Prior]) -> Average:
        """The average over `priors`, each as likely as any before the cells are measured."""
        return cls.of([(measured, Process.fit(measured, prior)) for prior in priors])

    @classmethod
    def of(
        cls, fitted: Sequence[tuple[Measured, Process]], odds: Sequence[float] | None = None
    ) -> Average:
        """The average of processes, each with what it was fitted on.

        Args:
            fitted: the processes.
            odds: how likely their priors are before anything is measured, if not alike.
        """
        logs = np.array([process.evidence for _, process in fitted])
        logs += np.log(np.ones(len(logs)) if odds is None else odds)
        weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        kept = weights >= LEAST_WEIGHT
        some = [each for each, keep in zip(fitted, kept, strict=True) if keep]
        whole = tuple(process.extended(measured) for measured, process in some)
        return cls(whole, weights[kept] / weights[kept].sum())

    @property
    def measured(self) -> Measured:
        """What the processes were fitted on."""
        return self.processes[0].measured

    def predict(self, features: Features, noise: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the log latencies that measuring the cells would give.

        Args:
            features: of the cells.
            noise: known relative noise of measuring them.
        """
        blocks = (
            alike(features.shapes, self.measured.features.shapes),
            alike(features.shapes, features.shapes),
        )
        return self._mixed([each.predict(features, blocks, noise) for each in self.processes])

    def left_out(self) -> tuple[Floats, Floats]:
        """Errors [n] of predicting each measured log latency from the others, and expected sds."""
        return self._mixed([each.left_out() for each in self.processes])

    def _mixed(self, each: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the mixture of normals."""
        means = np.stack([mean for mean, _ in each])
        squares = np.stack([mean**2 + sd**2 for mean, sd in each])
        mean: Floats = self.weights @ means
        return mean, np.sqrt(np.maximum(self.weights @ squares - mean**2, 1e-12))
