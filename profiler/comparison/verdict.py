"""What a report is about: a comparison for each device, and the verdict on all of them."""

from __future__ import annotations

from dataclasses import dataclass

from compofa.profiler.comparison.changes import Changes
from compofa.profiler.comparison.front import FrontChange
from compofa.profiler.comparison.gates import GateResult
from compofa.profiler.statistics.compare import Verdict

WORST_FIRST = (Verdict.SLOWER, Verdict.CANNOT_TELL, Verdict.FASTER, Verdict.SAME)


@dataclass(frozen=True)
class Compared:
    """One device.

    Attributes:
        changes: of latency.
        front: what they mean for the Pareto front; None where it is not known.
        gates: what became of gates on other columns.
    """

    changes: Changes
    front: FrontChange | None
    gates: tuple[GateResult, ...] = ()

    @property
    def device(self) -> str:
        """Its name in the new table."""
        return self.changes.new.table.setup.device

    @property
    def verdict(self) -> Verdict:
        """Of the changes; slower also where accuracy is surely lost at some limit.

        Or where a gate fails. What a gate leaves open is open.
        """
        if self.front is not None and self.front.falls:
            return Verdict.SLOWER
        verdicts = {self.changes.verdict, *(each.verdict for each in self.gates)}
        return next(verdict for verdict in WORST_FIRST if verdict in verdicts)


@dataclass(frozen=True)
class Report:
    """One device or several.

    Attributes:
        only_base: names of tables that were not measured again.
        only_new: names of tables that the base does not have.
    """

    devices: tuple[Compared, ...]
    only_base: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all devices; a device that is missing now leaves it open."""
        verdicts = {each.verdict for each in self.devices}
        if self.only_base:
            verdicts.add(Verdict.CANNOT_TELL)
        return next(verdict for verdict in WORST_FIRST if verdict in verdicts)
