"""Devices reached over SSH."""

from __future__ import annotations

from compofa.profiler.transports.base import Transport
from compofa.profiler.transports.registry import TransportSpec
from compofa.profiler.transports.ssh.ssh_device import SshDevice


def _open(device: SshDevice) -> Transport:
    # paramiko takes a third of a second to import, and listing devices does without it.
    from compofa.profiler.transports.ssh.ssh_transport import SshTransport

    return SshTransport(device)


TRANSPORT = TransportSpec(SshDevice, _open)
