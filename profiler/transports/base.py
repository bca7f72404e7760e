"""What every transport offers; all else is built on these few calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self


class Channel(ABC):
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Transport(ABC):
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
