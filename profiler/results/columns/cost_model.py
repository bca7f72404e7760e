"""Costs of cells that were not counted, where a model is shown to tell them: else nothing.

What a network costs in memory, loading or a first run is a constant and what grows with its work:
non-negative least squares of relative errors (Lawson and Hanson, Solving Least Squares Problems,
1974, chapter 23) on the amounts of work that the latency model knows, and the largest activations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.arrays import FloatArray
from compofa.profiler.latency_model.features import cell_features
from compofa.profiler.results.table import Cell
from compofa.supernet.graph import graph_blocks
from compofa.supernet.space import Space

SHOWN_PERCENT = 5.0
"""A model is shown to work whose mean absolute error on held-out cells is at most this."""

FEWEST_SEEN, FEWEST_HELD_OUT = 20, 10


@dataclass(frozen=True)
class CellCosts:
    """Costs of cells that were not counted, where the error on those held out allows it.

    Attributes:
        error_percent: mean absolute error on held-out cells; of several batch sizes, the largest.
        values: of each cell that was asked for; empty where the model is not shown to work.
    """

    error_percent: float
    values: Mapping[Cell, float]


def predict_cell_costs(
    space: Space,
    known: Mapping[Cell, float],
    held_out: Collection[Cell],
    wanted: Sequence[Cell],
    *,
    invert: bool = False,
) -> CellCosts | None:
    """Costs of `wanted` cells from those that were counted; None where too few were.

    Args:
        space: of the cells; those of another one are left out.
        known: positive costs by cell.
        held_out: those of `known` on which a model of the others is judged; what is then told
            rests on all.
        wanted: cells of the batch sizes that were counted.
        invert: whether the model is of one over the costs.
    """
    errors: list[float] = []
    values: dict[Cell, float] = {}
    costs = {cell: 1 / cost if invert else cost for cell, cost in known.items()}
    for batch in sorted({cell.batch_size for cell in wanted}):
        here = [c for c in costs if c.batch_size == batch and c.space == space.name]
        fit = {cell: costs[cell] for cell in here if cell not in held_out}
        test = {cell: costs[cell] for cell in here if cell in held_out}
        if len(fit) < FEWEST_SEEN or len(test) < FEWEST_HELD_OUT:
            return None
        told = _predicted(space, fit, list(test))
        errors.append(100 * float(np.abs(told / np.array([*test.values()]) - 1).mean()))
        if errors[-1] > SHOWN_PERCENT:
            return CellCosts(errors[-1], {})
        cells = [c for c in wanted if c.batch_size == batch and c.space == space.name]
        told = _predicted(space, {**fit, **test}, cells)
        values.update(zip(cells, (1 / told if invert else told).tolist(), strict=True))
    return CellCosts(max(errors), values) if errors else None


def _predicted(space: Space, costs: Mapping[Cell, float], cells: Sequence[Cell]) -> FloatArray:
    """Costs of `cells`, by a model of those that are known."""
    from scipy.optimize import nnls

    amounts, cost = _amounts(space, list(costs)), np.array([*costs.values()])
    scale = amounts.max(axis=0)
    # Rows over their cost: what is least are the squares of relative errors.
    weights, _ = nnls(amounts / scale / cost[:, None], np.ones(len(cost)))
    told: FloatArray = _amounts(space, cells) / scale @ weights
    return told


def _amounts(space: Space, cells: Sequence[Cell]) -> FloatArray:
    """[cells, 7]: 1, the work of each cell, and its largest activations."""
    networks = [(space.parse(cell.subnet), cell.resolution, cell.batch_size) for cell in cells]
    largest = [
        float(max(block.peak_activations for block in graph_blocks(space, subnet, resolution)))
        for subnet, resolution, _ in networks
    ]
    totals = cell_features(space, networks).totals
    return np.column_stack([np.ones(len(cells)), totals, largest])
