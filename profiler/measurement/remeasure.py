"""Measuring some cells of an existing table again, or for the first time, and adding them to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from compofa.common.errors import UserError
from compofa.profiler.measurement.device_lease import DeviceLease
from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.profiler.measurement.handshake import REFERENCE, header, shake_hands
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.measurement.sessions import Sessions
from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.analysis import Analysis
from compofa.profiler.results.build import Tabulated, journal_path, write_tables
from compofa.profiler.results.journal import Journal, PlanLine, of_kind, read_journal, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports import open_transport
from compofa.profiler.transports.device import Device
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

Settled = Callable[[Analysis, Cell], bool]
"""Whether a cell needs no further session, by what the journal says so far."""


def remeasure(
    device: Device,
    table: Path,
    space: Space,
    cells: Sequence[Cell],
    settled: Settled,
    display: Listener,
    *,
    most_sessions: int,
    until: float,
    patience_s: float = PATIENCE_S,
) -> Tabulated:
    """Measures `cells`, interleaved, and writes the table that the whole journal then amounts to.

    Args:
        device: of the same set-up as the table.
        table: its journal lies beside it, and is gone on with.
        space: of the cells.
        cells: of any kind: measured before, predicted, or new to the table.
        settled: ends the measuring of a cell.
        display: told how far it is.
        most_sessions: of each cell, in this call.
        until: in terms of `time.monotonic`, when to stop in any case.
        patience_s: the longest pause on a disturbed device.

    Raises:
        UserError: the table has no journal, or it is of another device or set-up.
        DeviceError: the device cannot be reached, or cannot measure.
    """
    plan = _plan(table)
    protocol = Protocol(**plan.protocol)
    lease = DeviceLease(device, display.note, until)
    spaces = SPACES[REFERENCE.space], space
    with (
        open_transport(device) as way,
        ModelStore(spaces, device.runtime, device.dtype) as store,
    ):
        hello = shake_hands(device, way, lease, store)
        told = header(device, hello)
        with Journal.open(journal_path(table), told) as journal:
            journal.append(_with(plan, cells))
            measuring = Sessions(
                device, hello, protocol, way, journal, store, display, lease, patience_s
            )
            before = {cell: _sessions(measuring.analysis(), cell) for cell in cells}

            def pending(analysis: Analysis) -> list[Cell]:
                found = []
                for cell in cells:
                    spent = _sessions(analysis, cell) - before[cell]
                    failed = cell in analysis.results and not analysis.usable(cell)
                    done = failed or spent >= most_sessions or (spent and settled(analysis, cell))
                    if not done:
                        found.append(cell)
                return found

            if time.monotonic() < until:
                measuring.run(pending, plan.seed)
            return write_tables(table, space, told, journal.lines)


def _plan(table: Path) -> PlanLine:
    """What the table was measured by."""
    path = journal_path(table)
    if not path.exists():
        raise UserError(
            "the table has no journal beside it, so nothing can be added to it",
            path=table,
            hint="measure it with compofa-profile",
        )
    plans = of_kind(read_journal(path)[1], PlanLine)
    if not plans:
        raise UserError("the journal holds no plan", path=path)
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
