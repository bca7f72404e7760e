"""A fleet: several devices measured side by side, with one display; a failure stops no other."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace

from compofa.common.closing import Closing
from compofa.common.errors import CompofaError, ExitCode
from compofa.profiler.fleet.job import (
    End,
    FailedJob,
    FinishedJob,
    Interrupted,
    Job,
    LostJob,
    Progress,
    retell,
)
from compofa.profiler.fleet.schedule import FleetSchedule
from compofa.profiler.measurement.progress import Display, Screen

POLL_S = 0.2
"""How long a report waits at most until it is shown."""

ENDING_S = 60.0
"""How long interrupted workers may take to end the current run and their agents."""

RETURN_S = 120.0
"""How long a device may be without a host before it is given up."""

MOST_LOSSES = 5
"""A device whose host was lost so often is given up: perhaps it is what kills the hosts."""


class Workers(Closing):
    """Whatever measures: processes of this computer, or of others."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Begins to measure a device.

        Raises:
            CompofaError: it cannot, and need not be tried again.
        """

    @abstractmethod
    def take(self, timeout_s: float) -> Sequence[tuple[str, Progress | End]]:
        """What was reported since the last call, with the device's name; `End` is its last report.

        Args:
            timeout_s: the longest wait for a first report.
        """

    @abstractmethod
    def interrupt(self) -> None:
        """Asks all that is being measured to end in order."""

    def place(self, job: Job) -> str:
        """What a job's device is measured on; one at a time is measured there."""
        return job.device.resource

    def reachable(self) -> Collection[str] | None:
        """The devices that have a host now; None where all do."""
        return None


class Fleet:
    """Measures the devices of `jobs`, which all have different names.

    Args:
        jobs: what to measure, in the order in which it is reported.
        workers: measure them.
        screen: shows all of them.
        alone: the devices that are measured once no other is.
        return_s: how long a device may be without a host.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        workers: Workers,
        screen: Screen,
        *,
        alone: Collection[str] = (),
        return_s: float = RETURN_S,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._workers, self._screen, self._return_s = workers, screen, return_s
        self._schedule = FleetSchedule({job.name: workers.place(job) for job in jobs}, alone)
        self._displays: dict[str, Display] = {}
        self._ended: dict[str, FinishedJob | FailedJob] = {}
        self._begun: dict[str, float] = {}
        self._losses: dict[str, int] = {}
        # Devices without a host, and until when each may be.
        self._missing: dict[str, float] = {}

    def run(self) -> list[FinishedJob | FailedJob]:
        """Measures until every device has ended; what became of each, in the order of the jobs.

        Raises:
            KeyboardInterrupt: passed on, once everything that was being measured has ended.
        """
        with ExitStack() as stack:
            for name in self._jobs:
                display = stack.enter_context(Display(name, screen=self._screen))
                display.status("waiting")
                self._displays[name] = display
            try:
                while len(self._ended) < len(self._jobs):
                    self._start()
                    self._listen()
            except KeyboardInterrupt:
                self._interrupt()
                raise
        return [self._ended[name] for name in self._jobs]

    def _start(self) -> None:
        reachable = self._workers.reachable()
        for name in self._schedule.start(reachable):
            self._missing.pop(name, None)
            self._displays[name].status("starting")
            try:
                self._workers.start(self._current(name))
            except CompofaError as error:
                self._end(name, FailedJob(str(error), error.exit_code))
        if reachable is not None:
            self._give_up(reachable)

    def _current(self, name: str) -> Job:
        """The job of `name`, with the time that is left of its budget if it was begun before."""
        job, now = self._jobs[name], time.monotonic()
        begun = self._begun.setdefault(name, now)
        budget = job.request.protocol.max_time_s
        if budget is None or begun == now:
            return job
        # At least a second: 0 would mean that there is no limit.
        protocol = replace(job.request.protocol, max_time_s=max(1.0, budget - (now - begun)))
        return replace(job, request=replace(job.request, protocol=protocol))

    def _give_up(self, reachable: Collection[str]) -> None:
        """Gives up devices whose host does not come back, or was never there."""
        now = time.monotonic()
        for name in self._schedule.waiting - set(reachable):
            # A host that was there may come back; one that never was is a mistake in the inventory.
            grace = self._return_s if name in self._begun else 0.0
            if now >= self._missing.setdefault(name, now + grace):
                why = "no host of the cluster has this device"
                if grace:
                    why = f"no host of the cluster has had this device for {grace:g} s"
                self._end(name, FailedJob(f"{why}{self._kept(name)}", ExitCode.DEVICE))

    def _listen(self) -> None:
        for name, report in self._workers.take(POLL_S):
            match report:
                case FinishedJob() | FailedJob():
                    self._end(name, report)
                case Interrupted():
                    self._end(name, FailedJob("it was interrupted", ExitCode.INTERRUPTED))
                case LostJob(why):
                    self._lose(name, why)
                case _:
                    retell(report, self._displays[name])

    def _lose(self, name: str, why: str) -> None:
        self._losses[name] = self._losses.get(name, 0) + 1
        if self._losses[name] == MOST_LOSSES:
            message = f"lost {MOST_LOSSES} times, the last time because {why}{self._kept(name)}"
            self._end(name, FailedJob(message, ExitCode.DEVICE))
            return
        self._displays[name].note(f"{why}; it continues on the next host that has the device")
        self._displays[name].status("waiting for a host")
        self._schedule.lose(name)

    def _kept(self, name: str) -> str:
        return "; the same command continues from what was measured" if name in self._begun else ""

    def _end(self, name: str, end: FinishedJob | FailedJob) -> None:
        self._schedule.end(name)
        self._ended[name] = end
        if isinstance(end, FinishedJob):
            said = "out of time" if end.outcome.out_of_time else "done"
            self._displays[name].note(f"{said}: {end.outcome.written.path}")
            self._displays[name].status(said)
        else:
            # Many an error names its device itself.
            self._displays[name].note(f"error: {end.message.removeprefix(f'{name}: ')}")
            self._displays[name].status("failed")

    def _interrupt(self) -> None:
        """Ends everything that is being measured, and listens for as long as that takes."""
        self._screen.print("interrupted: what was measured is kept, the agents are being ended")
        self._workers.interrupt()
        until = time.monotonic() + ENDING_S
        left = set(self._schedule.measured)
        while left and time.monotonic() < until:
            for name, report in self._workers.take(POLL_S):
                if isinstance(report, End):
                    left.discard(name)
