"""The device lease: one profiler at a time measures on a device, and the others wait."""

from __future__ import annotations

import getpass
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from compofa.common.errors import DeviceError
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Hello
from compofa.profiler.transports.device import Device

WAIT_S = 600.0
"""How long to wait for a device, unless told otherwise."""

POLL_S = 1.0


def holder() -> str:
    """Who this is, as others are told while they wait: USER@HOST pid N."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())  # a container's user without a name
    return f"{user[:64]}@{platform.node()[:64]} pid {os.getpid()}"


@dataclass
class DeviceLease:
    """One profiler's claim to a device: each agent it starts locks the device while it lives.

    Attributes:
        tell: is called once with who holds the device.
        until: in terms of `time.monotonic`, when to give up in any case.
        wait_s: the longest single wait.
        sleep: lets time pass.
    """

    device: Device
    tell: Callable[[str], None]
    until: float = math.inf
    wait_s: float = WAIT_S
    sleep: Callable[[float], None] = time.sleep
    _told: bool = field(default=False, init=False)

    def hello(self, link: AgentLink, threads: int | None = None) -> Hello:
        """Begins the handshake with an agent, and waits while another profiler uses the device.

        Args:
            link: to the agent.
            threads: of its runtimes; the device's own if left out.

        Raises:
            DeviceError: it is still in use at the end of the wait.
        """
        until = min(self.until, time.monotonic() + self.wait_s)
        classes = self.device.spec.agent_classes()
        while True:
            try:
                count = threads or self.device.threads
                return link.hello(count, self.device.cpus, holder(), classes)
            except AgentError as error:
                if error.kind != "busy":
                    raise
                if time.monotonic() >= until:
                    message = f"{self.device.name} is still {error.message}"
                    raise DeviceError(message, hint="try again later") from None
                if not self._told:
                    self._told = True
                    self.tell(f"waiting: the device is {error.message}")
            self.sleep(POLL_S)
