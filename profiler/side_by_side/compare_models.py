"""Model files measured side by side: base and new run by run in turns, in the same processes.

A journal keeps every run. The same call goes on from it: what is decided is not measured again, and
a comparison that ran out of time gets more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from compofa.profiler.comparison.changes import Changes
from compofa.profiler.measurement.device_access import (
    DeviceAccess,
    TimeLimits,
    models_for,
    open_device,
)
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.results.journal import Journal
from compofa.profiler.results.table import Cell, SetUp
from compofa.profiler.settings import Protocol
from compofa.profiler.side_by_side.contest import (
    SideLoader,
    seconds_left,
    set_time_aside,
    undecided,
)
from compofa.profiler.side_by_side.findings import Findings, PairEvidence, changes_of
from compofa.profiler.side_by_side.model_pairs import (
    SIDES,
    ModelPair,
    PairedModels,
    SideBySideRequest,
)
from compofa.profiler.side_by_side.paired_processes import (
    budgets_of,
    condensed_sessions,
    paired_processes,
)
from compofa.profiler.side_by_side.turns import TurnSessions
from compofa.profiler.transports.device import Device


def compare_models(
    device: Device, models: PairedModels, request: SideBySideRequest, listener: Listener
) -> Changes:
    """Measures both sides of each pair in turns until each is decided, or time is up.

    Raises:
        UserError: the journal is of another set-up, the device's settings do not go together, ...
        DeviceError: the device cannot be reached, cannot measure, or is in use by another.
    """
    measured = [pair for pair in models.pairs if request.force or not pair.identical]
    if not measured:
        setup = SetUp(
            device.name, device.runtime, "", device.accelerator, device.threads, str(device.dtype)
        )
        nothing = PairEvidence({}, (), request)
        return changes_of(Findings(models, (), ((), ()), (setup, setup), nothing), request)
    limits = TimeLimits(patience_s=request.patience_s)
    with (
        models_for(device) as built,
        open_device(device, built, listener, limits=limits) as access,
        Journal.open(request.journals[0], access.header, fresh=request.fresh) as journal,
    ):
        contest = _Contest(access, journal, measured, request)
        went_on = bool(contest.evidence.ratios)
        contest.run()
        lines, setup = journal.lines, access.header.setup
        found = Findings(models, measured, (lines, lines), (setup, setup), contest.evidence)
        return changes_of(replace(found, went_on=went_on), request)


@dataclass
class _Contest:
    """Pairs that are being measured."""

    access: DeviceAccess
    journal: Journal
    pairs: Sequence[ModelPair]
    request: SideBySideRequest

    def __post_init__(self) -> None:
        self._known: tuple[int, PairEvidence] | None = None
        self._cells = [side for pair in self.pairs for side in pair.sides]

    @property
    def evidence(self) -> PairEvidence:
        """By the journal as it is now."""
        lines = self.journal.lines
        if self._known is None or self._known[0] != len(lines):
            sessions = condensed_sessions(lines, self._cells)
            processes = {pair.cell: paired_processes(sessions, *pair.sides) for pair in self.pairs}
            budgets = budgets_of(lines, self._cells)
            self._known = len(lines), PairEvidence(processes, budgets, self.request)
        return self._known[1]

    def run(self) -> None:
        """Measures until every pair is decided, has failed, or time is up."""
        if not undecided(self.pairs, self.evidence, [self.journal]):
            return
        set_time_aside(self.evidence, [self.journal], [self._cells], self.request)
        left_s = seconds_left(self.evidence)
        limits = replace(self.access.limits, until=time.monotonic() + left_s)
        access = replace(self.access, limits=limits)
        files = {pair.side(which): pair.file(which) for pair in self.pairs for which in SIDES}
        opposite = dict(pair.sides for pair in self.pairs)
        opposite |= {new: base for base, new in opposite.items()}
        sessions = TurnSessions(
            access,
            Protocol(),
            self.journal,
            groups={pair.side("base"): pair.sides for pair in self.pairs},
            files=files,
            load=SideLoader(access, files, opposite),
            budget_s=left_s,
        )
        sessions.tell_shortages()
        sessions.repeat(self._pending, 0)

    def _pending(self) -> list[Cell]:
        """The groups that need another session."""
        if self.evidence.out_of_time:
            return []
        left = undecided(self.pairs, self.evidence, [self.journal])
        return [pair.side("base") for pair in left]
