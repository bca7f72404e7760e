"""The memory pass: what a model adds to a process at its highest, by the kernel's count.

A fresh process for each cell: what an earlier model has left would be used again, and not counted.
"""

from __future__ import annotations

from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.transports.agent_client import AgentLink

RUNS = 3
"""Of the model; after the first nothing more is allocated."""


def peak_memory(access: DeviceAccess, model: ModelFile) -> dict[str, float]:
    """Millions of bytes of a process with the runtime alone, and at the highest with `model`.

    Raises:
        DeviceError: see `AgentLink.memory`.
    """
    device = access.device
    with access.transport.start_agent() as channel:
        link = AgentLink(channel)
        access.lease.hello(link)
        name, options = model.uploads[0][1], device.load_options()
        base, peak = link.memory(name, device.runtime, options, RUNS, model.given)
        link.quit()
    return {"base_mb": base / 1e6, "peak_mb": peak / 1e6}
