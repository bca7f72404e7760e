"""What a virtual device's latencies are: four kinds of device, from the graphs of the networks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from compofa.profiler.latency_model.features import Floats, cell_features
from compofa.profiler.results.table import Cell
from compofa.supernet.spaces import get_space

KINDS = ("additive", "roofline", "cache", "idiosyncratic")

DENSE, DEPTHWISE, MOVED, WEIGHTS, KERNELS = 9e-8, 4e-7, 1.2e-6, 1e-7, 0.01
"""Milliseconds for each amount of `latency_model.features.AMOUNTS` on a middling phone's core."""

CACHE = 400_000
"""Activations that fit into the last cache of the device that has a cliff."""


def true_latency(kind: str, scale: float = 1.0, example: int = 0) -> Callable[[Cell], float]:
    """The latency in milliseconds, by cell, of a device of `kind`; `scale` makes it slower.

    additive: what blocks take adds up. roofline: a block takes what is longer, computing or moving
    its data. cache: blocks whose activations overflow the cache move them at a third of the speed.
    idiosyncratic: each shape of block is up to some 15 % off the additive guess, each network 2 %;
    `example` says which of the devices of that kind it is.
    """

    @cache
    def latency(cell: Cell) -> float:
        return scale * float(latencies(kind, [cell], example)[0])

    return latency


def latencies(kind: str, cells: Sequence[Cell], example: int = 0) -> Floats:
    """Milliseconds of each cell on a device of `kind`, shape (cells,)."""
    space = get_space(cells[0].space)
    features = cell_features(space, [(space.parse(c.subnet), c.resolution, 1) for c in cells])
    batch = np.array([cell.batch_size for cell in cells], dtype=float)
    dense, depthwise, moved, weights, kernels = features.amounts.T
    computing = DENSE * dense + DEPTHWISE * depthwise
    moving = MOVED * moved + WEIGHTS * weights
    if kind == "cache":
        moving = np.where(moved > CACHE, 3.0, 1.0) * moving
    blocks = np.maximum(computing, moving) if kind == "roofline" else computing + moving
    blocks = blocks + KERNELS * kernels
    if kind == "idiosyncratic":
        blocks = blocks * np.array(
            [_quirk(f"{example} {row.tolist()}", 0.07) for row in features.shapes]
        )
    total = features.counts @ blocks * batch**0.9
    if kind == "idiosyncratic":
        total *= np.array(
            [_quirk(f"{example} {cell.subnet}@{cell.resolution}", 0.01) for cell in cells]
        )
    return np.asarray(total)


def _quirk(name: str, sd: float) -> float:
    """A factor that belongs to `name`: log-normal, the same in every process."""
    digest = hashlib.sha256(name.encode()).digest()
    seed = int.from_bytes(digest[:8], "big")
    return math.exp(sd * float(np.random.default_rng(seed).standard_normal()))
