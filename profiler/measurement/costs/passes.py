"""Passes over the cells that count what timing would be disturbed by: memory, throughput, energy.

A pass visits every cell once, in random order. Each count is in the journal before the next one
starts, and the same command goes on where it stopped.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from compofa.common.console import without_homes
from compofa.common.errors import DeviceError, UserError
from compofa.profiler.measurement.costs.memory import peak_memory
from compofa.profiler.measurement.costs.throughput import throughput
from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.models.model_store import ModelFile, UnusableModel
from compofa.profiler.models.prefetch import ModelPrefetcher, spare_cpus
from compofa.profiler.results.journal import Cost, Journal, of_kind, utc_now
from compofa.profiler.results.model_lines import lines_that_count
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import COST_PASSES
from compofa.profiler.transports.agent_client import AgentError
from compofa.profiler.transports.base import AgentLost, LinkLost
from compofa.profiler.transports.device import Device

LOST_IN_A_ROW = 3
"""Lines to the device that broke one after another, before it is given up."""


class _CannotCount(Exception):
    """This device does not count what the pass is about, whatever the cell."""


def check_passes(device: Device, kinds: Sequence[str]) -> None:
    """Refuses passes that the device's runtime cannot be taken through.

    Raises:
        UserError: names the measure.
    """
    if "throughput" in kinds and device.spec.invoked:
        raise UserError(
            f"{device.name}: {device.runtime} runs one model at a time, so there is no throughput "
            "of several workers",
            hint="leave throughput out of --measure, or take a runtime with an agent",
        )


@dataclass
class CostPasses:
    """The passes over some cells of a device.

    Attributes:
        seed: of the order of cells.
        streams: workers at once where throughput is counted.
    """

    access: DeviceAccess
    journal: Journal
    seed: int
    streams: int = 1
    _given_up: set[str] = field(default_factory=set, init=False)

    def run(self, kinds: Sequence[str], cells: Sequence[Cell]) -> bool:
        """Goes through all passes; returns whether time ran out first.

        Raises:
            DeviceError: the line to the device broke again and again, or it cannot run models.
        """
        for kind, number in itertools.product(kinds, range(1, COST_PASSES + 1)):
            left = [cell for cell in cells if self._done(kind, cell) < number]
            if not left:
                continue
            rng = np.random.default_rng((self.seed, number, len(kind)))
            order = [left[i] for i in rng.permutation(len(left))]
            self.access.listener.session(
                number, COST_PASSES - number + 1, len(left), f"{kind} pass"
            )
            try:
                if self._pass(kind, order):
                    return True
            except _CannotCount as why:
                self.access.listener.note(f"{kind} is not known: {why}")
                self._given_up.add(kind)
        return False

    def _done(self, kind: str, cell: Cell) -> int:
        if kind in self._given_up:
            return COST_PASSES
        return sum(
            line.kind_of_pass == kind
            and line.cell == cell
            and line.counted.get("streams", self.streams) == self.streams
            for line in of_kind(lines_that_count(self.journal.lines), Cost)
        )

    def _pass(self, kind: str, order: Sequence[Cell]) -> bool:
        access, lost = self.access, 0
        spare = spare_cpus(access.device, access.hello.affinity)
        with ModelPrefetcher(access.models, access.transport, spare) as prefetcher:
            for cell, following in itertools.zip_longest(order, order[1:]):
                if time.monotonic() > access.limits.until:
                    return True
                access.listener.cell(cell, None)
                try:
                    model = prefetcher.get(cell)
                except UnusableModel as error:
                    access.listener.note(f"{kind} of {cell.subnet}: {error.message}")
                    continue
                if following is not None:
                    prefetcher.start(following)
                    prefetcher.wait()
                try:
                    self.journal.append(self._count(kind, cell, model))
                    lost = 0
                except LinkLost as error:
                    lost += 1
                    access.listener.note(f"{cell.subnet}: {error.message}")
                    if lost == LOST_IN_A_ROW:
                        raise
        return False

    def _count(self, kind: str, cell: Cell, model: ModelFile) -> Cost:
        counters: dict[str, Callable[[], dict[str, float]]] = {
            "memory": lambda: peak_memory(self.access, model),
            "throughput": lambda: throughput(self.access, model, cell.batch_size, self.streams),
        }
        counted, problem = {}, ""
        try:
            counted = counters[kind]()
        except AgentError as error:
            if error.kind == "counter":
                raise _CannotCount(error.message) from None
            if error.kind not in ("model", "memory"):
                raise DeviceError(f"{self.access.device.name}: {error.message}") from None
            problem = error.message
        except AgentLost as error:
            problem = error.message
        if problem:
            problem = without_homes(problem)
            self.access.listener.note(f"{kind} of {cell.subnet} at {cell.resolution}: {problem}")
        return Cost(kind, cell, counted, problem, model.sha256, utc_now())
