"""Ways to reach a device: put files there, start the agent there, talk to it."""

from __future__ import annotations

from compofa.profiler.inventory import AdbDevice, AnyDevice, LocalDevice
from compofa.profiler.transports.base import Channel, Transport
from compofa.profiler.transports.local import LocalTransport

__all__ = ["Channel", "Transport", "open_transport"]


def open_transport(device: AnyDevice) -> Transport:
    """The transport that `device` asks for; it connects when it is first used."""
    if isinstance(device, LocalDevice):
        return LocalTransport(device)
    if isinstance(device, AdbDevice):
        from compofa.profiler.transports.adb.adb_transport import AdbTransport

        return AdbTransport(device)
    from compofa.profiler.transports.ssh.ssh_transport import SshTransport

    return SshTransport(device)
