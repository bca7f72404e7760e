"""Measuring in sessions: one after another on a device, until enough is known of every cell."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from compofa.common.errors import DeviceError, OutOfTime
from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.measurement.device_monitor import DeviceMonitor, cpu_shortages
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.measurement.session import Session
from compofa.profiler.models.prefetch import ModelPrefetcher, spare_cpus
from compofa.profiler.results.analysis import Analysis, analyse, corrected_line
from compofa.profiler.results.journal import (
    Caveat,
    Failure,
    Journal,
    SessionLine,
    Timing,
    of_kind,
    utc_now,
)
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.statistics.change_points import slowdown
from compofa.profiler.transports.agent_client import AgentError, AgentLink
from compofa.profiler.transports.base import Lost

LOST_IN_A_ROW = 3
"""After this many sessions in a row that measured nothing, the device is given up."""


@dataclass
class SessionLoop(ABC):
    """Sessions on one device, one after another; what a session does is said by the class."""

    access: DeviceAccess
    protocol: Protocol
    journal: Journal

    def __post_init__(self) -> None:
        self._caveats: set[tuple[int, str]] = set()
        self._number, self._lost, self._why = 0, 0, ""
        self._monitor = DeviceMonitor(
            self.access.listener.note,
            out_of_time=self.out_of_time,
            patience_s=self.access.limits.patience_s,
        )

    @abstractmethod
    def measure(self, number: int, order: list[Cell]) -> None:
        """One session, which measures cells in their order.

        Raises:
            Lost: it ended before its time.
            DeviceError: the device cannot measure at all.
        """

    def tell_shortages(self) -> None:
        """Reports it where the device's threads cannot all run at the same time."""
        hello = self.access.hello
        for shortage in cpu_shortages(self.access.device.threads, hello.affinity, hello.facts):
            self.caveat_of(self._last_session() + 1, shortage)

    def repeat(self, pending: Callable[[], Sequence[Cell]], seed: int) -> bool:
        """Measures session by session; returns whether time ran out first.

        Args:
            pending: the cells that still need a session, by what is known so far.
            seed: of their order.

        Raises:
            OutOfTime: no time was left to measure a single cell.
            DeviceError: the device cannot measure at all, or several sessions measured nothing.
        """
        while left := pending():
            if self.out_of_time():
                if not self._timed():
                    raise OutOfTime(
                        f"{self.access.device.name}: no time was left to measure a cell",
                        hint="allow more with --max-time",
                    )
                return True
            self.hold(left, seed)
        return False

    def hold(self, cells: Sequence[Cell], seed: int) -> None:
        """Measures `cells` in one session, or as many of them as it gets to before it is lost.

        Raises:
            DeviceError: the device cannot measure at all, or several sessions measured nothing.
        """
        name = self.access.device.name
        # A session that was lost at once has left nothing in the journal.
        self._number = number = max(self._number, self._last_session()) + 1
        # Seeded by the session too, so that a resumed profile does not repeat an order.
        rng = np.random.default_rng((seed, number))
        order = [cells[i] for i in rng.permutation(len(cells))]
        timed_before = self._timed()
        try:
            self.measure(number, order)
        except Lost as error:
            self._why = f": {error.message}"
            self.access.listener.note(f"session {number} was lost{self._why}")
        # A session that was lost late has measured something, and the next may do the rest.
        self._lost = self._lost + 1 if self._timed() == timed_before else 0
        if self._lost == LOST_IN_A_ROW:
            raise DeviceError(
                f"{name}: {self._lost} sessions in a row measured nothing{self._why}",
                hint=f"see what `compofa-profile check --device {name}` says",
            )

    def caveat(self, text: str) -> None:
        """Notes in the journal what casts doubt on all sessions, once."""
        if text not in {each.text for each in of_kind(self.journal.lines, Caveat)}:
            self.caveat_of(self._last_session(), text)

    def caveat_of(self, number: int, text: str) -> None:
        """Reports what casts doubt on a session, on the screen and in the journal."""
        # A wrong clock is wrong at every request: once in a session is enough.
        kind = text.partition(":")[0]
        if (number, kind) in self._caveats:
            return
        self._caveats.add((number, kind))
        self.access.listener.note(text)
        self.journal.append(Caveat(number, text, utc_now()))

    def out_of_time(self) -> bool:
        """Whether no other session may begin."""
        return time.monotonic() > self.access.limits.until

    def _last_session(self) -> int:
        return max((s.session for s in of_kind(self.journal.lines, SessionLine)), default=0)

    def _timed(self) -> int:
        """How often any cell was timed."""
        return sum(timing.cell is not None for timing in of_kind(self.journal.lines, Timing))


@dataclass
class Sessions(SessionLoop):
    """Sessions on one device, one after another, until no cell is left to measure."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._analysed: tuple[int, Analysis] | None = None
        self._looks: list[float] = []
        self._told_slower = False

    @classmethod
    @contextmanager
    def begin(
        cls, access: DeviceAccess, protocol: Protocol, path: Path, *, fresh: bool = False
    ) -> Iterator[Self]:
        """Opens the journal at `path`, which the sessions continue; `fresh` empties it first.

        Raises:
            UserError: see `Journal.open`.
        """
        with Journal.open(path, access.header, fresh=fresh) as journal:
            sessions = cls(access, protocol, journal)
            sessions.tell_shortages()
            yield sessions

    def run(self, pending: Callable[[Analysis], Sequence[Cell]], seed: int) -> bool:
        """Measures session by session; returns whether time ran out first.

        Args:
            pending: returns the cells that still need a session, by what is known so far.
            seed: of the order of cells.

        Raises:
            OutOfTime, DeviceError: see `SessionLoop.repeat`.
        """
        return self.repeat(lambda: pending(self.analysis()), seed)

    def measure(self, number: int, order: list[Cell]) -> None:
        """See `SessionLoop.measure`."""
        access, analysis = self.access, self.analysis()
        expected = max(analysis.sessions_left(cell, self.protocol) for cell in order)
        access.listener.session(number, expected, len(order))
        spare = spare_cpus(access.device, access.hello.affinity)
        with (
            ModelPrefetcher(access.models, access.transport, spare) as prefetcher,
            access.transport.start_agent() as channel,
        ):
            link = AgentLink(channel, partial(self.caveat_of, number))
            session = Session(
                number=number,
                link=link,
                hello=access.lease.hello(link),
                device=access.device,
                protocol=replace(self.protocol, look_s=self._look_s()),
                record=self.journal.append,
                begin_cell=lambda cell: access.listener.cell(cell, analysis.estimate(cell)),
                out_of_time=self.out_of_time,
                monitor=self._monitor,
                prefetcher=prefetcher,
                looks=self._looks,
                died_before=analysis.died,
            )
            try:
                session.run(order, REFERENCE)
            except AgentError as error:
                raise DeviceError(f"{access.device.name}: {error.message}") from None
        analysis = self.analysis()
        self.journal.append(corrected_line(analysis, number))
        slower = slowdown(analysis.reference_ms)
        if slower is not None and not self._told_slower:
            self._told_slower = True
            access.listener.note(
                f"the reference model is {slower.ratio - 1:.1%} slower since session "
                f"{slower.start + 1}: throttling, or a busy host; latencies are corrected for it"
            )
        for failure in of_kind(self.journal.lines, Failure):
            if failure.session == number:
                cell = failure.cell
                access.listener.note(f"{cell.subnet} at {cell.resolution}: {failure.reason}")

    def analysis(self) -> Analysis:
        """What the journal says so far, made anew only where more was timed, or failed."""
        known = sum(isinstance(line, Timing | Failure) for line in self.journal.lines)
        if self._analysed is None or self._analysed[0] != known:
            self._analysed = known, analyse(self.journal.lines, self.protocol.confidence)
        return self._analysed[1]

    def _look_s(self) -> float:
        """Seconds that a long look may take: a small part of what is left of the budget."""
        left = self.access.limits.until - time.monotonic()
        return min(self.protocol.look_s, max(left, 0.0) / 20)
