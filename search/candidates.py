"""The cells to choose from, as arrays: what every table has measured, with its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.profiler.results.table import Cell, Row, Table, read_table
from compofa.search.accuracy.sources import AccuracySource, Cells
from compofa.supernet.blocks import Block
from compofa.supernet.space import Space
from compofa.supernet.spaces import get_space
from compofa.supernet.subnet import Subnet

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Latencies:
    """A latency table and where it came from."""

    path: Path
    table: Table

    @property
    def device(self) -> str:
        """Whose latencies these are."""
        return self.table.setup.device


@dataclass(frozen=True)
class Candidates:
    """n cells with their latencies in t tables.

    Attributes:
        accuracy: whose accuracies these are, for people.
        predicted: whether any of them is a prediction, not a measurement of trained weights.
        cells: the cells, [n].
        subnets: what their keys stand for.
        top1: accuracy as a fraction of one, [n].
        top1_sd: its standard deviation, [n]; NaN where it is not known.
        latency_ms: [n, t].
        low_ms, high_ms: its interval, [n, t]; NaN where there is none.
        rows: the rows behind them, [t][n].
        notes: what was left out, and why, for the user to know.
        seen: how many cells these are the best of, where not all were kept.
    """

    space: Space
    tables: tuple[Latencies, ...]
    accuracy: str
    cells: tuple[Cell, ...]
    subnets: dict[str, Subnet]
    top1: FloatArray
    top1_sd: FloatArray
    latency_ms: FloatArray
    low_ms: FloatArray
    high_ms: FloatArray
    rows: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()
    seen: int | None = None
    predicted: bool = False

    @property
    def top1_name(self) -> str:
        """What to call the accuracies: "predicted top-1" where they are predictions."""
        return "predicted top-1" if self.predicted else "top-1"

    @property
    def compared(self) -> int:
        """How many cells the answer is the best of."""
        return len(self) if self.seen is None else self.seen

    def __len__(self) -> int:
        return len(self.cells)

    def keep(self, mask: BoolArray) -> Candidates:
        """Those where `mask`, [n], is true."""
        if mask.all():
            return self
        where = np.flatnonzero(mask)
        return replace(
            self,
            cells=tuple(self.cells[i] for i in where),
            top1=self.top1[where],
            top1_sd=self.top1_sd[where],
            latency_ms=self.latency_ms[where],
            low_ms=self.low_ms[where],
            high_ms=self.high_ms[where],
            rows=tuple(tuple(rows[i] for i in where) for rows in self.rows),
        )

    def block_totals(self, cost: Callable[[Block], int], combine: np.ufunc = np.add) -> FloatArray:
        """`cost` combined over the blocks of each cell's subnet, [n]."""
        # Deferred: only limits on MACs, parameters or memory ask for it.
        from compofa.profiler.block_tables.slot_terms import block_totals

        sizes = _sizes(self.cells)
        position = {key: i for i, key in enumerate(self.subnets)}
        which = np.array([position[cell.subnet] for cell in self.cells], dtype=np.int64)
        sums = np.zeros(len(self))
        subnets = list(self.subnets.values())
        for size in np.unique(sizes):
            totals = block_totals(self.space, subnets, int(size), cost, combine)
            here = sizes == size
            sums[here] = totals[which[here]]
        return sums


def load_latencies(
    path: Path, space: Space | None, resolutions: Sequence[int] | None = None
) -> Latencies:
    """A table file, or a folder of block tables added up for every subnet of `space`.

    Raises:
        UserError: the table is wrong, or a folder is given without a space.
    """
    if not path.is_dir():
        return Latencies(path, read_table(path))
    if space is None:
        message = "a block table does not say which space to add up"
        raise UserError(message, path=path, hint="name it with --space")
    from compofa.profiler.block_tables.block_table import import_lut

    return Latencies(path, import_lut(path, space, path.resolve().name or "device", resolutions))


def common_space(tables: Sequence[Latencies], chosen: Space | None) -> Space:
    """The space to search: `chosen`, or the one space that all tables are of.

    Raises:
        UserError: the tables disagree, hold several spaces, or lack the chosen one.
    """
    names = [list(dict.fromkeys(row.cell.space for row in each.table.rows)) for each in tables]
    for each, held in zip(tables, names, strict=True):
        if chosen is not None and chosen.name not in held:
            message = f"the table is of space {', '.join(held)}, not {chosen.name}"
            raise UserError(message, path=each.path)
        if chosen is None and len(held) > 1:
            message = f"the table holds spaces {', '.join(held)}"
            raise UserError(message, path=each.path, hint="choose one with --space")
        # One subnet cannot be of two spaces, even where their keys look alike.
        if chosen is None and held != names[0]:
            message = f"the table is of space {held[0]}, but {tables[0].path} is of {names[0][0]}"
            raise UserError(message, path=each.path)
    if chosen is not None:
        return chosen
    try:
        return get_space(names[0][0])
    except UserError as error:
        hint = "a space of your own is given as --space FILE.yaml"
        raise UserError(error.message, path=tables[0].path, hint=hint) from None


def join(
    tables: Sequence[Latencies],
    space: Space,
    accuracy: AccuracySource,
    batch_size: int | None = None,
    resolutions: Sequence[int] | None = None,
) -> Candidates:
    """The cells that all tables have a latency for, and `accuracy` an accuracy.

    Args:
        tables: at least one.
        space: rows of other spaces are left out.
        accuracy: where accuracies come from.
        batch_size: of the cells; may be left out where the tables have one only.
        resolutions: of the cells; all unless given.

    Raises:
        UserError: a key is not of the space, several batch sizes are there to choose from, or
            nothing is left: the message says which step left nothing.
    """
    by_table = [_rows(each, space, batch_size, resolutions) for each in tables]
    shared = _shared(tables, by_table)
    notes = []
    # Of the largest table, so that a small one beside it does not hide what was left out.
    most = max(map(len, by_table))
    if len(shared) < most:
        notes.append(f"{most - len(shared):,} cells are not in every table and were left out")
    subnets = _subnets(tables[0].path, space, shared)
    sizes = _sizes(shared)
    asked = Cells(space, subnets, [cell.subnet for cell in shared], sizes)
    top1 = accuracy.top1(asked)
    known = ~np.isnan(top1)
    if not known.all():
        unknown = [cell for cell, here in zip(shared, known, strict=True) if not here]
        reason = _without_accuracy(unknown, space, accuracy)
        if not known.any():
            raise UserError(reason)
        notes.append(f"{len(unknown):,} cells were left out: {reason}")
        shared = tuple(cell for cell, here in zip(shared, known, strict=True) if here)
    rows = tuple(tuple(by_cell[cell] for cell in shared) for by_cell in by_table)
    return Candidates(
        space=space,
        tables=tuple(tables),
        accuracy=accuracy.description,
        cells=shared,
        subnets=subnets,
        top1=top1[known],
        top1_sd=accuracy.deviations(asked)[known],
        latency_ms=_columns([row.latency_ms for row in each] for each in rows),
        low_ms=_columns([row.ci_low_ms for row in each] for each in rows),
        high_ms=_columns([row.ci_high_ms for row in each] for each in rows),
        rows=rows,
        notes=tuple(notes),
        predicted=accuracy.predicted,
    )


def _rows(
    given: Latencies, space: Space, batch_size: int | None, resolutions: Sequence[int] | None
) -> dict[Cell, Row]:
    """The table's rows that can be chosen, by cell."""
    rows = [row for row in given.table.rows if row.cell.space == space.name]
    rows = _narrowed(given, rows, "resolution", resolutions)
    batches = _values(rows, "batch_size")
    if batch_size is None and len(batches) > 1:
        message = f"the table has batch sizes {_listed(batches)}"
        raise UserError(message, path=given.path, hint="choose one with --batch-size")
    rows = _narrowed(given, rows, "batch_size", None if batch_size is None else [batch_size])
    # A cell that failed to be measured has no latency: it can never be chosen.
    by_cell = {row.cell: row for row in rows if row.latency_ms is not None}
    if not by_cell:
        raise UserError("every cell of the table failed to be measured", path=given.path)
    return by_cell


def _narrowed(
    given: Latencies, rows: list[Row], name: str, wanted: Sequence[int] | None
) -> list[Row]:
    """The rows whose cell has one of the `wanted` values, of which each must occur."""
    if wanted is None:
        return rows
    present = _values(rows, name)
    for value in wanted:
        if value not in present:
            message = f"the table has no cells of {name.replace('_', ' ')} {value}"
            raise UserError(message, path=given.path, hint=f"it has {_listed(present)}")
    return [row for row in rows if getattr(row.cell, name) in wanted]


def _shared(tables: Sequence[Latencies], by_table: Sequence[dict[Cell, Row]]) -> tuple[Cell, ...]:
    """The cells that all tables have, in the order of the first."""
    if len(by_table) == 1:
        return tuple(by_table[0])
    for name in ("resolution", "batch_size"):
        first = _values(by_table[0].values(), name)
        for each, rows in zip(tables[1:], by_table[1:], strict=True):
            here = _values(rows.values(), name)
            if not set(first) & set(here):
                what = name.replace("_", " ")
                message = f"the table has {what} {_listed(here)}, but {tables[0].path} has"
                raise UserError(f"{message} {_listed(first)}", path=each.path)
    cells = tuple(cell for cell in by_table[0] if all(cell in rows for rows in by_table[1:]))
    if not cells:
        paths = ", ".join(str(each.path) for each in tables)
        raise UserError(f"the tables have no cell in common: {paths}")
    return cells


def _subnets(path: Path, space: Space, cells: Iterable[Cell]) -> dict[str, Subnet]:
    """What the keys of `cells` stand for, each once."""
    known = _parsed(space)
    subnets = {}
    try:
        for key in dict.fromkeys(cell.subnet for cell in cells):
            if key not in known:
                known[key] = space.parse(key)
            subnets[key] = known[key]
    except UserError as error:
        raise UserError(error.message, path=path, hint=error.hint) from None
    return subnets


@lru_cache(maxsize=8)
def _parsed(_space: Space) -> dict[str, Subnet]:
    """The keys parsed so far: parsing them takes longer than searching them."""
    return {}


def _without_accuracy(cells: Sequence[Cell], space: Space, accuracy: AccuracySource) -> str:
    """Why `cells` have no accuracy."""
    known = accuracy.resolutions(space)
    strange = sorted({cell.resolution for cell in cells} - set(known))
    if strange:
        plural = "s" if len(strange) > 1 else ""
        unknown = f"no accuracy is known at resolution{plural} {_listed(strange)}"
        return f"{unknown} ({accuracy.description} covers {_listed(known)})"
    first = f"{cells[0].subnet} at {cells[0].resolution}"
    return f"no accuracy is known of cells such as {first} ({accuracy.description})"


def _columns(columns: Iterable[list[float | None]]) -> FloatArray:
    """One column per table, [n, t]; None becomes NaN."""
    return np.stack([np.array(column, dtype=np.float64) for column in columns], axis=1)


def _sizes(cells: Sequence[Cell]) -> IntArray:
    return np.array([cell.resolution for cell in cells], dtype=np.int64)


def _values(rows: Iterable[Row], name: str) -> list[int]:
    return sorted({getattr(row.cell, name) for row in rows})


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
