"""A profile of one device: plan, measure session by session, fit, predict, write the table."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from compofa.profiler.agent_link import AgentError, AgentLink, Hello
from compofa.profiler.analysis import Analysis, analyse, corrected_line
from compofa.profiler.inventory import AnyDevice
from compofa.profiler.journal import (
    Failure,
    Header,
    Journal,
    PlanLine,
    SessionLine,
    of_kind,
    utc_now,
)
from compofa.profiler.models import ModelStore
from compofa.profiler.plan import Plan, make_plan
from compofa.profiler.progress import Display
from compofa.profiler.protocol import Protocol
from compofa.profiler.session import Session, SessionLost
from compofa.profiler.statistics.steps import slowdown
from compofa.profiler.supply import Supply, spare_cpus
from compofa.profiler.table import Cell, SetUp
from compofa.profiler.tabulate import Tabulated, journal_path, write_tables
from compofa.profiler.transports import Transport, open_transport
from compofa.profiler.watch import PATIENCE_S, Watch
from compofa.supernet.errors import DeviceError, OutOfTime
from compofa.supernet.space import SPACES, Space

REFERENCE = Cell("compofa", "d22222", 160, 1)
"""The reference model: the smallest subnet of the default space, whatever space is measured."""

LOST_IN_A_ROW = 3
"""After so many sessions that brought nothing, the device is given up."""


@dataclass(frozen=True)
class Request:
    """What to profile and where to write it.

    Attributes:
        out: the table; the journal and the meta file go beside it.
        measure: the plan, see `make_plan`.
        fresh: whether to discard an earlier journal instead of going on with it.
    """

    space: Space
    resolutions: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    out: Path
    measure: int | Literal["auto", "full"] = "auto"
    protocol: Protocol = field(default_factory=Protocol)
    seed: int = 0
    fresh: bool = False


@dataclass(frozen=True)
class Outcome:
    """A finished profile; `out_of_time` where the budget ended it."""

    written: Tabulated
    seconds: float
    out_of_time: bool


def profile(
    device: AnyDevice,
    request: Request,
    display: Display,
    *,
    plan: Plan | None = None,
    transport: Transport | None = None,
    models: ModelStore | None = None,
    patience_s: float = PATIENCE_S,
) -> Outcome:
    """Measures what `request` asks for and writes the table, its meta file and its journal.

    Ctrl-C or a crash at any moment loses at most the cell under way: the same request goes on from
    the journal.

    Args:
        device: what to measure.
        request: what to measure there.
        display: shows how far it is.
        plan: the cells; those that the request's `measure` chooses if left out.
        transport: the way to the device; what the device asks for if left out.
        models: where models come from; of the request's space if left out.
        patience_s: the longest pause on a disturbed device, see `Watch`.

    Raises:
        UserError: the journal is of another set-up, the disk is full, and so on.
        DeviceError: the device cannot be reached, or lacks the runtime.
    """
    begun = time.monotonic()
    space = request.space
    plan = plan or make_plan(
        space, request.resolutions, request.batch_sizes, request.measure, request.seed
    )
    with transport or open_transport(device) as way:
        hello = greet(device, way)
        header = Header(_setup(device, hello), fingerprint(device, hello))
        with (
            Journal.open(journal_path(request.out), header, fresh=request.fresh) as journal,
            models or ModelStore((SPACES[REFERENCE.space], space)) as store,
        ):
            _record_plan(journal, _plan_line(space, plan, request.protocol))
            measuring = _Measuring(
                device, hello, request.protocol, way, journal, store, display, patience_s
            )
            out_of_time = measuring.run(plan, begun, request.seed)
            written = write_tables(request.out, space, header, journal.lines)
    return Outcome(written, time.monotonic() - begun, out_of_time)


def greet(device: AnyDevice, transport: Transport) -> Hello:
    """Starts an agent to ask what the device is and has, and ends it again.

    Raises:
        DeviceError: it cannot be reached, or does not have the device's runtime.
    """
    with transport.start_agent() as channel:
        link = AgentLink(channel)
        hello = link.hello(device.threads, device.cpus)
        link.quit()
    if device.runtime not in hello.runtimes:
        found = ", ".join(hello.runtimes) or "none"
        raise DeviceError(
            f"{device.name} does not have the runtime {device.runtime}: its Python "
            f"{hello.facts.get('python')} has {found}",
            hint=f"install it there, for example with pip install {device.runtime}",
        )
    return hello


def fingerprint(device: AnyDevice, hello: Hello) -> dict[str, object]:
    """The facts that tell one device, and one state of its software, from another."""
    names = ("system", "machine", "os", "kernel", "cpu", "board", "cpus", "governor")
    found: dict[str, object] = {name: hello.facts.get(name) for name in names}
    found["runtime_sha256"] = hello.runtime_hashes[device.runtime]
    found["serial_sha256"] = hello.facts.get("serial_sha256")
    found["affinity"] = None if hello.affinity is None else list(hello.affinity)
    return found


@dataclass
class _Measuring:
    """Sessions on one device until every cell has converged, failed, or had its share."""

    device: AnyDevice
    hello: Hello
    protocol: Protocol
    transport: Transport
    journal: Journal
    models: ModelStore
    display: Display
    patience_s: float

    def __post_init__(self) -> None:
        self._watch = Watch(
            self.display.note, out_of_time=self._out_of_time, patience_s=self.patience_s
        )

    def run(self, plan: Plan, begun: float, seed: int) -> bool:
        """Measures the plan; returns whether time ran out first."""
        self._until = begun + (self.protocol.max_time_s or math.inf)
        lost = 0
        number = max((s.session for s in of_kind(self.journal.lines, SessionLine)), default=0)
        while pending := self._pending(plan):
            if self._out_of_time():
                if not self._measured():
                    raise OutOfTime(f"{self.device.name}: no time was left to measure a cell")
                return True
            number += 1
            # Seeded by the session too, so that a resumed profile does not repeat an order.
            rng = np.random.default_rng((seed, number))
            order = [pending[i] for i in rng.permutation(len(pending))]
            measured_before = self._measured()
            try:
                self._session(number, order)
            except SessionLost as error:
                self.display.note(f"session {number} was lost: {error.message}")
            lost = lost + 1 if self._measured() == measured_before else 0
            if lost == LOST_IN_A_ROW:
                raise DeviceError(f"{self.device.name}: {lost} sessions in a row measured nothing")
        return False

    def _session(self, number: int, order: list[Cell]) -> None:
        analysis = self._analysis()
        expected = max(analysis.sessions_left(cell, self.protocol) for cell in order)
        self.display.session(number, expected, len(order))
        spare = spare_cpus(self.device, self.hello.affinity)
        with (
            Supply(self.models, self.transport, spare) as supply,
            self.transport.start_agent() as channel,
        ):
            session = Session(
                number=number,
                link=AgentLink(channel),
                device=self.device,
                protocol=self.protocol,
                record=self.journal.append,
                begin_cell=lambda cell: self.display.cell(cell, analysis.estimate(cell)),
                out_of_time=self._out_of_time,
                watch=self._watch,
                supply=supply,
                died_before=analysis.died,
            )
            try:
                session.run(order, REFERENCE)
            except AgentError as error:
                raise DeviceError(f"{self.device.name}: {error.message}") from None
        self.journal.append(corrected_line(self.journal.lines, number))
        slower = slowdown(self._analysis().reference_ms)
        if slower is not None:
            self.display.note(
                f"the reference model is {slower.ratio - 1:.1%} slower since session "
                f"{slower.start + 1}: throttling, or a busy host; latencies are corrected for it"
            )
        for failure in of_kind(self.journal.lines, Failure):
            if failure.session == number:
                cell = failure.cell
                self.display.note(f"{cell.subnet} at {cell.resolution}: {failure.reason}")

    def _pending(self, plan: Plan) -> list[Cell]:
        analysis = self._analysis()
        return [cell for cell in plan.measured if not analysis.settled(cell, self.protocol)]

    def _analysis(self) -> Analysis:
        return analyse(self.journal.lines, self.protocol.confidence)

    def _measured(self) -> int:
        return sum(result.n_sessions for result in self._analysis().results.values())

    def _out_of_time(self) -> bool:
        return time.monotonic() > self._until


def _setup(device: AnyDevice, hello: Hello) -> SetUp:
    return SetUp(
        device=device.name,
        runtime=device.runtime,
        runtime_version=hello.runtimes[device.runtime],
        accelerator=device.accelerator,
        threads=device.threads,
        dtype=device.dtype,
    )


def _plan_line(space: Space, plan: Plan, protocol: Protocol) -> PlanLine:
    return PlanLine(
        space=space.name,
        plan=plan.name,
        seed=plan.seed,
        cells=plan.cells,
        fit=plan.fit,
        held_out=plan.held_out,
        protocol=asdict(protocol),
        started_at=utc_now(),
    )


def _record_plan(journal: Journal, line: PlanLine) -> None:
    """Appends `line` unless it says what the last plan said."""
    plans = of_kind(journal.lines, PlanLine)
    if not plans or replace(plans[-1], started_at=line.started_at) != line:
        journal.append(line)
