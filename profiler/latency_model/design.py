"""Which cells to measure next: those that tell most about all others.

Before anything is measured, the covariance of the process says how well any set of cells would
determine the rest. Cells are taken one at a time, each the one that most reduces the mean
variance of the predictions of all cells (active learning after Cohn, Neural Networks 9, 1996).
A D-optimal design is drawn to extremes, and held-out cells are drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model.covariance import EXPECTED_SD, Covariance
from compofa.profiler.latency_model.features import Cell, cell_features
from compofa.profiler.latency_model.process import EXPECTED_NOISE
from compofa.profiler.latency_model.roofline import Roofline
from compofa.supernet.space import Space

CONSIDERED = 1500
"""Candidates looked at, at most: of more, this many at random."""

JUDGED = 300
"""Candidates over which the mean variance is taken, at most, at random too."""


def choose_cells(
    space: Space,
    candidates: Sequence[Cell],
    n: int,
    *,
    measured: Sequence[Cell] = (),
    seed: int = 0,
) -> list[int]:
    """Positions in `candidates` of the `n` cells to measure next, the most telling first.

    Batch sizes are not told apart: give candidates of one. The same arguments give the same cells.

    Args:
        space: the space of all cells.
        candidates: cells to choose from; those in `measured`, and repeats, are not chosen.
        n: how many; fewer are returned where there are no more candidates.
        measured: cells whose latencies are known already.
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
    chosen = _greedy(space, [candidates[i] for i in fresh], n, _ordered(known))
    return [int(fresh[i]) for i in chosen]


def _ordered(cells: set[Cell]) -> list[Cell]:
    """`cells` in an order that does not depend on hashes."""
    return sorted(cells, key=lambda cell: (cell[1:], cell[0].depths, cell[0].expands))


def _greedy(space: Space, fresh: list[Cell], n: int, measured: list[Cell]) -> list[int]:
    features = cell_features(space, [*fresh, *measured])
    parts = Covariance(Roofline.balanced(features)).parts(features, features)
    covariance = np.tensordot(EXPECTED_SD**2, parts, 1)
    judged = covariance[: min(JUDGED, len(fresh))].copy()
    variance = np.diag(covariance).copy()
    known = np.zeros((len(measured) + n, len(covariance)))
    chosen: list[int] = []
    free = np.arange(len(covariance)) < len(fresh)
    for step in range(len(measured) + min(n, len(fresh))):
        if step < len(measured):
            best = len(fresh) + step
        else:
            gains = np.einsum("ij,ij->j", judged, judged) / (variance + EXPECTED_NOISE**2)
            best = int(np.argmax(np.where(free, gains, -1.0)))
            chosen.append(best)
            free[best] = False
        column = covariance[best] - known[:step, best] @ known[:step]
        known[step] = column / np.sqrt(variance[best] + EXPECTED_NOISE**2)
        judged -= np.outer(known[step, : len(judged)], known[step])
        variance -= known[step] ** 2
    return chosen
