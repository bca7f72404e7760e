"""What every transport offers; all else is built on these few calls."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from compofa.profiler.closing import Closing


class Channel(Closing):
    """The stdin and stdout of a running agent."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Writes to the agent's stdin.

        Raises:
            DeviceError: the agent is gone.
        """

    @abstractmethod
    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """The next line of the agent's stdout, with its newline.

        Raises:
            DeviceError: the agent is gone, says nothing for `deadline_s`, or does not end its
                line within `longest` bytes.
        """

    @abstractmethod
    def diagnosis(self) -> str:
        """How the agent ended and the last it wrote to stderr, in a few words; may be empty."""

    @abstractmethod
    def close(self) -> None:
        """Closes the agent's stdin and makes sure that it ends. Safe to call twice."""


class Transport(Closing):
    """The way to one device."""

    @abstractmethod
    def put(self, file: Path, sha256: str) -> None:
        """Makes `file` available to the agent under the name `sha256`; once is enough.

        Raises:
            DeviceError: it could not be put there, or arrived damaged.
        """

    @abstractmethod
    def start_agent(self) -> Channel:
        """A fresh agent process.

        Raises:
            DeviceError: it could not be started.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of the device. Safe to call twice."""
