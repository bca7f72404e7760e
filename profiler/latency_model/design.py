"""Which cells to measure next: those that say most about all others.

Before anything is measured, the covariance of the process says how well any set of cells would
determine the rest. Cells are taken one at a time, each the one that most reduces the mean
variance of the predictions of all cells (active learning after Cohn, Neural Networks 9, 1996).
A D-optimal design is drawn to extremes, and held-out cells are drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model.covariance import EXPECTED_NOISE, EXPECTED_SD, alike, parts
from compofa.profiler.latency_model.features import Features, Floats, Workload, cell_features
from compofa.profiler.latency_model.known_device import KnownDevice, mean_device
from compofa.profiler.latency_model.prior import Prior, independent
from compofa.supernet.space import Space

CONSIDERED = 1500
"""How many candidates are considered, at most: of more, this many at random."""

JUDGED = 300
"""How many candidates the mean variance is taken over, at most; these are random, too."""


def choose_cells(
    space: Space,
    candidates: Sequence[Workload],
    n: int,
    *,
    measured: Sequence[Workload] = (),
    others: Sequence[KnownDevice] = (),
    seed: int = 0,
) -> list[int]:
    """Positions in `candidates` of the `n` cells to measure next, the most telling first.

    Batch sizes are not told apart: give candidates of one. The same arguments give the same cells.

    Args:
        space: the space of all cells.
        candidates: cells to choose from; those in `measured`, and repeats, are not chosen.
        n: how many; fewer are returned where there are no more candidates.
        measured: cells whose latencies are known already.
        others: devices that this one may be like, of the batch size of the candidates: what they
            tell already need not be measured.
        seed: draws the `CONSIDERED` candidates where there are more, and decides ties.

    Raises:
        UserError: `n` is negative; a subnet is not of `space`.
    """
    if n < 0:
        raise UserError(f"cannot choose {n} cells")
    known = set(measured)
    first = {cell: i for i, cell in reversed(list(enumerate(candidates))) if cell not in known}
    rng = np.random.default_rng(seed)
    fresh = rng.permutation(sorted(first.values()))[: max(CONSIDERED, n)]
    if not n or not len(fresh):
        return []
    cells = [*(candidates[i] for i in fresh), *_ordered(known)]
    features = cell_features(space, cells)
    device = _as_one(others)
    if device is None:
        prior = independent(features)[0]
    else:
        features = replace(features, others=device.columns(cells, features))
        prior = device.priors(0)[-1]
    chosen = _greedy(*_expected(features, prior), n, len(fresh))
    return [int(fresh[i]) for i in chosen]


def _ordered(cells: set[Workload]) -> list[Workload]:
    """`cells` in an order that does not depend on hashes."""
    return sorted(cells, key=lambda cell: (cell[1:], cell[0].depths, cell[0].expands))


def _as_one(others: Sequence[KnownDevice]) -> KnownDevice | None:
    """The device that is as fast as the others are on average, or the first of them."""
    if not others:
        return None
    mean = mean_device(tuple(others)) if len(others) > 1 else None
    return mean or others[0]


def _greedy(covariance: Floats, noise: Floats, n: int, fresh: int) -> list[int]:
    """The `n` chosen cells, of the first `fresh`; the cells after those are measured already.

    Each step adds a column to a Cholesky factor, so that no matrix is ever inverted.
    """
    measured = len(covariance) - fresh
    judged = covariance[: min(JUDGED, fresh)].copy()
    variance = np.diag(covariance).copy()
    known = np.zeros((measured + n, len(covariance)))
    chosen: list[int] = []
    free = np.arange(len(covariance)) < fresh
    for step in range(measured + min(n, fresh)):
        if step < measured:
            best = fresh + step
        else:
            gains = np.einsum("ij,ij->j", judged, judged) / (variance + noise)
            best = int(np.argmax(np.where(free, gains, -1.0)))
            chosen.append(best)
            free[best] = False
        column = covariance[best] - known[:step, best] @ known[:step]
        known[step] = column / np.sqrt(variance[best] + noise[best])
        judged -= np.outer(known[step, : len(judged)], known[step])
        variance -= known[step] ** 2
    return chosen


def _expected(features: Features, prior: Prior) -> tuple[Floats, Floats]:
    """Covariance of log latencies that `prior` expects [cells, cells], and noise [cells]."""
    guess, _, slopes = prior.at(prior.mean, features)
    some = parts(features, guess, features, guess, alike(features.shapes, features.shapes))
    covariance = np.tensordot(EXPECTED_SD**2, some, 1) + slopes @ prior.covariance @ slopes.T
    noise = EXPECTED_NOISE[0] ** 2 + (EXPECTED_NOISE[1] * guess.waiting) ** 2
    return covariance, noise
