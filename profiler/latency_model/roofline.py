"""The first guess: a device that takes a fixed, positive time for every unit of work.

A processor computes while the next kernels are launched, so latency lies between two extremes:
the *sum* of waiting for launches and computing, and the larger of the two. With w the time that
launching takes and c the time of computing and of moving data,

    guess = (w^p + c^p)^(1/p),

the *sharpness* p being 1 for the sum and large for a maximum (the roofline of Williams, Waterman
and Patterson, CACM 52, 2009, with launches in the place of memory traffic).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.features import AMOUNTS, Features, Floats

COMPUTED = AMOUNTS.index("kernels launched")
"""The kinds of work before this one are computed or moved; then kernels are launched and called."""

KINDS = len(AMOUNTS) + 1
"""Kinds of work that have a cost: `AMOUNTS`, and one for every inference."""


@dataclass(frozen=True)
class Guess:
    """What a roofline says of cells.

    Attributes:
        log_ms: [cells], logarithms of latencies in milliseconds.
        slopes: [cells, KINDS], of `log_ms` by each log cost: the part of it in the latency. They
            are positive, and those of a cell add up to 1.
        shares: [cells, blocks], each block's part in the latency.
    """

    log_ms: Floats
    slopes: Floats
    shares: Floats

    @property
    def waiting(self) -> Floats:
        """[cells], the part of the latency that is spent waiting for launches."""
        part: Floats = self.slopes[:, COMPUTED:].sum(axis=1)
        return part


@dataclass(frozen=True)
class Roofline:
    """Latency as costs of amounts of work.

    Attributes:
        log_costs: [KINDS], logarithms of the milliseconds that a `typical` amount takes.
        typical: [5], amounts of work of a typical cell, positive.
        sharpness: p.
    """

    log_costs: Floats
    typical: Floats
    sharpness: float

    def guess(self, features: Features) -> Guess:
        """What it says of cells."""
        costs = np.exp(self.log_costs)
        blocks = features.amounts / self.typical * costs[:-1]
        parts = np.column_stack([features.counts @ blocks, np.full(len(features), costs[-1])])
        computing, waiting = parts[:, :COMPUTED].sum(axis=1), parts[:, COMPUTED:].sum(axis=1)
        # Over the larger of the two, so that powers can neither overflow nor vanish.
        longer = np.maximum(computing, waiting)
        powers = (np.stack([computing, waiting]) / longer) ** self.sharpness
        total = powers.sum(axis=0)
        # How the latency grows with each of the two, over what there is of it.
        rates = powers / total / np.stack([computing, waiting])
        slopes = parts * np.repeat(rates, (COMPUTED, KINDS - COMPUTED), axis=0).T
        shares = rates.T @ np.stack([blocks[:, :COMPUTED].sum(axis=1), blocks[:, COMPUTED]])
        return Guess(
            np.log(longer) + np.log(total) / self.sharpness, slopes, features.counts * shares
        )
