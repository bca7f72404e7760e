"""A device reached over SSH: the agent talks over a channel, files go there over others."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from compofa.common.errors import DeviceError
from compofa.common.files import sha256
from compofa.profiler.agent import AGENT
from compofa.profiler.transports.base import Channel, LinkLost, Transport
from compofa.profiler.transports.ssh.connection import connect
from compofa.profiler.transports.ssh.host import Host
from compofa.profiler.transports.ssh.login.ssh_config import SshConfig
from compofa.profiler.transports.ssh.provision import provision
from compofa.profiler.transports.ssh.remote_process import SshProcess
from compofa.profiler.transports.ssh.ssh_device import SshDevice

RETURN_S = 120.0
"""How long a device that was lost may take to come back: boards take a minute to boot."""

LONGEST_PAUSE_S = 8.0
"""Between two attempts to reach it."""


class SshTransport(Transport):
    """The way to an SSH host, connected on first use.

    Nothing tells a host that its connection was cut. So an agent that was lost with it goes on
    working for a while, and is ended once the host is reached again.

    Args:
        device: where it is, and what is said of it.
        agent: the program that is started there.
    """

    def __init__(self, device: SshDevice, agent: Path = AGENT) -> None:
        self._device, self._agent = device, agent
        self._host: Host | None = None
        self._agents: list[SshProcess] = []
        # Models are put there by a thread of their own.
        self._lock = threading.Lock()

    def put(self, file: Path, sha256: str) -> None:
        """See `Transport.put`; a lost connection is left to `start_agent`."""
        with self._lock:
            self.host().files.put(file, sha256)

    def start_agent(self) -> Channel:
        """See `Transport.start_agent`."""
        with self._lock:
            # Only here: `put` runs ahead of time, and must not wait minutes for a host.
            host = self._returned() if self._lost() else self.host()
            name = sha256(self._agent.read_bytes())
            host.files.put(self._agent, name, mode=0o700)
            agent = host.start_agent(name)
            self._agents = [agent]
            return agent

    def host(self) -> Host:
        """The host, connected the first time.

        Raises:
            LinkLost: it cannot be reached, or was lost.
            UserError: its key is not known, or it is no host for agents.
            DeviceError: its key is wrong, it lets nobody in, or it lacks something.
        """
        if self._host is None:
            config = SshConfig()
            login = config.login(self._device.host, self._device.user, self._device.port)
            self._host = Host(self._device, connect(config, login))
        if self._lost():
            raise self._host.connection.lost
        return self._host

    def provision(self, packages: Sequence[str], wheels: Path | None) -> None:
        """See `Transport.provision`; into an environment of its own under the device's folder."""
        provision(self.host(), packages, wheels)

    def close(self) -> None:
        """See `Transport.close`."""
        if self._host is not None:
            self._host.close()
            self._host = None

    def _lost(self) -> bool:
        return self._host is not None and not self._host.connection.alive

    def _returned(self) -> Host:
        """The host, once it can be reached again and the agents that were lost there are gone."""
        until, pause_s = time.monotonic() + RETURN_S, 0.5
        while True:
            self.close()
            try:
                host = self.host()
                # An old agent would go on using the CPUs, and hold the device's lock.
                for agent in self._agents:
                    agent.kill(host.connection)
                return host
            except LinkLost as error:
                if time.monotonic() + pause_s > until:
                    message = f"{error.message}; it was tried for {RETURN_S:g} s"
                    raise DeviceError(message) from None
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
