"""A device opened for measuring: the only place that puts together what a measurement needs.

That is the transport to the device, the models for it, the lease that keeps other profilers off it,
and the handshake. `Sessions.begin` adds the journal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compofa.profiler.measurement.device_lease import DeviceLease
from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.profiler.measurement.handshake import REFERENCE, header, shake_hands
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.models.model_store import Models, ModelStore
from compofa.profiler.results.journal import Header
from compofa.profiler.transports import Transport, open_transport
from compofa.profiler.transports.agent_client import Hello
from compofa.profiler.transports.device import Device
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES


@dataclass(frozen=True)
class TimeLimits:
    """How long a measurement may take.

    Attributes:
        until: in terms of `time.monotonic`, when to stop in any case.
        patience_s: the longest pause on a disturbed device, see `DeviceMonitor`.
    """

    until: float = math.inf
    patience_s: float = PATIENCE_S


@dataclass(frozen=True)
class DeviceAccess:
    """A device that has answered the handshake; made by `open_device`.

    Attributes:
        hello: what it answered.
        listener: is told about the progress.
    """

    device: Device
    transport: Transport
    models: Models
    lease: DeviceLease
    hello: Hello
    listener: Listener
    limits: TimeLimits

    @property
    def header(self) -> Header:
        """What a journal of this device begins with."""
        return header(self.device, self.hello)


@contextmanager
def open_device(
    device: Device,
    models: Models,
    listener: Listener,
    *,
    limits: TimeLimits | None = None,
    transport: Transport | None = None,
) -> Iterator[DeviceAccess]:
    """Opens a device for measuring; at the end the models and the transport are closed.

    Args:
        device: its settings are checked first.
        models: of the cells that will be measured, and of the reference model; see `models_for`.
        listener: is told who holds the device, while this waits for it.
        limits: none if left out.
        transport: the way to the device; if left out, the one that the device names.

    Raises:
        UserError: the device's settings do not go together, or a package is missing here.
        DeviceError: the device cannot be reached, lacks the runtime, or is in use by another.
    """
    limits = limits or TimeLimits()
    with models:
        device.check_settings()
        with transport or open_transport(device) as way:
            lease = DeviceLease(device, listener.note, limits.until)
            hello = shake_hands(device, way, lease, models)
            yield DeviceAccess(device, way, models, lease, hello, listener, limits)


def models_for(device: Device, *spaces: Space, keep: Path | None = None) -> ModelStore:
    """Models for a device: of cells of `spaces`, and the reference model.

    Args:
        device: says for which runtime and dtype they are.
        spaces: of the cells that will be measured.
        keep: a folder where each model stays, named by its hash; none is kept if left out.
    """
    known = SPACES[REFERENCE.space], *spaces
    return ModelStore(known, device.runtime, device.dtype, keep=keep)
