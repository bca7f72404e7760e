"""Plans: which cells to measure, so that the others can be predicted and predictions be tested."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model import KnownDevice, choose_cells
from compofa.profiler.results.table import Cell
from compofa.supernet.space import ENUMERABLE, Space

FIT_CELLS = 40
HELD_OUT_CELLS = 20
LIKE_CELLS = 10
"""How many of each kind where tables of other devices are learned from: those tell the rest."""

SAMPLED_CANDIDATES = 2000
"""How many cells a table covers of a space that is too large to list."""

HELD_OUT_SEED = 1
"""Held-out cells are drawn by a seed of their own, so that they do not depend on the others."""

LARGEST_TABLE = 2_000_000

PlanSize = int | Literal["auto", "full"] | tuple[Cell, ...]
"""What a plan measures. `auto`: 40 well-chosen cells and 20 random ones for each batch size; a
number: that many well-chosen cells and the 20; `full`: all cells; a tuple: these cells alone."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        cells: what the table covers; those not measured are predicted.
        fit: indices of the cells that the latency model is fitted on.
        held_out: indices of the cells that it is tested on, drawn at random.
    """

    name: str
    seed: int
    cells: tuple[Cell, ...]
    fit: tuple[int, ...]
    held_out: tuple[int, ...]

    @property
    def measured(self) -> tuple[Cell, ...]:
        """The cells to measure."""
        return tuple(self.cells[i] for i in (*self.fit, *self.held_out))


def make_plan(
    space: Space,
    resolutions: Sequence[int],
    batch_sizes: Sequence[int],
    measure: PlanSize = "auto",
    seed: int = 0,
    others: Sequence[KnownDevice] = (),
) -> Plan:
    """A plan for `space` at these resolutions and batch sizes; the same arguments, the same plan.

    With `others`, devices that this one may be like, fewer cells are enough.

    Raises:
        UserError: the table would be too large, or a cell that is to be measured is not in it.
    """
    rng = np.random.default_rng((seed, HELD_OUT_SEED))
    cells: list[Cell] = []
    fit: list[int] = []
    held_out: list[int] = []
    for batch_size in batch_sizes:
        start = len(cells)
        fresh = _candidates(space, resolutions, batch_size, np.random.default_rng(seed))
        like = [other for other in others if other.batch_size == batch_size]
        wanted = (LIKE_CELLS if like else FIT_CELLS) if measure == "auto" else measure
        roles = _choose(space, fresh, wanted, (seed, rng), like)
        cells += fresh
        fit += [start + i for i in roles[0]]
        held_out += [start + i for i in roles[1]]
    if isinstance(measure, tuple):
        _check_all_there(measure, cells)
    name = "as another" if isinstance(measure, tuple) else str(measure)
    return Plan(name, seed, tuple(cells), tuple(fit), tuple(held_out))


def collection_plan(collection: str, cells: Sequence[Cell], measure: PlanSize, seed: int) -> Plan:
    """A plan for a user's model files: all of them are measured, and none is predicted.

    Args:
        collection: its name.
        cells: of all models at all their sizes.
        measure: `auto` or `full` for all of them, or those cells alone that are of the collection.

    Raises:
        UserError: some number of them is asked for, or cells that are not there.
    """
    if isinstance(measure, int):
        raise UserError(
            "model files are measured all of them, so --plan cannot be a number",
            hint="leave files out, or name a table whose models are wanted: --plan base.csv",
        )
    chosen = tuple(cells)
    if isinstance(measure, tuple):
        chosen = tuple(cell for cell in measure if cell.space == collection)
        if not chosen:
            raise UserError(f"the table has measured no model of the collection {collection}")
        _check_all_there(chosen, cells)
    return Plan("files", seed, chosen, tuple(range(len(chosen))), ())


def _choose(
    space: Space,
    cells: Sequence[Cell],
    wanted: int | Literal["full"] | tuple[Cell, ...],
    random: tuple[int, np.random.Generator],
    like: Sequence[KnownDevice],
) -> tuple[Sequence[int], Sequence[int]]:
    """Positions in `cells`, all of one batch size, to fit the latency model to, and to hold out.

    The held-out cells are the same however many cells are wanted, so that errors can be compared;
    of given cells those among them are held out.
    """
    every = range(len(cells))
    seed, rng = random
    held_out = LIKE_CELLS if like else HELD_OUT_CELLS
    # Where all cells are measured, none is predicted, and nothing needs to be tested.
    enough = isinstance(wanted, int) and wanted + held_out >= len(cells)
    if wanted == "full" or enough:
        return every, ()
    drawn = rng.choice(len(cells), min(held_out, len(cells)), replace=False).tolist()
    apart = set(drawn)
    if isinstance(wanted, tuple):
        asked = set(wanted)
        given = [i for i in every if cells[i] in asked]
        return [i for i in given if i not in apart], [i for i in given if i in apart]
    rest = [i for i in every if i not in apart]
    shapes = [
        (space.parse(cells[i].subnet), cells[i].resolution, cells[i].batch_size) for i in rest
    ]
    return [rest[i] for i in choose_cells(space, shapes, wanted, others=like, seed=seed)], drawn


def _check_all_there(wanted: Sequence[Cell], cells: Sequence[Cell]) -> None:
    known = set(cells)
    for cell in wanted:
        if cell not in known:
            raise UserError(
                f"{cell.subnet} of {cell.space} at {cell.resolution}, batch size "
                f"{cell.batch_size}, is not a cell of this profile",
                hint="profile the space or the model files, the resolutions and the batch sizes of "
                "the table whose cells are wanted",
            )


def _candidates(
    space: Space, resolutions: Sequence[int], batch_size: int, rng: np.random.Generator
) -> list[Cell]:
    if space.size <= ENUMERABLE:
        cells = space.size * len(resolutions)
        if cells > LARGEST_TABLE:
            raise UserError(
                f"{cells:,} cells are too many for a table, which holds {LARGEST_TABLE:,} at most",
                hint="choose fewer resolutions",
            )
        keys = [space.key(subnet) for subnet in space.enumerate()]
        pairs = list(itertools.product(resolutions, keys))
    else:
        drawn = {
            (int(rng.choice(resolutions)), space.key(space.sample(rng)))
            for _ in range(SAMPLED_CANDIDATES)
        }
        pairs = sorted(drawn)
    return [Cell(space.name, key, resolution, batch_size) for resolution, key in pairs]
