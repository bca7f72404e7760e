"""Phones, reached over ADB."""

from __future__ import annotations

from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.base import Transport
from compofa.profiler.transports.registry import TransportSpec


def _open(device: AdbDevice) -> Transport:
    # Imported once a phone is used: listing devices does without it.
    from compofa.profiler.transports.adb.adb_transport import AdbTransport

    return AdbTransport(device)


TRANSPORT = TransportSpec(AdbDevice, _open)
