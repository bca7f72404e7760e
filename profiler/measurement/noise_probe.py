"""A quick look at how steady a device is now: the reference model, timed for a second or two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.measurement.stopwatch import INPUT_SEED
from compofa.profiler.statistics.location import condense
from compofa.profiler.transports.agent_client import AgentLink

CHUNKS, RUNS, WARM_UP = 12, 15, 20
ALL_RUNS = WARM_UP + CHUNKS * RUNS

STEADY = 0.01
"""Scatter up to which a set-up is called steady: ±2 % then takes the fewest sessions there are."""

INTERRUPTED = 1.25
"""A run that takes so many times the median was interrupted by something else."""


@dataclass(frozen=True)
class Quietness:
    """How steady runs of one model in one process are.

    Attributes:
        latency_ms: of the reference model.
        scatter: standard deviation between chunks of runs, relative; sessions scatter more.
        interrupted: share of runs that something else got in the way of.
    """

    latency_ms: float
    scatter: float
    interrupted: float

    @property
    def complaints(self) -> list[str]:
        """What is wrong with it, and what to do; empty if nothing is."""
        found = []
        if self.scatter > STEADY:
            found.append(
                f"unsteady: the reference model's latency scatters by {self.scatter:.1%} within "
                "one process; stop other programs, or bind the agent to CPUs of its own (cpus)"
            )
        if self.interrupted > 0.1:
            found.append(
                f"{self.interrupted:.0%} of runs were interrupted; something else uses these CPUs"
            )
        return found


def probe(access: DeviceAccess) -> Quietness:
    """Times the reference model in one process.

    Raises:
        DeviceError: the device cannot load or run it, or is in use by another.
    """
    device, model = access.device, access.models.model(REFERENCE)
    access.transport.put(model.path, model.sha256)
    with access.transport.start_agent() as channel:
        link = AgentLink(channel)
        access.lease.hello(link)
        handle = link.load(model.sha256, device.runtime, device.load_options()).handle
        length = 1 if device.spec.invoked else RUNS
        if length > 1:
            link.run(handle, WARM_UP, INPUT_SEED, 120)
        chunks = [link.run(handle, length, INPUT_SEED, 120)[0] for _ in range(CHUNKS)]
        link.quit()
    condensed = np.array([condense(chunk) for chunk in chunks])
    runs = np.concatenate([np.array(chunk, dtype=np.float64) for chunk in chunks])
    return Quietness(
        latency_ms=float(np.median(condensed)) / 1e6,
        scatter=float(np.log(condensed).std(ddof=1)),
        interrupted=float((runs > INTERRUPTED * np.median(runs)).mean()),
    )
