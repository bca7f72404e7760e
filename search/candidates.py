"""The cells to choose from: those that all tables have, with their latencies and accuracies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.profiler.models.collection.collection import USUAL_NAME, Collection
from compofa.profiler.results.table import Cell, Row, Table, read_table
from compofa.search.accuracy.metric import TOP1, Metric
from compofa.search.accuracy.sources import AccuracySource, Cells
from compofa.supernet.blocks import Block
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES, get_space
from compofa.supernet.subnet import Subnet

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Latencies:
    """A latency table and the file or folder from which it was read."""

    path: Path
    table: Table

    @property
    def device(self) -> str:
        """The name of the device that was timed."""
        return self.table.setup.device


@dataclass(frozen=True)
class Candidates:
    """n cells with their accuracies, and with their latencies in t tables.

    Attributes:
        space: the space of all cells, or the collection of all model files.
        tables: the t tables.
        accuracy: where the accuracies come from, as text for people.
        cells: the cells, [n].
        subnets: their subnets, by key; empty for model files.
        top1: accuracies as fractions of one, or in units of `metric`, [n].
        top1_sd: the standard deviations of the accuracies, [n]; NaN where not known.
        latency_ms: latencies, [n, t].
        low_ms, high_ms: the intervals of the latencies, [n, t]; NaN where there is none.
        rows: the rows of the tables from which the latencies are, [t][n].
        notes: what was left out and why, as sentences for the user.
        seen: how many cells a search looked at, if only the best of them were kept.
        predicted: whether any accuracy is a prediction instead of a measurement of trained weights.
    """

    space: Space | Collection
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
    metric: Metric = TOP1

    @property
    def top1_name(self) -> str:
        """The name of the accuracies for people: "predicted top-1" if they are predictions."""
        return f"predicted {self.metric.name}" if self.predicted else self.metric.name

    @property
    def noun(self) -> str:
        """What one of them is called."""
        return "model" if isinstance(self.space, Collection) else "subnet"

    @property
    def compared(self) -> int:
        """How many cells were compared to find the answer."""
        return len(self) if self.seen is None else self.seen

    def __len__(self) -> int:
        return len(self.cells)

    def keep(self, mask: BoolArray) -> Candidates:
        """The candidates for which `mask`, [n], is true."""
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
        """The total of `cost` over the blocks of each cell's subnet, [n].

        Args:
            cost: the cost of one block.
            combine: how the costs make a total, such as `np.add` or `np.maximum`.
        """
        # Deferred: only limits on MACs, parameters or memory ask for it.
        from compofa.profiler.block_tables.slot_terms import block_totals

        if isinstance(self.space, Collection):
            raise TypeError("model files have no blocks")
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
    """Reads a latency table, or sums up block tables for every subnet of a space.

    Args:
        path: a table, or a folder of block tables.
        space: the space whose subnets are summed up; needed for a folder only.
        resolutions: those of a folder to read; None for all.

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


def common_space(tables: Sequence[Latencies], chosen: Space | None) -> Space | Collection:
    """The space to search: `chosen`, or the only space or collection of all tables.

    Raises:
        UserError: the tables have different spaces or several, or lack the chosen one.
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
    if any(is_collection(each, names[0][0]) for each in tables):
        return Collection(names[0][0], ())
    try:
        return get_space(names[0][0])
    except UserError as error:
        hint = (
            "a space of your own is given as --space FILE.yaml; of a table about model files, the "
            "meta file has to be beside it"
        )
        raise UserError(error.message, path=tables[0].path, hint=hint) from None


def is_collection(of: Latencies, name: str) -> bool:
    """Whether the rows of a table are about model files: its meta file says so."""
    if name == USUAL_NAME:
        return True
    if name in SPACES:
        return False
    from compofa.profiler.results.meta import meta_path, read_meta

    if not meta_path(of.path).exists():
        return False
    return bool(read_meta(meta_path(of.path)).models)


def join(
    tables: Sequence[Latencies],
    space: Space | Collection,
    accuracy: AccuracySource,
    batch_size: int | None = None,
    resolutions: Sequence[int] | None = None,
) -> Candidates:
    """Joins tables and accuracies: the cells that have a latency in every table and an accuracy.

    Args:
        tables: at least one.
        space: rows of other spaces are left out.
        accuracy: the source of the accuracies.
        batch_size: that of the cells to join; needed only if a table has several.
        resolutions: those of the cells to join; None for all.

    Raises:
        UserError: a key is not of the space, `batch_size` is needed but not given, or no cell is
            left; the message says which step left none.
    """
    by_table = [_rows(each, space, batch_size, resolutions) for each in tables]
    shared = _shared(tables, by_table)
    notes = []
    # Counted against the largest table, so that a small one beside it does not hide the loss.
    most = max(map(len, by_table))
    if len(shared) < most:
        notes.append(f"{most - len(shared):,} cells are not in every table and were left out")
    subnets = {} if isinstance(space, Collection) else _subnets(tables[0].path, space, shared)
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
    given: Latencies,
    space: Space | Collection,
    batch_size: int | None,
    resolutions: Sequence[int] | None,
) -> dict[Cell, Row]:
    """The rows of a table that can be chosen, by cell."""
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
    """The rows whose cell has one of the `wanted` values of the attribute `name`.

    Raises:
        UserError: the table has no rows with one of the wanted values.
    """
    if wanted is None:
        return rows
    present = _values(rows, name)
    for value in wanted:
        if value not in present:
            message = f"the table has no cells of {name.replace('_', ' ')} {value}"
            raise UserError(message, path=given.path, hint=f"it has {_listed(present)}")
    return [row for row in rows if getattr(row.cell, name) in wanted]


def _shared(tables: Sequence[Latencies], by_table: Sequence[dict[Cell, Row]]) -> tuple[Cell, ...]:
    """The cells that all tables have, in the order of the first table."""
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
    # The loop above explains the usual reasons why tables have no cells in common.
    cells = tuple(cell for cell in by_table[0] if all(cell in rows for rows in by_table[1:]))
    if not cells:
        paths = ", ".join(str(each.path) for each in tables)
        raise UserError(f"the tables have no cell in common: {paths}")
    return cells


def _subnets(path: Path, space: Space, cells: Iterable[Cell]) -> dict[str, Subnet]:
    """The subnets of `cells` by their keys, each once."""
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
    """The subnets whose keys were parsed so far. Parsing keys takes longer than searching them."""
    return {}


def _without_accuracy(
    cells: Sequence[Cell], space: Space | Collection, accuracy: AccuracySource
) -> str:
    """Says why `cells` have no accuracy."""
    if isinstance(space, Collection):
        names = list(dict.fromkeys(cell.subnet for cell in cells))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"no accuracy is known of {', '.join(names[:3])}{more} ({accuracy.description})"
    known = accuracy.resolutions(space)
    strange = sorted({cell.resolution for cell in cells} - set(known))
    if strange:
        plural = "s" if len(strange) > 1 else ""
        unknown = f"no accuracy is known at resolution{plural} {_listed(strange)}"
        return f"{unknown} ({accuracy.description} covers {_listed(known)})"
    first = f"{cells[0].subnet} at {cells[0].resolution}"
    return f"no accuracy is known for cells such as {first} ({accuracy.description})"


def _columns(columns: Iterable[list[float | None]]) -> FloatArray:
    """One column per table, [n, t]; None becomes NaN."""
    return np.stack([np.array(column, dtype=np.float64) for column in columns], axis=1)


def _sizes(cells: Sequence[Cell]) -> IntArray:
    return np.array([cell.resolution for cell in cells], dtype=np.int64)


def _values(rows: Iterable[Row], name: str) -> list[int]:
    return sorted({getattr(row.cell, name) for row in rows})


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
