"""Measuring some cells of an existing table again, or for the first time, and adding them to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compofa.common.errors import UserError
from compofa.profiler.measurement.device_access import TimeLimits, models_for, open_device
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.measurement.sessions import Sessions
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.models.collection.read_collection import ReadCollection, read_collection
from compofa.profiler.models.collection.user_model_store import UserModelStore
from compofa.profiler.models.model_store import Models
from compofa.profiler.results.analysis import Analysis
from compofa.profiler.results.build import Tabulated, write_tables
from compofa.profiler.results.journal import PlanLine, journal_path, of_kind, read_journal, utc_now
from compofa.profiler.results.model_lines import record_models
from compofa.profiler.results.table import Cell, read_table
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.device import Device
from compofa.supernet.space import Space

Settled = Callable[[Analysis, Cell], bool]
"""Whether a cell needs no further session, by what the journal says so far."""


@dataclass(frozen=True)
class Remeasurement:
    """What to measure again, and when that is enough.

    Attributes:
        table: the journal beside it is continued.
        space: of the cells; or the user's model files, among which theirs are.
        cells: measured before, predicted, or new to the table.
        settled: says when a cell needs no further session.
        most_sessions: of each cell, in this call.
    """

    table: Path
    space: Space | Collection
    cells: Sequence[Cell]
    settled: Settled
    most_sessions: int


def remeasure(
    device: Device, wanted: Remeasurement, listener: Listener, limits: TimeLimits
) -> Tabulated:
    """Measures cells, interleaved, and writes the table anew from the whole journal.

    Args:
        device: of the same set-up as the table.
        wanted: what to measure.
        listener: is told about the progress.
        limits: when to stop in any case.

    Raises:
        UserError: the table has no journal, or it is of another device or set-up.
        DeviceError: the device cannot be reached, or cannot measure.
    """
    if isinstance(wanted.space, Collection) and not wanted.space.models:
        raise UserError(
            "it is not known where the model files are that have to be measured again",
            hint="name their folder or their manifest with --models",
        )
    plan = _plan(wanted.table)
    protocol = Protocol(**plan.protocol)
    space = None if isinstance(wanted.space, Collection) else wanted.space
    models: Models = models_for(device) if space is None else models_for(device, space)
    read = None
    if isinstance(wanted.space, Collection):
        read = _read_again(wanted.space, device, wanted)
        models = UserModelStore(read, models, device)
    with (
        open_device(device, models, listener, limits=limits) as access,
        Sessions.begin(access, protocol, journal_path(wanted.table)) as sessions,
    ):
        if read is not None:
            lines = [read.models[cell].line for cell in wanted.cells]
            record_models(sessions.journal, lines, ())
        sessions.journal.append(_with(plan, wanted.cells))
        before = {cell: _sessions(sessions.analysis(), cell) for cell in wanted.cells}

        def pending(analysis: Analysis) -> list[Cell]:
            left = []
            for cell in wanted.cells:
                spent = _sessions(analysis, cell) - before[cell]
                failed = cell in analysis.results and not analysis.usable(cell)
                enough = spent >= wanted.most_sessions
                # What earlier sessions said does not settle a cell: it was asked for again.
                if not (failed or enough or (spent and wanted.settled(analysis, cell))):
                    left.append(cell)
            return left

        if time.monotonic() < limits.until:
            sessions.run(pending, plan.seed)
        return write_tables(wanted.table, space, access.header, sessions.journal.lines)


def _read_again(collection: Collection, device: Device, wanted: Remeasurement) -> ReadCollection:
    """The model files of the cells that are to be measured, which must be what they were.

    Raises:
        UserError: one is not there, or is another than the one that the table is about.
    """
    names = {cell.subnet for cell in wanted.cells}
    needed = tuple(model for model in collection.models if model.name in names)
    missing = names - {model.name for model in needed}
    if missing:
        raise UserError(f"{min(missing)} is not among the models that --models names")
    sizes = tuple(sorted({cell.batch_size for cell in wanted.cells}))
    read = read_collection(replace(collection, models=needed), device, sizes)
    measured = {row.cell: row.model_sha256 for row in read_table(wanted.table).rows}
    for cell in wanted.cells:
        if cell not in read.models:
            why = next((each.reason for each in read.failures if each.cell == cell), None)
            size = f"at {cell.resolution}, batch size {cell.batch_size}"
            raise UserError(why or f"the file of {cell.subnet} is no longer of the input {size}")
        if measured.get(cell) not in (None, "", read.models[cell].line.sha256):
            raise UserError(
                f"the file of {cell.subnet} has changed since the table was measured",
                path=wanted.table,
                hint="measure it again with compofa-profile",
            )
    return read


def _plan(table: Path) -> PlanLine:
    """The plan by which the table was measured."""
    path = journal_path(table)
    if not path.exists():
        raise UserError(
            "the table has no journal beside it, so nothing can be added to it",
            path=table,
            hint="measure it with compofa-profile",
        )
    plans = of_kind(read_journal(path)[1], PlanLine)
    if not plans:
        raise UserError(
            "the journal holds no plan, which says how the table was measured", path=path
        )
    return plans[-1]


def _with(plan: PlanLine, cells: Sequence[Cell]) -> PlanLine:
    """`plan` with `cells` among those that are measured, and among those of the table."""
    known = dict.fromkeys((*plan.cells, *cells))
    place = {cell: i for i, cell in enumerate(known)}
    fit = dict.fromkeys((*plan.fit, *(place[cell] for cell in cells)))
    held_out = tuple(i for i in plan.held_out if i not in fit)
    return replace(
        plan, cells=tuple(known), fit=tuple(fit), held_out=held_out, started_at=utc_now()
    )


def _sessions(analysis: Analysis, cell: Cell) -> int:
    result = analysis.results.get(cell)
    return 0 if result is None else result.n_sessions
