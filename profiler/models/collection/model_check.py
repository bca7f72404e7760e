"""Whether a device can run a user's model files and computes what it should, before any timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compofa.common.errors import DeviceError
from compofa.profiler.models.collection.read_collection import ReadCollection
from compofa.profiler.models.collection.user_model_store import UserModelStore
from compofa.profiler.models.model_store import ModelFile, UnusableModel
from compofa.profiler.models.prefetch import ModelPrefetcher
from compofa.profiler.results.table import Cell
from compofa.profiler.transports import Transport
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.device import Device


@dataclass(frozen=True)
class CheckedModel:
    """What came of one model.

    Attributes:
        load_ms: None where it could not be loaded, or computed something else.
        problem: why it cannot be measured; None where it can.
        unchecked: why its outputs were compared with nothing; None where they were.
    """

    cell: Cell
    load_ms: float | None
    problem: str | None
    unchecked: str | None = None


Greet = Callable[[AgentLink], object]
"""Says hello to a fresh agent, with the threads and CPUs that the device's settings name."""


def check_models(
    device: Device, transport: Transport, greet: Greet, read: ReadCollection, store: UserModelStore
) -> Iterator[CheckedModel]:
    """Loads each model in a process of its own, runs it once, and compares what it computes.

    Args:
        device: on which.
        transport: the way to it.
        greet: begins with each process.
        read: the models.
        store: hands them out.

    Raises:
        LinkLost: the connection broke.
    """
    for failure in read.failures:
        yield CheckedModel(failure.cell, None, failure.reason)
    with ModelPrefetcher(store, transport) as prefetcher:
        for cell in read.cells:
            load_ms = problem = None
            try:
                model = prefetcher.get(cell)
                load_ms, problem = _checked(device, transport, greet, model)
            except UnusableModel as error:
                problem = error.message
            unchecked = store.unchecked.get(cell.subnet)
            yield CheckedModel(cell, load_ms, problem, unchecked)


def _checked(
    device: Device, transport: Transport, greet: Greet, model: ModelFile
) -> tuple[float | None, str | None]:
    try:
        with transport.start_agent() as channel:
            link = AgentLink(channel)
            greet(link)
            digest = model.uploads[0][1]
            loaded = link.load(digest, device.runtime, device.load_options(), given=model.given)
            problem = model.complaint(loaded)
            link.quit()
    except LinkLost:
        raise
    except DeviceError as error:
        return None, error.message
    return (None if problem else loaded.load_ns / 1e6), problem
