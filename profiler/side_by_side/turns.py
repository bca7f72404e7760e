"""Sessions that time models in turns: in each turn every model runs once, in random order.

Whatever disturbs the device meanwhile disturbs all of them alike, so the ratio of two models is
known far better than either latency. What is left differs from load to load: where the model lies
in memory, for one. So a session loads each model several times, in random order and at places of
their own, and the next session is a fresh process.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from compofa.common.console import without_homes
from compofa.common.errors import DeviceError
from compofa.profiler.measurement.session import SessionLost
from compofa.profiler.measurement.sessions import SessionLoop
from compofa.profiler.measurement.stopwatch import INPUT_SEED, WARM, run_deadline
from compofa.profiler.models.model_store import ModelFile, UnusableModel
from compofa.profiler.results.journal import Failure, SessionLine, Timing, of_kind, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Loaded
from compofa.profiler.transports.base import LinkLost, Lost

MOST_LOADS = 4
"""Of one model in a session: with more of them the scatter of ratios falls, but ever less."""

BYTES_LOADED = 256_000_000
"""What all loads of a group may hold together, unless one load of each is more by itself."""

SLOW_LOAD_S = 0.5
"""A model that takes longer to load, and to run once, is loaded once a session."""

FEWEST_TURNS, MOST_TURNS = 3, 5000

SESSIONS_WANTED = 16
"""A session takes no more than this part of the time there is: an interval needs several."""

LARGEST_PADDING, PADDING_STEP = 1 << 16, 64
"""Bytes by which loads are moved in memory: up to sixteen pages, in steps of a cache line."""

Group = tuple[Cell, ...]
"""Cells that are timed in the same turns."""

LoadModel = Callable[[AgentLink, Cell, int], Loaded]
"""Puts the model of a cell on the device and loads it, so many bytes further on in memory."""


@dataclass(frozen=True)
class _Load:
    """One load of a model in a session."""

    cell: Cell
    loaded: Loaded


@dataclass
class TurnSessions(SessionLoop):
    """Sessions that time groups of models in turns; `repeat` is told each group's first cell.

    Attributes:
        groups: by their first cell.
        files: the model of each cell.
        load: loads one.
        budget_s: how long measuring may take in all.
    """

    groups: Mapping[Cell, Group] = field(default_factory=dict)
    files: Mapping[Cell, ModelFile] = field(default_factory=dict)
    load: LoadModel | None = None
    budget_s: float = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        self._ended = time.monotonic()

    def begin(self) -> None:
        """Lets the time of the next session run from now on, not from the end of the last one."""
        self._ended = time.monotonic()

    def measure(self, number: int, order: list[Cell]) -> None:
        """See `SessionLoop.measure`."""
        # From the end of the last one on, so that what lies between them counts as time too.
        access, begun = self.access, self._ended
        access.listener.session(number, 1, len(order))
        with access.transport.start_agent() as channel:
            link = AgentLink(channel, partial(self.caveat_of, number))
            hello = access.lease.hello(link)
            facts, affinity = hello.facts, hello.affinity
            self.journal.append(
                SessionLine(number, utc_now(), hello.pid, facts, hello.state, affinity)
            )
            # By the process too, so that no two comparisons draw the same places in memory.
            rng = np.random.default_rng((number, hello.pid))
            visit = _Visit(self, link, number, begun, rng, hello.state, len(order))
            for cell in order:
                if self.out_of_time():
                    break
                access.listener.cell(cell, None)
                visit.measure(self.groups[cell])
                self._ended = time.monotonic()
            link.quit()


@dataclass
class _Visit:
    """What one process measures.

    Attributes:
        begun: when it was started.
        state: of the device, when it last told.
        groups: how many share the process.
    """

    sessions: TurnSessions
    link: AgentLink
    number: int
    begun: float
    rng: np.random.Generator
    state: dict[str, Any]
    groups: int

    def __post_init__(self) -> None:
        self._share_s = (time.monotonic() - self.begun) / self.groups
        self._loading: Cell | None = None
        self._held: list[int] = []

    def measure(self, group: Group) -> None:
        """Times a group of models.

        Raises:
            Lost: the agent died or the line broke.
            DeviceError: the device cannot measure at all.
        """
        sessions = self.sessions
        pause = sessions._monitor.settle(self.number, self.state, self.link.state)
        if pause is not None:
            sessions.journal.append(pause)
        try:
            self._time(group)
        except (UnusableModel, AgentError) as error:
            self._reject(group, error)
        except LinkLost:
            raise
        except Lost as error:
            # The second time it is the model's fault, most likely.
            failures = of_kind(sessions.journal.lines, Failure)
            died = any(failure.cell in group for failure in failures)
            self._fail(group, error.message, final=died)
            raise SessionLost(f"{group[0].subnet}: {error.message}") from None

    def _reject(self, group: Group, error: UnusableModel | AgentError) -> None:
        """Gives a group up, and sees whether its other models can be loaded.

        Otherwise it would be left to chance which of several that cannot is said to fail.
        """
        guilty = self._loading
        self._fail(group, self._blamed(error), final=True)
        for handle in self._held:
            self.link.unload(handle)
        self._held.clear()
        if guilty is None:
            return
        for cell in group:
            if cell == guilty:
                continue
            try:
                self.link.unload(self._load(cell).handle)
            except (UnusableModel, AgentError) as another:
                self._fail(group, self._blamed(another), final=True)

    def _blamed(self, error: UnusableModel | AgentError) -> str:
        """Why a model cannot be measured.

        Raises:
            DeviceError: it is not the model's fault.
        """
        if isinstance(error, AgentError) and error.kind not in ("model", "memory"):
            raise DeviceError(f"{self.sessions.access.device.name}: {error.message}") from None
        return error.message

    def _fail(self, group: Group, reason: str, final: bool) -> None:
        cell = self._loading or group[0]
        digest = self.sessions.files[cell].sha256
        line = Failure(self.number, cell, without_homes(reason), final, digest, utc_now())
        self.sessions.journal.append(line)
        self.sessions.access.listener.note(f"{cell.subnet}: {line.reason}")

    def _time(self, group: Group) -> None:
        begun = time.monotonic()
        loads = self._loads(group)
        overhead_s = self._share_s + time.monotonic() - begun
        if self.sessions.access.device.spec.invoked:
            times: Sequence[tuple[int, ...]] = self._invoke(loads)
            warmup: Sequence[tuple[int, ...]] = [()] * len(loads)
        else:
            warmup = self._warm_up(loads)
            times, self.state = self._turns(loads, self._how_many(warmup, overhead_s), warmup)
        for load, early, ns in zip(loads, warmup, times, strict=True):
            self._record(load, early, ns)
        for load in loads:
            self.link.unload(load.loaded.handle)
        self._held.clear()

    def _loads(self, group: Group) -> list[_Load]:
        """All models of a group, in random order: once, or as often as it is cheap."""
        loads: list[_Load] = []
        files = self.sessions.files
        size = sum(p.stat().st_size for cell in group for p, _ in files[cell].uploads)
        often = min(MOST_LOADS, max(BYTES_LOADED // max(size, 1), 1))
        if self.sessions.access.device.spec.invoked:
            often = 1
        while len(loads) < often * len(group):
            begun = time.monotonic()
            for i in self.rng.permutation(len(group)).tolist():
                loads.append(_Load(group[i], self._load(group[i])))
                self._held.append(loads[-1].loaded.handle)
            if time.monotonic() - begun > SLOW_LOAD_S * len(group):
                break
        return loads

    def _load(self, cell: Cell) -> Loaded:
        assert self.sessions.load is not None
        padding = PADDING_STEP * int(self.rng.integers(LARGEST_PADDING // PADDING_STEP))
        self._loading = cell
        loaded = self.sessions.load(self.link, cell, padding)
        self._loading = None
        return loaded

    def _invoke(self, loads: Sequence[_Load]) -> list[tuple[int, ...]]:
        """One call of each program, which warms up and repeats by itself, in random order."""
        times: list[tuple[int, ...]] = [()] * len(loads)
        for i in self.rng.permutation(len(loads)).tolist():
            deadline = run_deadline(math.inf, 1)
            times[i], self.state = self.link.run(loads[i].loaded.handle, 1, INPUT_SEED, deadline)
        return times

    def _warm_up(self, loads: Sequence[_Load]) -> list[tuple[int, ...]]:
        """Turns until a chunk of them is no faster than the one before; nanoseconds of each load.

        A model that is still warming up after that does so beside the others.
        """
        protocol = self.sessions.protocol
        begun = time.monotonic()
        rows: list[tuple[int, ...]] = [()] * len(loads)
        before = math.inf
        while True:
            times, _ = self._turns(loads, protocol.warmup_chunk, rows)
            rows = [row + ns for row, ns in zip(rows, times, strict=True)]
            now = statistics.median(map(sum, zip(*times, strict=True)))
            if now >= WARM * before or time.monotonic() - begun > protocol.warmup_s:
                return rows
            before = now

    def _how_many(self, warmup: Sequence[tuple[int, ...]], overhead_s: float) -> int:
        """Turns that take as long as it took to get ready for them.

        Then, whatever share of the scatter is due to single runs and whatever to loads, the result
        is at most twice as long in coming as with the best choice.
        """
        chunk = self.sessions.protocol.warmup_chunk
        turn_s = sum(statistics.median(row[-chunk:]) for row in warmup) * 1e-9
        longest_s = self.sessions.budget_s / SESSIONS_WANTED / self.groups
        turns = min(overhead_s, longest_s) / max(turn_s, 1e-9)
        return max(FEWEST_TURNS, min(round(turns), MOST_TURNS))

    def _turns(
        self, loads: Sequence[_Load], turns: int, before: Sequence[tuple[int, ...]]
    ) -> tuple[tuple[tuple[int, ...], ...], dict[str, Any]]:
        usual = sum(statistics.median(row) for row in before) if before[0] else math.inf
        handles = [load.loaded.handle for load in loads]
        if len(handles) == 1:
            ns, state = self.link.run(handles[0], turns, INPUT_SEED, run_deadline(usual, turns))
            return (ns,), state
        order = int(self.rng.integers(1 << 31))
        return self.link.turns(handles, turns, order, INPUT_SEED, run_deadline(usual, turns))

    def _record(self, load: _Load, warmup: tuple[int, ...], ns: tuple[int, ...]) -> None:
        sessions = self.sessions
        sessions.journal.append(
            Timing(
                session=self.number,
                cell=load.cell,
                model_sha256=sessions.files[load.cell].sha256,
                at_s=time.monotonic() - self.begun,
                load_ns=load.loaded.load_ns,
                warmup_ns=warmup,
                ns=ns,
                state=self.state,
                measured_at=utc_now(),
                settings=load.loaded.settings,
            )
        )
