"""The first guess: a device that takes a fixed, non-negative time for every unit of work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.features import Features, Floats

FLOOR = 0.01
"""Least part of the guess that every kind of work keeps, so that no block is ever free."""


@dataclass(frozen=True)
class Roofline:
    """Latency as a sum of amounts of work times their costs.

    Attributes:
        costs: [5], milliseconds per unit of each of `AMOUNTS`.
        typical: [5], amounts of work of a typical cell, positive.
    """

    costs: Floats
    typical: Floats

    @classmethod
    def fit(cls, features: Features, latency_ms: Floats) -> Roofline:
        """Non-negative least squares of relative errors (Lawson and Hanson, 1974, chapter 23)."""
        from scipy.optimize import nnls

        typical = _typical(features)
        parts, _ = nnls(features.totals / typical / latency_ms[:, None], np.ones(len(latency_ms)))
        return cls((parts + FLOOR * parts.sum()) / typical, typical)

    @classmethod
    def balanced(cls, features: Features) -> Roofline:
        """A device, not yet measured, that spends as much time on each kind of work."""
        typical = _typical(features)
        return cls(1 / typical, typical)

    def latency_ms(self, features: Features) -> Floats:
        """[cells], the guess."""
        guess: Floats = features.totals @ self.costs
        return guess

    def shares(self, features: Features) -> Floats:
        """[cells, blocks], each block's part of its cell's guess."""
        blocks = features.amounts @ self.costs
        shares: Floats = features.counts * (blocks / self.latency_ms(features)[:, None])
        return shares

    def work_shares(self, features: Features) -> Floats:
        """[cells, 5], amounts of work over the guess, as departures from a typical cell's."""
        guess = self.latency_ms(features)[:, None] / (self.typical @ self.costs)
        shares: Floats = features.totals / self.typical / guess - 1
        return shares


def _typical(features: Features) -> Floats:
    """Mean amounts of work, and 1 for kinds of work that no cell has."""
    mean = features.totals.mean(axis=0)
    typical: Floats = np.where(mean > 0, mean, 1.0)
    return typical
