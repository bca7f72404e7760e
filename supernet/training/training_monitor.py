"""Shows the progress of a training on the screen, and writes its log and its curves."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from compofa.common.console import note, printable
from compofa.common.errors import file_error
from compofa.common.progress_meter import duration
from compofa.supernet.training.cost import TrainingCost
from compofa.supernet.training.phase_run import PhaseRun, StepRecord
from compofa.supernet.training.run_files.run_folder import RunFolder

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from compofa.supernet.training.run_files.curves import Curves

LINE_SECONDS = 30.0
"""Seconds between two lines about progress if stderr is not a terminal."""


class TrainingMonitor:
    """Shows the progress of a training; on other ranks than the first, it is silent."""

    def __init__(
        self, folder: RunFolder, *, silent: bool = False, curves: Curves | None = None
    ) -> None:
        self._folder = folder
        self._silent = silent
        self._curves = curves
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._silent:
            self._bar = _new_bar()
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._curves is not None:
            self._curves.close()

    def phase(self, run: PhaseRun, cost: TrainingCost, before: int) -> None:
        """Shows that a phase starts or continues.

        Args:
            run: the phase.
            cost: the cost of the phase so far.
            before: the number of steps in the phases before it.
        """
        self._name, self._steps, self._before = run.phase.name, run.steps, before
        self._images, self._seconds = cost.images, cost.seconds
        done = cost.images // run.order.batch_size
        after = f", continued after {done}" if done else ""
        self.note(f"{self._name}: {run.steps} steps of {run.order.batch_size} images{after}")
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(self._name, total=run.steps, completed=done, detail="")

    def steps(self, last: StepRecord, cost: TrainingCost) -> None:
        """Shows that some steps are done.

        Args:
            last: the last of these steps.
            cost: the cost of the phase so far.
        """
        done = last.step + 1
        speed = (cost.images - self._images) / max(cost.seconds - self._seconds, 1e-9)
        left = (self._steps - done) * last.run.order.batch_size / speed
        detail = f"loss {last.loss:.3f}, {speed:,.0f} images/s, {duration(left)} left"
        if self._curves is not None:
            self._curves.at = self._before + done
            self._curves.step(
                loss=last.loss,
                learning_rate=last.plan.learning_rate,
                images_per_second=speed,
            )
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, detail=f"{detail}, {last.keys}")
        elif not self._silent and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            note(f"{self._name}: step {done} of {self._steps}, {detail}")

    def validated(self, step: int, tops: Sequence[tuple[str, float]]) -> None:
        """Shows the accuracies of subnets, given by key, after `step` steps of the phase."""
        told = ", ".join(f"{key} {100 * top1:.2f} %" for key, top1 in tops)
        self.note(f"{self._name}: step {step} of {self._steps}, held-out top-1: {told}")
        if self._curves is not None:
            self._curves.accuracy(dict(tops))

    def note(self, message: str) -> None:
        """Shows a message and writes it to the log.

        Raises:
            UserError: the log cannot be written.
        """
        if self._silent:
            return
        if self._bar is not None:
            self._bar.console.print(printable(message), markup=False, highlight=False)
        else:
            note(message)
        now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        try:
            with self._folder.log.open("a") as file:
                file.write(f"{now} {printable(message)}\n")
        except OSError as error:
            raise file_error(error, self._folder.log, "cannot write the log") from None


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns: list[Any] = [
        TextColumn("[bold]{task.description}[/]"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
    ]
    return Progress(*columns, console=Console(stderr=True), transient=True)
