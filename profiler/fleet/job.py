"""One device's part in a fleet, and what is reported of it while another process measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compofa.common.errors import CompofaError
from compofa.profiler.measurement.profile import Outcome, ProfileRequest, profile
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.models.model_store import Models
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.interval import Estimate
from compofa.profiler.transports.device import Device

SOFTWARE = 70
"""EX_SOFTWARE, the exit code of a bug of ours, as in `console.run_command`."""


@dataclass(frozen=True)
class Job:
    """A device to measure, and what to measure there."""

    device: Device
    request: ProfileRequest

    @property
    def name(self) -> str:
        """Of the device, as the inventory calls it."""
        return self.device.name


@dataclass(frozen=True)
class SessionBegun:
    """See `Listener.session`."""

    number: int
    expected: int
    cells: int
    what: str = "session"


@dataclass(frozen=True)
class CellBegun:
    """See `Listener.cell`."""

    cell: Cell
    estimate: Estimate | None


@dataclass(frozen=True)
class Noted:
    """See `Listener.note`."""

    message: str


@dataclass(frozen=True)
class FinishedJob:
    """The device's table is written."""

    outcome: Outcome


@dataclass(frozen=True)
class FailedJob:
    """The device was given up; its journal keeps what was measured."""

    message: str
    exit_code: int


@dataclass(frozen=True)
class Interrupted:
    """The user interrupted it, and it ended in good order."""


@dataclass(frozen=True)
class LostJob:
    """The host that measured it is gone; what was measured is kept, and another may continue."""

    why: str


Progress = SessionBegun | CellBegun | Noted
End = FinishedJob | FailedJob | Interrupted | LostJob


class Reporter:
    """A listener that passes on what it is told."""

    def __init__(self, send: Callable[[Progress], None]) -> None:
        self._send = send

    def session(self, number: int, expected: int, cells: int, what: str = "session") -> None:
        """See `Listener.session`."""
        self._send(SessionBegun(number, expected, cells, what))

    def cell(self, cell: Cell, estimate: Estimate | None) -> None:
        """See `Listener.cell`."""
        self._send(CellBegun(cell, estimate))

    def note(self, message: str) -> None:
        """See `Listener.note`."""
        self._send(Noted(message))


def retell(report: Progress, listener: Listener) -> None:
    """Tells `listener` what a `Reporter` was told elsewhere."""
    match report:
        case SessionBegun(number, expected, cells, what):
            listener.session(number, expected, cells, what)
        case CellBegun(cell, estimate):
            listener.cell(cell, estimate)
        case Noted(message):
            listener.note(message)


def carry_out(job: Job, listener: Listener, models: Models | None) -> End:
    """Profiles the device of `job`; returns what became of it. A bug of ours is raised."""
    try:
        return FinishedJob(profile(job.device, job.request, listener, models=models))
    except CompofaError as error:
        return FailedJob(str(error), error.exit_code)
    except KeyboardInterrupt:
        return Interrupted()
