"""How the departures of two cells from the roofline's guess go together.

The logarithm of latency over the guess is taken to be a Gaussian process with a covariance that
is a sum of five parts, each with a variance of its own:

1. the device is faster or slower throughout;
2. a kind of work costs more or less than guessed (linear in the work's share of the guess);
3. a *block* is slower or faster than guessed, and blocks of similar shapes are so alike: the
   covariance of two cells is that of their blocks, weighted by the blocks' shares;
4. the *network* as a whole departs from the sum of its blocks, smoothly in size and depths
   (latencies do not quite add up: pipelines, caches, clocks);
5. a resolution has an offset of its own (tiles that fill, or do not).

Sums of covariances with variances by marginal likelihood: Rasmussen and Williams, Gaussian
Processes for Machine Learning (2006), sections 4.2.4 and 5.4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.features import Features, Floats
from compofa.profiler.latency_model.roofline import Roofline

EXPECTED_SD = np.array([0.2, 0.1, 0.05, 0.03, 0.003])
"""Standard deviations that the five parts have on devices seen so far, roughly."""

SIZE_SCALE = 0.85
"""Networks this far apart in log latency, or `DEPTH_SCALE` in a depth, are still much alike."""

DEPTH_SCALE = 3.5


@dataclass(frozen=True)
class Covariance:
    """The covariance under a given roofline."""

    roofline: Roofline

    def parts(self, a: Features, b: Features) -> Floats:
        """[5, cells of a, cells of b], each part for unit variance."""
        network = _alike(self._network(a), self._network(b))
        return np.stack(
            [
                np.ones_like(network),
                self.roofline.work_shares(a) @ self.roofline.work_shares(b).T,
                self.roofline.shares(a) @ _alike(a.shapes, b.shapes) @ self.roofline.shares(b).T,
                network,
                (a.resolutions[:, None] == b.resolutions).astype(float),
            ]
        )

    def own(self, a: Features) -> Floats:
        """[5, cells], each part between a cell and itself."""
        shares, work = self.roofline.shares(a), self.roofline.work_shares(a)
        blocks = np.einsum("ij,ij->i", shares @ _alike(a.shapes, a.shapes), shares)
        ones = np.ones(len(a))
        return np.stack([ones, np.einsum("ij,ij->i", work, work), blocks, ones, ones])

    def _network(self, a: Features) -> Floats:
        size = np.log(self.roofline.latency_ms(a)) / SIZE_SCALE
        return np.column_stack([size, a.depths / DEPTH_SCALE])


def _alike(a: Floats, b: Floats) -> Floats:
    """Squared-exponential covariance of the rows of `a` and `b`."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    alike: Floats = np.exp(-0.5 * np.maximum(squares, 0))
    return alike
