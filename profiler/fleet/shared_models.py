"""Models for several devices, made once: by the parent of the processes that measure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection

from compofa.common.closing import Closing
from compofa.common.errors import CompofaError, UserError
from compofa.profiler.fleet.job import FailedJob
from compofa.profiler.models.model_store import ModelFile, Models, ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.device import Device
from compofa.supernet.space import Space


@dataclass(frozen=True)
class ModelWanted:
    """A child process asks for the model of a cell."""

    cell: Cell


class ModelShop(Closing):
    """Makes the models that are ordered, one after another, and each of them once for all devices.

    Args:
        spaces: of the cells that are ordered.
    """

    def __init__(self, spaces: Iterable[Space]) -> None:
        self._spaces = tuple(spaces)
        self._stores: dict[tuple[str, str], ModelStore] = {}
        self._maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")

    def order(
        self, device: Device, cell: Cell, deliver: Callable[[ModelFile | FailedJob], None]
    ) -> None:
        """Makes the model of `cell` for `device` and hands it over, or why that cannot be."""
        self._maker.submit(self._make, device, cell, deliver)

    def _make(
        self, device: Device, cell: Cell, deliver: Callable[[ModelFile | FailedJob], None]
    ) -> None:
        kind = device.runtime, device.dtype
        try:
            if kind not in self._stores:
                self._stores[kind] = ModelStore(self._spaces, *kind)
            made: ModelFile | FailedJob = self._stores[kind].model(cell)
        except CompofaError as error:
            made = FailedJob(str(error), error.exit_code)
        deliver(made)

    def close(self) -> None:
        """See `Closing.close`; deletes the models."""
        self._maker.shutdown(wait=True, cancel_futures=True)
        for store in self._stores.values():
            store.close()


class OrderedModels(Models):
    """Models that a `ModelShop` at the other end of `connection` makes.

    Args:
        connection: answers come over it, and nothing else does.
        send: takes the orders there.
    """

    def __init__(self, connection: Connection, send: Callable[[ModelWanted], None]) -> None:
        self._connection, self._send = connection, send
        self._lock = threading.Lock()

    def model(self, cell: Cell) -> ModelFile:
        """See `Models.model`."""
        with self._lock:
            self._send(ModelWanted(cell))
            made: ModelFile | FailedJob = self._connection.recv()
        if isinstance(made, FailedJob):
            raise UserError(made.message)
        return made

    def close(self) -> None:
        """See `Closing.close`; the shop keeps its models."""
