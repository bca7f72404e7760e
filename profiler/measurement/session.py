"""One session: a fresh agent process that loads the models of many cells and times them.

Noise lives between sessions, so a session spends little time on a cell and visits many. Between
cells it times the reference model again, against which drift is corrected.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compofa.common.errors import DeviceError
from compofa.profiler.measurement.device_monitor import DeviceMonitor
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.models.prefetch import ModelPrefetcher
from compofa.profiler.results.journal import Failure, JournalLine, SessionLine, Timing, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Hello, Loaded
from compofa.profiler.transports.base import LinkLost, Lost
from compofa.profiler.transports.device import Device

WARM = 0.98
"""A model is warm once a chunk of runs is not faster than this share of the chunk before."""

INPUT_SEED = 1
"""Of the input that is timed; the one that is checked has seed 0."""


class SessionLost(Lost):
    """The agent died, went silent or talked nonsense while it worked on a cell."""


@dataclass
class Session:
    """A session under way.

    Attributes:
        record: takes each line as soon as it is known; it returns once the line is on the disk.
        begin_cell: told which cell comes next, for progress.
        out_of_time: asked before each cell; when it says so, the session ends early.
        hello: what the agent answered in the handshake.
        monitor: pauses between cells while the device is disturbed.
        prefetcher: makes the models, the next one while this one loads and warms up.
        died_before: cells on which an agent has died already: the second time is final.
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
    died_before: frozenset[Cell] = frozenset()

    def run(self, cells: Sequence[Cell], reference: Cell) -> None:
        """Measures `cells` in their order, the reference model before, between and after them.

        Raises:
            Lost: the agent died or the line broke; what was measured before is recorded.
            DeviceError: the device cannot measure at all: no such runtime, for one.
        """
        self._begun = time.monotonic()
        hello = self.hello
        self.record(
            SessionLine(self.number, utc_now(), hello.pid, hello.facts, hello.state, hello.affinity)
        )
        steady = self.prefetcher.get(reference)
        loaded = self._load(steady)
        state = self._time(loaded, None, steady)
        again = replace(loaded, load_ns=0, settings={})
        for cell, following in itertools.zip_longest(cells, cells[1:]):
            if self.out_of_time():
                break
            pause = self.monitor.settle(self.number, state, self.link.state)
            if pause is not None:
                self.record(pause)
            self.begin_cell(cell)
            model = self.prefetcher.get(cell)
            if following is not None:
                self.prefetcher.start(following)
            self._measure(cell, model)
            state = self._time(again, None, steady)
        self.link.quit()

    def _measure(self, cell: Cell, model: ModelFile) -> None:
        try:
            loaded = self._load(model)
            self._time(loaded, cell, model)
            self.link.unload(loaded.handle)
        except AgentError as error:
            if error.kind not in ("model", "memory"):
                raise
            self._fail(cell, model, error.message, final=True)
        except LinkLost:
            raise  # whatever the cell was
        except DeviceError as error:
            self._fail(cell, model, error.message, final=cell in self.died_before)
            raise SessionLost(f"{cell.subnet}: {error.message}") from None

    def _fail(self, cell: Cell, model: ModelFile, reason: str, final: bool) -> None:
        self.record(Failure(self.number, cell, reason, final, model.sha256, utc_now()))

    def _load(self, model: ModelFile) -> Loaded:
        """Loads `model` and checks what it computes."""
        loaded = self.link.load(model.sha256, self.device.runtime, self.device.load_options())
        if not loaded.output and self.device.spec.invoked:
            return loaded
        wrong = model.mismatch(loaded.output, loaded.output_size, self.protocol.tolerance)
        if wrong is not None:
            self.link.unload(loaded.handle)
            raise AgentError("model", f"it computes something else than on the host: {wrong}")
        return loaded

    def _time(self, loaded: Loaded, cell: Cell | None, model: ModelFile) -> dict[str, Any]:
        """Warms the model up, times it, and records both; returns the device's state after it."""
        warmup: tuple[int, ...] = ()
        usual, runs = math.inf, 1
        if not self.device.spec.invoked:
            warmup = self._warm_up(loaded.handle)
            usual = statistics.median(warmup[-self.protocol.warmup_chunk :])
            runs = self.protocol.reference_runs if cell is None else self.protocol.runs_for(usual)
        self.prefetcher.wait()
        ns, state = self.link.run(loaded.handle, runs, INPUT_SEED, _deadline(usual, runs))
        self.record(
            Timing(
                session=self.number,
                cell=cell,
                model_sha256=model.sha256,
                at_s=time.monotonic() - self._begun,
                load_ns=loaded.load_ns,
                warmup_ns=warmup,
                ns=ns,
                state=state,
                measured_at=utc_now(),
                settings=loaded.settings,
            )
        )
        return state

    def _warm_up(self, handle: int) -> tuple[int, ...]:
        """Runs until a chunk of runs is no faster than the one before; all runs there were."""
        chunk = self.protocol.warmup_chunk
        begun = time.monotonic()
        runs: tuple[int, ...] = ()
        before = math.inf
        while True:
            ns, _ = self.link.run(handle, chunk, INPUT_SEED, _deadline(before, chunk))
            runs += ns
            now = statistics.median(ns)
            if now >= WARM * before or time.monotonic() - begun > self.protocol.warmup_s:
                return runs
            before = now


def _deadline(run_ns: float, runs: int) -> float:
    """Seconds to allow `runs` runs that usually take `run_ns`: far more than any ordinary noise."""
    usual = 0.0 if run_ns == math.inf else run_ns * 1e-9 * runs
    return 120.0 + 20 * usual
