"""What every transport offers; all else is built on these few calls."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from compofa.common.closing import Closing
from compofa.common.errors import DeviceError, UserError


class Lost(DeviceError):
    """Something ended before its time; a fresh agent may fare better."""


class AgentLost(Lost):
    """The agent ended or went silent, perhaps because of what it was asked to do."""


class LinkLost(Lost):
    """The connection to the device is gone, whatever the agent was doing."""


class Channel(Closing):
    """The stdin and stdout of a running agent.

    Attributes:
        closing_s: how long the agent may take to end once its stdin is closed.
    """

    closing_s = 5.0

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Writes to the agent's stdin.

        Raises:
            AgentLost, LinkLost: it is gone.
        """

    @abstractmethod
    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """The next line of the agent's stdout, with its newline.

        Raises:
            AgentLost: the agent ended, or says nothing for `deadline_s`.
            LinkLost: the connection to it broke.
            DeviceError: it does not end its line within `longest` bytes.
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
            LinkLost: the connection broke; what has arrived is kept, and the next call continues
                from there.
            DeviceError: it could not be put there, or arrived damaged.
        """

    @abstractmethod
    def start_agent(self) -> Channel:
        """A fresh agent process; a lost connection is made anew first.

        Raises:
            LinkLost: the device cannot be reached.
            DeviceError: it could not be started.
        """

    def provision(
        self,
        packages: Sequence[str],
        wheels: Path | None,  # noqa: ARG002  (for the transports that can)
    ) -> None:
        """Installs Python packages on the device, where the transport knows how to.

        Args:
            packages: as pip calls them.
            wheels: a folder of wheels to install them from, where there is no network.

        Raises:
            UserError: this transport installs nothing.
            DeviceError: they could not be installed.
        """
        raise UserError(
            "this transport installs nothing on a device",
            hint=f"install {' and '.join(packages)} there by other means",
        )

    @abstractmethod
    def close(self) -> None:
        """Lets go of the device. Safe to call twice."""
