"""How the deviations of two cells from the roofline's guess covary.

The logarithm of latency over the guess is taken to be a Gaussian process with a covariance that
is a sum of three parts, each with a variance of its own:

1. a *block* is slower or faster than guessed, and blocks of similar shapes deviate alike: the
   covariance of two cells is that of their blocks, weighted by the blocks' shares;
2. the *network* as a whole departs from the sum of its blocks, smoothly in size and depths
   (latencies do not quite add up: pipelines, caches, clocks);
3. a resolution has an offset of its own (tiles that fill, or do not).

What scatters about them has two parts: noise of every cell, and noise of waiting for launches,
which the host's scheduler causes and which counts by the part of the latency that is waiting.

Sums of covariances with variances by marginal likelihood: Rasmussen and Williams, Gaussian
Processes for Machine Learning (2006), sections 4.2.4 and 5.4.1.
"""

from __future__ import annotations

import numpy as np

from compofa.profiler.latency_model.features import Features, Floats
from compofa.profiler.latency_model.roofline import Guess

EXPECTED_SD = np.array([0.05, 0.03, 0.005])
"""Standard deviations that the three parts have on devices seen so far, roughly."""

EXPECTED_NOISE = np.array([0.012, 0.1])
"""Relative standard deviations of noise, and of waiting, that are expected before any data."""

SIZE_SCALE = 0.85
"""Networks this far apart in log latency, or `DEPTH_SCALE` in a depth, are still much alike."""

DEPTH_SCALE = 3.5


def parts(a: Features, guess_a: Guess, b: Features, guess_b: Guess, blocks: Floats) -> Floats:
    """[3, cells of a, cells of b], each part for unit variance.

    Args:
        a: cells.
        guess_a: the guess for them.
        b: cells too.
        guess_b: the guess for these.
        blocks: what `alike` says of the shapes of the blocks of `a` and of `b`.
    """
    return np.stack(
        [
            guess_a.shares @ blocks @ guess_b.shares.T,
            alike(_network(a, guess_a), _network(b, guess_b)),
            (a.resolutions[:, None] == b.resolutions).astype(float),
        ]
    )


def own(a: Features, guess: Guess, blocks: Floats) -> Floats:
    """[3, cells], each part between a cell and itself; arguments as of `parts`."""
    ones = np.ones(len(a))
    return np.stack([np.einsum("ij,ij->i", guess.shares @ blocks, guess.shares), ones, ones])


def alike(a: Floats, b: Floats) -> Floats:
    """Squared-exponential covariance of the rows of `a` and `b`."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    covariance: Floats = np.exp(-0.5 * np.maximum(squares, 0))
    return covariance


def _network(a: Features, guess: Guess) -> Floats:
    return np.column_stack([guess.log_ms / SIZE_SCALE, a.depths / DEPTH_SCALE])
