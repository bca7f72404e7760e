"""Models for a session: the next one is made while the current one loads and warms up.

Making a model takes a core of the host and much of its memory's bandwidth. So it never happens
while runs are timed: a session waits for the model under way before it times anything. Where this
computer is the device and has CPUs to spare, models are made on those.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from compofa.common.closing import Closing
from compofa.common.errors import DeviceError
from compofa.profiler.models.model_store import ModelFile, Models
from compofa.profiler.results.table import Cell
from compofa.profiler.transports import Transport
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.device import Device


def spare_cpus(device: Device, measured: Collection[int] | None) -> frozenset[int] | None:
    """The CPUs of this computer that are not measured on, if `device` is this computer.

    Args:
        device: what is measured.
        measured: the CPUs its agent is bound to; None where it is bound to none.

    Returns:
        None where any CPU will do, or where there is none to spare.
    """
    if not device.on_this_computer or measured is None:
        return None
    return frozenset(os.sched_getaffinity(0)) - frozenset(measured) or None


class ModelPrefetcher(Closing):
    """Provides models on the device, and makes at most one ahead of its use.

    Args:
        store: makes the models.
        transport: the way to the device, on which they are put.
        cpus: what models are made on; None leaves it to the system.
    """

    def __init__(
        self, store: Models, transport: Transport, cpus: Collection[int] | None = None
    ) -> None:
        self._store, self._transport = store, transport
        self._pool = ThreadPoolExecutor(
            max_workers=1,
            thread_name_prefix="models",
            # Of the thread that calls it, not of the whole process.
            initializer=None if cpus is None else partial(os.sched_setaffinity, 0, cpus),
        )
        self._ahead: tuple[Cell, Future[ModelFile]] | None = None

    def start(self, cell: Cell) -> None:
        """Begins to make the model of `cell` in the background."""
        self._ahead = cell, self._pool.submit(self._make, cell)

    def wait(self) -> None:
        """Returns once no model is being made; `get` raises what went wrong."""
        if self._ahead is not None:
            self._ahead[1].exception()

    def get(self, cell: Cell) -> ModelFile:
        """The model of `cell`, on the device.

        Raises:
            UnusableModel: this one cannot be measured.
            UserError: it cannot be made, as on a full disk.
            DeviceError: it could not be put on the device.
        """
        if self._ahead is not None and self._ahead[0] == cell:
            return self._ahead[1].result()
        return self._pool.submit(self._make, cell).result()

    def _make(self, cell: Cell) -> ModelFile:
        model = self._store.model(cell)
        model.check_unchanged()
        for path, digest in model.uploads:
            try:
                self._transport.put(path, digest)
            except LinkLost:
                raise
            except DeviceError:
                model.check_unchanged()  # if not, that is why it arrived as something else
                raise
        return model

    def close(self) -> None:
        """See `Closing.close`."""
        self._pool.shutdown(wait=True, cancel_futures=True)
