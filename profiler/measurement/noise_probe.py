"""A quick look at how steady a device is now: it times the reference model for a second or two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.measurement.stopwatch import INPUT_SEED
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.statistics.runs.location import condense
from compofa.profiler.transports.agent_client import AgentLink

PROCESSES, CHUNKS, RUNS, WARM_UP = 3, 4, 15, 20
ALL_RUNS = PROCESSES * (WARM_UP + CHUNKS * RUNS)

STEADY = 0.01
"""Scatter up to which a set-up is called steady: the fewest sessions are then enough for ±2 %."""

INTERRUPTED = 1.25
"""A run that takes this many times the median was interrupted by something else."""


@dataclass(frozen=True)
class Quietness:
    """How steady runs of one model are in a few fresh processes.

    Attributes:
        latency_ms: of the reference model.
        scatter: relative standard deviation between chunks of runs of one process.
        interrupted: the share of runs that something else interrupted.
        between: largest over smallest latency of the processes, less one: three of them show
            whether sessions differ much, not by how much.
    """

    latency_ms: float
    scatter: float
    interrupted: float
    between: float = 0.0

    @property
    def complaints(self) -> list[str]:
        """What is wrong with it, and what to do; empty if nothing is."""
        problems = []
        if self.scatter > STEADY:
            problems.append(
                f"unsteady: the reference model's latency scatters by {self.scatter:.1%} within "
                "one process; stop other programs, or bind the agent to CPUs of its own (cpus)"
            )
        if self.between > 2 * STEADY:
            problems.append(
                f"unsteady: fresh processes differ by {self.between:.1%}, so more sessions will be "
                "needed; `compofa-profile selftest` says how small a change this device shows"
            )
        if self.interrupted > 0.1:
            problems.append(
                f"{self.interrupted:.0%} of runs were interrupted; something else uses these CPUs"
            )
        return problems


def probe(access: DeviceAccess) -> Quietness:
    """Times the reference model in a few fresh processes.

    Raises:
        DeviceError: the device cannot load or run it, or is in use by another.
    """
    model = access.models.model(REFERENCE)
    access.transport.put(model.path, model.sha256)
    processes = [_chunks(access, model) for _ in range(PROCESSES)]
    condensed = np.log([[condense(chunk) for chunk in chunks] for chunks in processes])
    runs = np.array(
        [ns for chunks in processes for chunk in chunks for ns in chunk], dtype=np.float64
    )
    levels = np.median(condensed, axis=1)
    return Quietness(
        latency_ms=math.exp(float(np.median(condensed))) / 1e6,
        scatter=math.sqrt(float(condensed.var(axis=1, ddof=1).mean())),
        interrupted=float((runs > INTERRUPTED * np.median(runs)).mean()),
        between=math.expm1(float(np.ptp(levels))),
    )


def _chunks(access: DeviceAccess, model: ModelFile) -> list[tuple[int, ...]]:
    """Nanoseconds of the runs of one process, chunk by chunk."""
    device = access.device
    with access.transport.start_agent() as channel:
        link = AgentLink(channel)
        access.lease.hello(link)
        handle = link.load(model.sha256, device.runtime, device.load_options()).handle
        # A program that is called for each run warms up and repeats by itself.
        length = 1 if device.spec.invoked else RUNS
        if length > 1:
            link.run(handle, WARM_UP, INPUT_SEED, 120)
        chunks = [link.run(handle, length, INPUT_SEED, 120)[0] for _ in range(CHUNKS)]
        link.quit()
    return chunks
