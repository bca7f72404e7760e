"""Ways to reach a device: put files there, start the agent there, talk to it."""

from __future__ import annotations

from compofa.profiler.inventory import AnyDevice, LocalDevice
from compofa.profiler.transports.base import Channel, Transport
from compofa.profiler.transports.local import LocalTransport
from compofa.supernet.errors import UserError

__all__ = ["Channel", "Transport", "open_transport"]


def open_transport(device: AnyDevice) -> Transport:
    """The transport that `device` asks for.

    Raises:
        UserError: this version cannot reach such a device.
    """
    if isinstance(device, LocalDevice):
        return LocalTransport(device)
    raise UserError(f"{device.name}: this version cannot reach devices over {device.transport} yet")
