"""What a person sees while a profile runs: on stderr, and only where that is a terminal."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from compofa.profiler.table import Cell
from compofa.supernet.console import note, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from compofa.profiler.statistics.interval import Estimate


class Display:
    """A line that says what is being measured, how far it is, and the running estimate.

    Where stderr is not a terminal only notes are printed: reasons to wait, cells that failed.
    """

    def __init__(self, device: str, *, quiet: bool = False) -> None:
        self._device = device
        self._shown = sys.stderr.isatty() and not quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._seconds_a_cell = math.nan

    def __enter__(self) -> Self:
        if self._shown:
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
            self._task = self._progress.add_task("", device=self._device, detail="", total=None)
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def session(self, number: int, expected: int, cells: int) -> None:
        """A session begins; `expected` more may follow, itself included."""
        self._expected, self._cells = expected, cells
        self._begun = time.monotonic()
        self._visited = 0
        what = f"session {number} of about {number + expected - 1}"
        self._update(description=what, total=cells, completed=0, detail="")

    def cell(self, cell: Cell, estimate: Estimate | None) -> None:
        """A cell of the session begins; `estimate` is what is known of it so far."""
        if self._visited:
            self._seconds_a_cell = (time.monotonic() - self._begun) / self._visited
        so_far = ""
        if estimate is not None:
            half = estimate.relative_half_width
            width = f" ±{half:.1%}" if math.isfinite(half) else ""
            so_far = f" {estimate.value:.2f} ms{width}"
        left = self._cells * self._expected - self._visited
        seconds = left * self._seconds_a_cell
        remaining = f", about {_duration(seconds)} left" if math.isfinite(seconds) else ""
        detail = f"{cell.subnet}@{cell.resolution}{so_far}{remaining}"
        self._update(completed=self._visited, detail=detail)
        self._visited += 1

    def note(self, message: str) -> None:
        """Something the person should know: stays on the screen."""
        if self._progress is not None:
            self._progress.console.print(printable(f"{self._device}: {message}"), markup=False)
        else:
            note(f"{self._device}: {message}")

    def _update(self, **fields: Any) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, **fields)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
