"""One session: a fresh agent process that loads the models of many cells and times them.

Most of the noise is between sessions, so a session spends little time on each cell and visits
many. Between cells it times the reference model again, by which drift is corrected.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from compofa.common.console import without_homes
from compofa.common.errors import DeviceError
from compofa.profiler.measurement.device_monitor import DeviceMonitor
from compofa.profiler.measurement.stopwatch import INPUT_SEED, Stopwatch, Timed, run_deadline
from compofa.profiler.models.model_store import ModelFile, UnusableModel
from compofa.profiler.models.prefetch import ModelPrefetcher
from compofa.profiler.results.journal import Failure, JournalLine, SessionLine, Timing, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Hello, Loaded
from compofa.profiler.transports.base import LinkLost, Lost
from compofa.profiler.transports.device import Device


class SessionLost(Lost):
    """The agent died, went silent or gave a senseless answer while it worked on a cell."""


@dataclass
class Session:
    """A session that is running.

    Attributes:
        record: writes a line to the journal, and returns once it is on the disk.
        begin_cell: is told which cell comes next, to show progress.
        out_of_time: is asked before each cell; when it returns true, the session ends early.
        hello: what the agent answered in the handshake.
        monitor: pauses between cells while the device is disturbed.
        prefetcher: makes the models, the next one while this one loads and warms up.
        looks: the warm-up that long looks in earlier sessions found, see `Stopwatch`; those of this
            session are added.
        died_before: cells on which an agent has died before: a second time is final.
    """

    number: int
    link: AgentLink
    hello: Hello
    device: Device
    protocol: Protocol
    record: Callable[[JournalLine], None]
    begin_cell: Callable[[Cell], None]
    out_of_time: Callable[[], bool]
    monitor: DeviceMonitor
    prefetcher: ModelPrefetcher
    looks: list[float]
    died_before: frozenset[Cell] = frozenset()

    def run(self, cells: Sequence[Cell], reference: Cell) -> None:
        """Measures `cells` in their order, the reference model before, between and after them.

        Raises:
            Lost: the agent died or the connection broke; what was measured before is recorded.
            DeviceError: the device cannot measure at all, for example without the runtime.
        """
        self._begun = time.monotonic()
        self._stopwatch = Stopwatch(self.link, self.protocol, self.prefetcher.wait, self.looks)
        hello = self.hello
        self.record(
            SessionLine(self.number, utc_now(), hello.pid, hello.facts, hello.state, hello.affinity)
        )
        steady = self.prefetcher.get(reference)
        loaded, state = self._begin(steady)
        # It was loaded once: repeating that in each line would count the load many times.
        again = replace(loaded, load_ns=0, first_ns=0, settings={})
        for cell, following in itertools.zip_longest(cells, cells[1:]):
            if self.out_of_time():
                break
            pause = self.monitor.settle(self.number, state, self.link.state)
            if pause is not None:
                self.record(pause)
            self.begin_cell(cell)
            model = self._model(cell)
            if following is not None:
                self.prefetcher.start(following)
            if model is None:
                continue
            self._measure(cell, model)
            state = self._time_reference(again, steady, self._stopwatch.time_reference)
        self.link.quit()

    def _begin(self, steady: ModelFile) -> tuple[Loaded, dict[str, Any]]:
        """Loads the reference model, and finds out how it warms up if that is not known yet."""
        loaded = self._load(steady)
        if self._invoked or self.looks:
            return loaded, self._time_reference(loaded, steady, self._stopwatch.begin)
        loads = [loaded]

        def load() -> int:
            if self._stopwatch.looks:
                self.link.unload(loads[-1].handle)
                loads.append(self._load(steady))
            return loads[-1].handle

        with self._reference_faults():
            looks = self._stopwatch.look(load)
        for one, timed in zip(loads, looks, strict=False):
            self._record(one, None, steady, timed)
        if not looks:
            return loads[-1], self._time_reference(loads[-1], steady, self._stopwatch.begin)
        return loads[-1], looks[-1].state

    def _model(self, cell: Cell) -> ModelFile | None:
        """The model of `cell`, on the device; None, and a failed cell, if it is not to be had."""
        try:
            return self.prefetcher.get(cell)
        except UnusableModel as error:
            self._fail(cell, "", error.message, final=True)
            return None

    def _measure(self, cell: Cell, model: ModelFile) -> None:
        try:
            loaded = self._load(model)
            self._time(loaded, cell, model)
            self.link.unload(loaded.handle)
        except AgentError as error:
            reason = self._reason(model, error)
            if reason is None:
                raise
            self._fail(cell, model.sha256, reason, final=True)
        except LinkLost:
            raise  # the connection broke, which is not the cell's fault
        except DeviceError as error:
            self._fail(cell, model.sha256, error.message, final=cell in self.died_before)
            raise SessionLost(f"{cell.subnet}: {error.message}") from None

    @staticmethod
    def _reason(model: ModelFile, error: AgentError) -> str | None:
        """Why the model is to blame for what the agent refused; None where it is not."""
        if error.kind in ("model", "memory"):
            return error.message
        try:
            model.check_unchanged()
        except UnusableModel as changed:
            return changed.message
        return None

    def _fail(self, cell: Cell, model_sha256: str, reason: str, final: bool) -> None:
        # Journals and meta files are shared; whose home folder it was is nobody's business.
        reason = without_homes(reason)
        self.record(Failure(self.number, cell, reason, final, model_sha256, utc_now()))

    def _load(self, model: ModelFile) -> Loaded:
        """Loads `model` and checks what it computes."""
        device = self.device
        loaded = self.link.load(
            model.uploads[0][1], device.runtime, device.load_options(), given=model.given
        )
        # A program that is called may not tell what a model computes.
        if device.spec.invoked and not (loaded.output or loaded.outputs):
            return loaded
        wrong = model.complaint(loaded, self.protocol.tolerance)
        if wrong is not None:
            self.link.unload(loaded.handle)
            raise AgentError("model", wrong)
        return loaded

    def _time(self, loaded: Loaded, cell: Cell, model: ModelFile) -> None:
        """Warms the model of `cell` up, times it, and records both."""
        if self._invoked:
            self._record(loaded, cell, model, self._invoke(loaded.handle))
        else:
            self._record(loaded, cell, model, self._stopwatch.time_cell(loaded.handle))

    def _time_reference(
        self, loaded: Loaded, model: ModelFile, timing: Callable[[int], Timed]
    ) -> dict[str, Any]:
        """Times the reference model and records it; returns the device's state after it."""
        with self._reference_faults():
            timed = (self._invoke if self._invoked else timing)(loaded.handle)
        self._record(loaded, None, model, timed)
        return timed.state

    @contextmanager
    def _reference_faults(self) -> Iterator[None]:
        """Makes a failure of the reference model one of the session, not of the whole profile."""
        try:
            yield
        except (AgentError, Lost):
            raise
        except DeviceError as error:
            raise SessionLost(f"the reference model: {error.message}") from None

    @property
    def _invoked(self) -> bool:
        return self.device.spec.invoked

    def _invoke(self, handle: int) -> Timed:
        """One call of a program that warms up and repeats by itself."""
        self.prefetcher.wait()
        ns, state = self.link.run(handle, 1, INPUT_SEED, run_deadline(math.inf, 1))
        return Timed((), ns, state)

    def _record(self, loaded: Loaded, cell: Cell | None, model: ModelFile, timed: Timed) -> None:
        self.record(
            Timing(
                session=self.number,
                cell=cell,
                model_sha256=model.sha256,
                at_s=time.monotonic() - self._begun,
                load_ns=loaded.load_ns,
                first_ns=loaded.first_ns,
                warmup_ns=timed.warmup_ns,
                ns=timed.ns,
                state=timed.state,
                measured_at=utc_now(),
                settings=loaded.settings,
                warm=timed.warm,
            )
        )
