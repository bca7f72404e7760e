"""Models measured on two set-ups, session by session in turns: what another runtime changes.

Both set-ups may be on one device, of which a session of either uses all. Which of the two comes
first is drawn anew for each two sessions; the journals, one of each set-up, keep every run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace

import numpy as np

from compofa.profiler.comparison.changes import Changes
from compofa.profiler.comparison.sides import unalike
from compofa.profiler.measurement.device_access import (
    DeviceAccess,
    TimeLimits,
    models_for,
    open_device,
)
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.results.journal import Journal
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
    paired_sessions,
)
from compofa.profiler.side_by_side.sequential import Budget
from compofa.profiler.side_by_side.turns import TurnSessions
from compofa.profiler.transports.device import Device


def compare_set_ups(
    devices: tuple[Device, Device],
    models: PairedModels,
    request: SideBySideRequest,
    listener: Listener,
) -> Changes:
    """Measures models on two set-ups until each is decided, or time is up.

    Raises:
        UserError: a journal is of another set-up, a device's settings do not go together, ...
        DeviceError: a device cannot be reached, cannot measure, or is in use by another.
    """
    limits = TimeLimits(patience_s=request.patience_s)
    with ExitStack() as stack:
        accesses = []
        for device in devices:
            built = stack.enter_context(models_for(device))
            opened = open_device(device, built, listener, limits=limits)
            accesses.append(stack.enter_context(opened))
        journals = [
            stack.enter_context(Journal.open(path, access.header, fresh=request.fresh))
            for path, access in zip(request.journals, accesses, strict=True)
        ]
        contest = _SetUpContest(accesses, journals, models.pairs, request)
        went_on = bool(contest.evidence.ratios)
        contest.run()
        headers = [access.header for access in accesses]
        facts = [asdict(header.setup) | dict(header.fingerprint) for header in headers]
        for each in facts:
            del each["device"]
        found = Findings(
            models,
            models.pairs,
            (journals[0].lines, journals[1].lines),
            (headers[0].setup, headers[1].setup),
            contest.evidence,
            differences=unalike(*facts),
            went_on=went_on,
        )
        return changes_of(found, request)


@dataclass
class _SetUpContest:
    """Models that are being measured on two set-ups."""

    accesses: Sequence[DeviceAccess]
    journals: Sequence[Journal]
    pairs: Sequence[ModelPair]
    request: SideBySideRequest

    def __post_init__(self) -> None:
        self._sides = [[pair.side(which) for pair in self.pairs] for which in SIDES]

    @property
    def evidence(self) -> PairEvidence:
        """By the journals as they are now."""
        both = list(zip(self.journals, self._sides, strict=True))
        base, new = (condensed_sessions(journal.lines, cells) for journal, cells in both)
        processes = {pair.cell: paired_sessions(base, new, pair.sides) for pair in self.pairs}
        budgets = [
            Budget(one.begun_s + other.begun_s, one.seconds)
            for one, other in zip(
                *(budgets_of(journal.lines, cells) for journal, cells in both), strict=False
            )
        ]
        return PairEvidence(processes, budgets, self.request)

    def run(self) -> None:
        """Measures until every model is decided, has failed, or time is up."""
        if not undecided(self.pairs, self.evidence, self.journals):
            return
        set_time_aside(self.evidence, self.journals, self._sides, self.request)
        left_s = seconds_left(self.evidence)
        until = time.monotonic() + left_s
        sides = [self._sessions(place, until, left_s / 2) for place in range(2)]
        rng = np.random.default_rng()
        while time.monotonic() < until and not self.evidence.out_of_time:
            left = undecided(self.pairs, self.evidence, self.journals)
            if not left:
                break
            for place in rng.permutation(2).tolist():
                sides[place].begin()
                sides[place].hold([pair.side(SIDES[place]) for pair in left], 0)

    def _sessions(self, place: int, until: float, budget_s: float) -> TurnSessions:
        """Those of one set-up."""
        access = self.accesses[place]
        access = replace(access, limits=replace(access.limits, until=until))
        files = {pair.side(SIDES[place]): pair.file(SIDES[place]) for pair in self.pairs}
        sessions = TurnSessions(
            access,
            Protocol(),
            self.journals[place],
            groups={cell: (cell,) for cell in files},
            files=files,
            load=SideLoader(access, files, {}),
            budget_s=budget_s,
        )
        sessions.tell_shortages()
        return sessions
