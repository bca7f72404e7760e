"""What the user sees while devices are measured: a line for each, on stderr."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from compofa.common.console import detail, note, printable
from compofa.common.progress_meter import duration
from compofa.common.running_log import loudness, record
from compofa.profiler.results.table import Cell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from compofa.profiler.statistics.interval import Estimate


class Listener(Protocol):
    """Receives reports about the progress of a profile."""

    def session(self, number: int, expected: int, cells: int, what: str = "session") -> None:
        """A session, or what else is named, begins; about `expected` are needed, with this one."""

    def cell(self, cell: Cell, estimate: Estimate | None) -> None:
        """A cell of the session begins; `estimate` is what is known of it so far."""

    def note(self, message: str) -> None:
        """Something that the user should know."""


class Screen:
    """Shows a line for each device that is measured, where stderr is a terminal.

    Args:
        quiet: shows nothing but notes; so does --quiet.
        plain: elsewhere, prints a line for each session instead of nothing.
    """

    def __init__(self, *, quiet: bool = False, plain: bool = False) -> None:
        quiet = quiet or loudness().quiet
        self._live = sys.stderr.isatty() and not quiet
        self._plain = plain and not quiet and not self._live
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        if self._live:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("[bold]{task.fields[device]}[/] {task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[detail]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def add(self, device: str) -> TaskID | None:
        """A line for a device; None where there are no live lines."""
        if self._progress is None:
            return None
        return self._progress.add_task("", device=device, detail="", total=None)

    def update(self, line: TaskID | None, **fields: Any) -> None:
        """Changes what a device's line says, as `rich.progress.Progress.update` takes it."""
        if self._progress is not None and line is not None:
            self._progress.update(line, **fields)

    def print(self, message: str) -> None:
        """Something that stays on the screen."""
        if self._progress is None:
            note(message)
        else:
            record("note", printable(message))
            self._progress.console.print(printable(message), markup=False)

    def print_plain(self, message: str) -> None:
        """Prints what live lines would show, where there are none and `plain` was asked for."""
        if self._plain:
            note(message)


class Display:
    """One device's line: what is being measured, how far it is, and the running estimate.

    Args:
        device: its name.
        quiet: shows nothing but notes.
        screen: that of a fleet, which the line is one of; left out, the line has its own.
    """

    def __init__(self, device: str, *, quiet: bool = False, screen: Screen | None = None) -> None:
        self._device = device
        self._own = Screen(quiet=quiet) if screen is None else None
        self._screen = screen or self._own or Screen()
        self._line: TaskID | None = None
        self._seconds_a_cell = math.nan

    def __enter__(self) -> Self:
        if self._own is not None:
            self._own.__enter__()
        self._line = self._screen.add(self._device)
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.__exit__()

    def session(self, number: int, expected: int, cells: int, what: str = "session") -> None:
        """See `Listener.session`."""
        self._expected, self._cells = expected, cells
        self._begun = time.monotonic()
        self._visited = 0
        which = f"{what} {number} of about {number + expected - 1}"
        detail(f"{self._device}: {which}, {cells} cells")
        self._screen.update(self._line, description=which, total=cells, completed=0, detail="")
        self._screen.print_plain(f"{self._device}: {which}, {cells} cells{self._remaining()}")

    def cell(self, cell: Cell, estimate: Estimate | None) -> None:
        """See `Listener.cell`."""
        if self._visited:
            self._seconds_a_cell = (time.monotonic() - self._begun) / self._visited
        so_far = ""
        if estimate is not None:
            half = estimate.relative_half_width
            width = f" ±{half:.1%}" if math.isfinite(half) else ""
            so_far = f" {estimate.value:.2f} ms{width}"
        what = f"{cell.subnet}@{cell.resolution}{so_far}"
        detail(f"{self._device}: {what}")
        self._screen.update(
            self._line, completed=self._visited, detail=f"{what}{self._remaining()}"
        )
        self._visited += 1

    def note(self, message: str) -> None:
        """See `Listener.note`; it stays on the screen."""
        self._screen.print(f"{self._device}: {message}")

    def status(self, message: str) -> None:
        """Shows what the device does while it is not measured: it waits, or is done."""
        self._screen.update(self._line, description=message, detail="")

    def _remaining(self) -> str:
        seconds = (self._cells * self._expected - self._visited) * self._seconds_a_cell
        return f", about {duration(seconds)} left" if math.isfinite(seconds) else ""
