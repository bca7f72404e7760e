"""Whether latencies of whole networks are sums of terms of their units.

A published block table is used as if they were. Here every kind of block (unit, first or not,
expand ratio, kernel) gets a latency by least squares, and sums are compared with the measured
networks. In a fixed-kernel compound space these are 11 numbers a resolution: 1 + 5 x 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError
from compofa.profiler.latency_model.features import Floats, Workload
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet

PER_TERM = 2
"""How many measured networks per term a comparison needs, at least."""


@dataclass(frozen=True)
class Additivity:
    """Sums of unit terms against n measured networks, each left out of the fit of its own terms.

    Attributes:
        terms: numbers fitted.
        per_resolution: whether every resolution has terms of its own; else each term is a
            straight line in the number of pixels.
        bias_percent: mean of sum / measured - 1; positive where sums are too slow.
        small_bias_percent, large_bias_percent: the same over the quarter of networks that are
            fastest and slowest; they differ from `bias_percent` where latency bends with size.
        residual_sd_percent: standard deviation of sum / measured - 1.
    """

    n: int
    terms: int
    per_resolution: bool
    bias_percent: float
    small_bias_percent: float
    large_bias_percent: float
    residual_sd_percent: float


def additivity(
    space: Space, cells: Sequence[Workload], latency_ms: npt.ArrayLike
) -> Additivity | None:
    """How well sums of unit terms agree with measured networks; None if too few to say.

    Args:
        space: the space of all cells.
        cells: n measured cells of one batch size.
        latency_ms: [n], positive.

    Raises:
        UserError: several batch sizes, or a latency that is not positive.
    """
    latency = np.asarray(latency_ms, dtype=np.float64)
    if len({batch for _, _, batch in cells}) > 1:
        raise UserError("additivity is checked for one batch size at a time")
    if not (np.isfinite(latency) & (latency > 0)).all():
        raise UserError("a measured latency is not positive")
    if not cells:
        return None
    counts = _kind_counts(space, [subnet for subnet, _, _ in cells])
    pixels = np.array([resolution**2 for _, resolution, _ in cells], dtype=np.float64)
    sizes = np.unique(pixels)
    own = np.column_stack([counts * (pixels == size)[:, None] for size in sizes])
    lines = np.column_stack([counts, counts * (pixels / pixels.max())[:, None]])
    for design, per_resolution in ((own, True), (lines, False)):
        weighted = design / latency[:, None]
        basis, values, _ = np.linalg.svd(weighted, full_matrices=False)
        basis = basis[:, values > 1e-9 * values.max()]
        terms = basis.shape[1]
        if len(cells) >= PER_TERM * terms:
            return _compared(basis, latency, per_resolution)
    return None


def _compared(basis: Floats, latency: Floats, per_resolution: bool) -> Additivity | None:
    """The comparison, for an orthonormal `basis` of what sums of terms can be, over latency."""
    leverage = (basis**2).sum(axis=1)
    # A network that alone determines a term is always fitted exactly, which says nothing.
    judged = leverage < 1 - 1e-6
    errors = 100 * ((basis @ basis.sum(axis=0) - 1)[judged] / (1 - leverage[judged]))
    if not len(errors):
        return None
    by_size = errors[np.argsort(latency[judged], kind="stable")]
    quarter = max(1, len(errors) // 4)
    return Additivity(
        n=len(errors),
        terms=basis.shape[1],
        per_resolution=per_resolution,
        bias_percent=float(errors.mean()),
        small_bias_percent=float(by_size[:quarter].mean()),
        large_bias_percent=float(by_size[-quarter:].mean()),
        residual_sd_percent=float(errors.std()),
    )


def _kind_counts(space: Space, subnets: Sequence[Subnet]) -> Floats:
    """[subnets, kinds], how many blocks of each kind; the first column is the rest of a network."""
    kinds: dict[tuple[object, ...], int] = {}
    rows, columns = [], []
    for i, subnet in enumerate(subnets):
        for u, choice in enumerate(space.unit_choices(subnet)):
            blocks = zip(choice.expands, choice.kernels, strict=True)
            for b, (expand, kernel) in enumerate(blocks):
                kind = (u, b == 0, choice.width, expand, kernel)
                rows.append(i)
                columns.append(kinds.setdefault(kind, len(kinds) + 1))
    counts = np.zeros((len(subnets), len(kinds) + 1))
    counts[:, 0] = 1
    np.add.at(counts, (rows, columns), 1.0)
    return counts
