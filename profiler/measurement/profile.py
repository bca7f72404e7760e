"""A profile of one device: plan, measure session by session, fit, predict, write the table."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from compofa.common.errors import UserError
from compofa.profiler.latency_model import KnownDevice
from compofa.profiler.measurement.costs.passes import CostPasses, check_passes
from compofa.profiler.measurement.device_access import TimeLimits, models_for, open_device
from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.profiler.measurement.plan import Plan, PlanSize, collection_plan, make_plan
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.measurement.sessions import Sessions
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.models.collection.read_collection import ReadCollection, read_collection
from compofa.profiler.models.collection.user_model_store import UserModelStore
from compofa.profiler.models.model_store import Models
from compofa.profiler.results.analysis import Analysis
from compofa.profiler.results.build import Tabulated, write_tables
from compofa.profiler.results.journal import Journal, PlanLine, journal_path, of_kind, utc_now
from compofa.profiler.results.measures import find_measures
from compofa.profiler.results.model_lines import record_models
from compofa.profiler.results.predict import known_in_tables
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.statistics.stopping import EARLY_SESSIONS
from compofa.profiler.transports import Transport
from compofa.profiler.transports.device import Device
from compofa.supernet.space import Space


@dataclass(frozen=True)
class ProfileRequest:
    """What to profile and where to write it.

    Attributes:
        space: whose subnets are measured; or the user's model files, which then have sizes of their
            own.
        resolutions: of subnets.
        batch_sizes: of subnets, and of model files that leave it open.
        out: the table; the journal and the meta file go beside it.
        measure: the plan, see `PlanSize`.
        fresh: whether to discard an earlier journal instead of continuing it.
        keep_models: a folder where the models of subnets stay, named by their hash; if left out,
            they are deleted with the profile.
        patience_s: the longest pause on a disturbed device, see `DeviceMonitor`.
        columns: further measured columns of the table, by name, see `MeasureSpec`.
        streams: how many workers run a model at once where throughput is measured.
        like: tables of devices that this one may be like: fewer cells are then measured, and the
            others are predicted from those tables too.
    """

    space: Space | Collection
    resolutions: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    out: Path
    measure: PlanSize = "auto"
    protocol: Protocol = field(default_factory=Protocol)
    seed: int = 0
    fresh: bool = False
    keep_models: Path | None = None
    patience_s: float = PATIENCE_S
    columns: tuple[str, ...] = ()
    streams: int = 1
    like: tuple[Path, ...] = ()

    @property
    def built_space(self) -> Space | None:
        """The space; None where model files are measured."""
        return None if isinstance(self.space, Collection) else self.space

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Those whose models have to be built."""
        return () if isinstance(self.space, Collection) else (self.space,)

    def read_files(self, device: Device) -> ReadCollection | None:
        """The model files as `device` takes them; None where subnets are measured.

        Raises:
            UserError: see `read_collection`.
        """
        if not isinstance(self.space, Collection):
            return None
        return read_collection(self.space, device, self.batch_sizes)


@dataclass(frozen=True)
class Outcome:
    """A finished profile; `out_of_time` if the time limit ended it."""

    written: Tabulated
    seconds: float
    out_of_time: bool


def profile(
    device: Device,
    request: ProfileRequest,
    listener: Listener,
    *,
    plan: Plan | None = None,
    transport: Transport | None = None,
    models: Models | None = None,
) -> Outcome:
    """Measures what `request` asks for and writes the table, its meta file and its journal.

    Ctrl-C or a crash at any moment loses at most the current cell: the same request continues from
    the journal.

    Args:
        device: what to measure.
        request: what to measure there.
        listener: is told about the progress.
        plan: the cells; if left out, those that the request's `measure` chooses.
        transport: the way to the device; if left out, the one that the device names.
        models: where models come from; if left out, they are built for the request's space and the
            device's runtime.

    Raises:
        UserError: the device's settings do not go together, the journal is of another set-up, a
            package is missing here, the disk is full, and so on.
        DeviceError: the device cannot be reached, lacks the runtime, or is in use by another.
    """
    begun = time.monotonic()
    space, protocol = request.built_space, request.protocol
    others = () if space is None else known_in_tables(request.like, space)
    read = request.read_files(device)
    plan = plan or plan_of(request, others, read)
    if protocol.tolerance is None:
        protocol = replace(protocol, tolerance=device.dtype.tolerance)
    protocol, passes = _for_columns(protocol, request.columns, device)
    limits = TimeLimits(begun + (protocol.max_time_s or math.inf), request.patience_s)
    store = models or models_for(device, *request.spaces, keep=request.keep_models)
    files = None if read is None else UserModelStore(read, store, device)
    path = journal_path(request.out)
    with (
        open_device(device, files or store, listener, limits=limits, transport=transport) as access,
        Sessions.begin(access, protocol, path, fresh=request.fresh) as sessions,
    ):
        record_plan(sessions.journal, _plan_line(request, plan, protocol))
        if read is not None:
            lines = [each.line for cell, each in read.models.items() if cell in {*plan.cells}]
            record_models(sessions.journal, lines, read.failures)
        out_of_time = sessions.run(partial(_unsettled, plan.measured, protocol), request.seed)
        for caveat in () if files is None else files.caveats:
            sessions.caveat(caveat)
        if passes and not out_of_time:
            counted = [cell for cell in plan.measured if sessions.analysis().usable(cell)]
            costs = CostPasses(access, sessions.journal, request.seed, request.streams)
            out_of_time = costs.run(passes, counted)
        written = write_tables(request.out, space, access.header, sessions.journal.lines, others)
    return Outcome(written, time.monotonic() - begun, out_of_time)


def plan_of(
    request: ProfileRequest, others: Sequence[KnownDevice], read: ReadCollection | None = None
) -> Plan:
    """The cells that `request` asks for.

    Args:
        others: devices that this one may be like.
        read: what `ProfileRequest.read_files` returns.

    Raises:
        UserError: see `make_plan` and `collection_plan`.
    """
    if isinstance(request.space, Collection):
        cells = () if read is None else (*read.cells, *(each.cell for each in read.failures))
        return collection_plan(request.space.name, cells, request.measure, request.seed)
    return make_plan(
        request.space,
        request.resolutions,
        request.batch_sizes,
        request.measure,
        request.seed,
        others,
    )


def _for_columns(
    protocol: Protocol, columns: Sequence[str], device: Device
) -> tuple[Protocol, tuple[str, ...]]:
    """The protocol with as many runs as some columns need, and the passes that they take.

    Raises:
        UserError: a column is not known, or the device cannot be taken through its pass.
    """
    measures = find_measures(columns)
    passes = tuple(dict.fromkeys(each.needs for each in measures if each.needs))
    check_passes(device, passes)
    # Cells that are settled early have so many sessions, and no fewer.
    runs = math.ceil(max((each.runs for each in measures), default=0) / EARLY_SESSIONS)
    return replace(protocol, min_runs=max(protocol.min_runs, runs)), passes


def _unsettled(cells: Sequence[Cell], protocol: Protocol, analysis: Analysis) -> list[Cell]:
    """The `cells` that need another session."""
    return [cell for cell in cells if not analysis.settled(cell, protocol)]


def _plan_line(request: ProfileRequest, plan: Plan, protocol: Protocol) -> PlanLine:
    return PlanLine(
        space=request.space.name,
        plan=plan.name,
        seed=plan.seed,
        cells=plan.cells,
        fit=plan.fit,
        held_out=plan.held_out,
        protocol=asdict(protocol),
        started_at=utc_now(),
        columns=request.columns,
        streams=request.streams,
    )


def record_plan(journal: Journal, line: PlanLine) -> None:
    """Appends `line`, with what the table holds already, unless the last plan said the same.

    A table that is continued loses nothing: cells that an earlier plan covered are still predicted,
    and measured columns that it had are still filled in.

    Raises:
        UserError: the earlier plan predicted cells of another space, which one model cannot do.
    """
    plans = of_kind(journal.lines, PlanLine)
    if plans:
        _check_space(journal, plans[-1], line)
        line = _continued(plans[-1], line)
    if not plans or replace(plans[-1], started_at=line.started_at) != line:
        journal.append(line)


def _check_space(journal: Journal, before: PlanLine, line: PlanLine) -> None:
    measured = len(before.fit) + len(before.held_out)
    if before.space != line.space and measured < len(before.cells):
        raise UserError(
            f"the table predicts cells of the space {before.space}, and they would be lost if it "
            f"went on with {line.space}",
            path=journal.path,
            hint="--out writes a table of its own, --fresh discards this one",
        )


def _continued(before: PlanLine, line: PlanLine) -> PlanLine:
    """`line`, with the cells and the columns of the plan `before`."""
    # The new plan's cells come first, so that its indices stay right.
    earlier = (cell for cell in before.cells if cell.space == line.space)
    cells = tuple(dict.fromkeys((*line.cells, *earlier)))
    columns = tuple(dict.fromkeys((*before.columns, *line.columns)))
    return replace(line, cells=cells, columns=columns)
