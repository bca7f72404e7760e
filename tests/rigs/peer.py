"""A device that the tests may mistreat: what the contract suite asks of each kind of device."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

import pytest

from compofa.common.closing import Closing
from compofa.profiler.transports import Transport
from compofa.profiler.transports.device import Device


class Peer(Closing):
    """One device of a test's own: nobody else works on it.

    What a kind of device cannot do, such as losing a line that it does not have, skips the test and
    says so.

    Attributes:
        device: its entry in the inventory; agents and models live in a folder of the test's own.
    """

    device: Device

    @abstractmethod
    def open(self, agent: Path | None = None) -> Transport:
        """A transport to it, connected on first use.

        Args:
            agent: a program to run there in the agent's place, with a `#!` line; None runs ours.
        """

    @abstractmethod
    def files(self) -> set[str]:
        """The names of all files in the agent's folder on the device, hidden ones included."""

    @abstractmethod
    def processes(self) -> list[int]:
        """The ids of the agents that run on the device now, as this computer sees them."""

    def wait_for_processes(self, wanted: list[int]) -> None:
        """Waits a few seconds until exactly these agents run: what is killed takes a moment."""
        until = time.monotonic() + 5
        while self.processes() != wanted and time.monotonic() < until:
            time.sleep(0.02)
        assert self.processes() == wanted

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs in its environment to find the device."""
        return {}

    def hang_up(self) -> None:
        """Ends every connection to it, and both sides hear of it."""
        self.unable("has no connection to end")

    def cut(self) -> None:
        """Cuts the line: from now on bytes vanish and nobody is told."""
        self.unable("has no line to cut")

    def mend(self) -> None:
        """Makes the line whole again."""
        self.unable("has no line to mend")

    def kill_server(self) -> None:
        """Kills what serves the device (sshd, adbd) and every connection, as a crash would."""
        self.unable("has no server to kill")

    def start_server(self) -> None:
        """Starts it again."""
        self.unable("has no server to start")

    def hang_server(self) -> None:
        """Has what serves the device stand still: it takes connections, and says nothing more."""
        self.unable("has no server to stop")

    def wake_server(self) -> None:
        """Has it go on."""
        self.unable("has no server to wake")

    def replace_server(self, behaviour: str) -> None:
        """Kills it, and puts a mute host in its place, see `rigs.mute_host`; it ends what stands
        there when it is started again."""
        self.unable("has no server to replace")

    def full_disk(self) -> AbstractContextManager[None]:
        """While it lasts, the agent's folder has room for 1 MB; entered before `open`."""
        self.unable("has no disk to fill")

    def unable(self, why: str) -> NoReturn:
        """Skips the test."""
        pytest.skip(f"{self.device.transport}: this device {why}")


def processes_naming(text: str) -> list[int]:
    """The ids of all processes of this computer with `text` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return sorted(found)
