"""Which transports there are: the toolkit's own and those of other packages, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compofa.common.entry_points import load_registered, registered
from compofa.profiler.transports.base import Transport
from compofa.profiler.transports.device import Device


@dataclass(frozen=True)
class TransportSpec:
    """A transport, as an entry point of `compofa.transports` names it.

    Attributes:
        settings: the class of its devices' settings: what devices.yaml may say of them.
        open: makes the transport of one device, which need not connect before it is first used.
            It is the place to import what takes long to import.

    Raises:
        TypeError: the settings leave out what every device has to say of itself.
    """

    settings: type[Device]
    open: Callable[[Any], Transport]

    def __post_init__(self) -> None:
        if inspect.isabstract(self.settings):
            lacking = ", ".join(sorted(self.settings.__abstractmethods__))
            raise TypeError(f"{self.settings.__name__} does not define {lacking}")


GROUP = "compofa.transports"
"""The entry points: each is called like its transport and names a `TransportSpec`."""


def transport_names() -> tuple[str, ...]:
    """The names of all transports; none of their modules is imported for it."""
    return tuple(registered(GROUP))


def find_transport(name: str) -> TransportSpec:
    """The transport called `name`.

    Raises:
        UserError: no package that is installed has it, or what the package has is no transport.
    """
    return load_registered(GROUP, name, "transport", TransportSpec)


def open_transport(device: Device) -> Transport:
    """The transport that `device` asks for; it connects when it is first used.

    Raises:
        UserError: see `find_transport`.
    """
    return find_transport(device.transport).open(device)
