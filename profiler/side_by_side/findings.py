"""What journals say of pairs of models, and the changes that reports are made of."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compofa.profiler.comparison.changes import CellChange, Changes, SideBySide
from compofa.profiler.comparison.sides import Side
from compofa.profiler.results.journal import Failure, JournalLine, Timing, of_kind
from compofa.profiler.results.table import Cell, Row, SetUp, Table
from compofa.profiler.side_by_side.model_pairs import (
    SIDES,
    ModelPair,
    PairedModels,
    SideBySideRequest,
)
from compofa.profiler.side_by_side.paired_processes import (
    PairedProcess,
    judge,
    latency_interval,
    used_up,
    verdict_of,
)
from compofa.profiler.side_by_side.sequential import Budget
from compofa.profiler.statistics.compare import Ratio, Verdict

SAME_FILE = Ratio(1.0, 1.0, 1.0, 0.0, Verdict.SAME)

MOST_PROCESSES = 2000
"""Of a pair: what these do not tell, more of them will not."""

OUTPUTS_AGREE = 1e-6
"""Of the largest output: what differs by less differs by rounding."""

TINY = 1e-12
"""Stands for a ratio of nothing, whose logarithm there is none of."""

DIFFERENCE = "output_difference"
"""In the settings of a load: how far its outputs are from those of the other side."""


class PairEvidence:
    """What is known of pairs, as long as no line is added to a journal.

    Attributes:
        processes: that measured both sides of each pair.
        budgets: of time, as they were set.
        ratios: of the pairs that a process measured.
    """

    def __init__(
        self,
        processes: Mapping[Cell, Sequence[PairedProcess]],
        budgets: Sequence[Budget],
        request: SideBySideRequest,
    ) -> None:
        self.processes, self.budgets = processes, budgets
        # What false alarms are permitted is shared out among the pairs (Bonferroni).
        confidence = 1 - (1 - request.confidence) / max(len(processes), 1)
        self.ratios = {
            cell: judge(each, budgets, request.min_effect, confidence)
            for cell, each in processes.items()
            if each
        }

    @property
    def measured_s(self) -> float:
        """How long has been measured in all."""
        return max((each[-1].end_s for each in self.processes.values() if each), default=0.0)

    @property
    def out_of_time(self) -> bool:
        """Whether no budget leaves time for another process."""
        return not self.budgets or any(
            used_up(each, self.budgets) for each in self.processes.values()
        )

    def decided(self, pair: ModelPair) -> bool:
        """Whether no more processes are needed."""
        ratio = self.ratios.get(pair.cell)
        enough = len(self.processes[pair.cell]) >= MOST_PROCESSES
        return enough or (ratio is not None and ratio.verdict is not Verdict.CANNOT_TELL)


@dataclass(frozen=True)
class Findings:
    """All that a comparison found.

    Attributes:
        measured: the pairs that were to be measured; what else there is are identical files.
        lines: the journal of each side, which may be one and the same.
        setups: of each side.
        differences: between two set-ups that are compared; None where models are.
    """

    models: PairedModels
    measured: Sequence[ModelPair]
    lines: tuple[Sequence[JournalLine], Sequence[JournalLine]]
    setups: tuple[SetUp, SetUp]
    evidence: PairEvidence
    differences: Mapping[str, tuple[Any, Any]] | None = None
    went_on: bool = False

    def timings(self, pair: ModelPair, which: str) -> list[Timing]:
        """All loads of one side."""
        lines, side = self.lines[SIDES.index(which)], pair.side(which)
        return [each for each in of_kind(lines, Timing) if each.cell == side]

    def failure(self, pair: ModelPair, which: str) -> str | None:
        """Why a side cannot be measured."""
        lines, side = self.lines[SIDES.index(which)], pair.side(which)
        failures = (each for each in of_kind(lines, Failure) if each.final and each.cell == side)
        return next((each.reason for each in failures), None)


def changes_of(found: Findings, request: SideBySideRequest) -> Changes:
    """What reports take: as if two tables had been compared."""
    changes: list[CellChange] = []
    rows: tuple[list[Row], list[Row]] = ([], [])
    for pair in found.models.pairs:
        if pair not in found.measured:
            changes.append(CellChange(pair.cell, 0.0, 0.0, SAME_FILE))
            continue
        processes = found.evidence.processes[pair.cell]
        for which, side_rows in zip(SIDES, rows, strict=True):
            values = [getattr(process, f"{which}_ms") for process in processes]
            side_rows.append(_row(pair, which, values, found, request))
        if processes:
            base_ms, new_ms = (side_rows[-1].latency_ms or 0.0 for side_rows in rows)
            ratio = found.evidence.ratios[pair.cell]
            changes.append(CellChange(pair.cell, base_ms, new_ms, ratio))
    changes.sort(key=lambda each: -each.ratio.value)
    sides = [
        Side(path, Table(setup, tuple(side_rows)), {}, None, None)
        for path, setup, side_rows in zip(request.names, found.setups, rows, strict=True)
    ]
    failures = _failures(found)
    failed = {which: {cell for cell, side, _ in failures if side == which} for which in SIDES}
    # What could not be measured before either has not broken now.
    broken = tuple(sorted(failed["new"] - failed["base"], key=lambda cell: cell.subnet))
    known = {*broken, *(each.cell for each in changes)}
    wanted = [pair.cell for pair in found.models.pairs]
    wanted += [each.cell for each in found.models.unmeasured]
    missing = [cell for cell in (*wanted, *found.models.only_base) if cell not in known]
    return Changes(
        base=sides[0],
        new=sides[1],
        cells=tuple(each for each in changes if each.cell not in broken),
        overall=overall(changes, request.min_effect),
        device=None,
        broken=broken,
        missing=tuple(dict.fromkeys(missing)),
        added=found.models.only_new,
        differences=dict(found.differences or {}),
        min_effect=request.min_effect,
        confidence=request.confidence,
        side_by_side=_how(found, failures),
    )


def _failures(found: Findings) -> list[tuple[Cell, str, str]]:
    """Cell, side and reason of all that could not be measured."""
    failures = [(each.cell, each.side, each.reason) for each in found.models.unmeasured]
    for pair in found.measured:
        for which in SIDES:
            reason = found.failure(pair, which)
            if reason is not None:
                failures.append((pair.cell, which, reason))
    return failures


def _row(
    pair: ModelPair,
    which: str,
    values: Sequence[float],
    found: Findings,
    request: SideBySideRequest,
) -> Row:
    """One side as a row of a table."""
    timings = found.timings(pair, which)
    known = latency_interval(values, request.confidence) if values else (None, None, None)
    ms, low, high = known
    wide = high is None or not math.isfinite(high)
    return Row(
        cell=pair.cell,
        latency_ms=ms,
        ci_low_ms=None if wide else low,
        ci_high_ms=None if wide else high,
        confidence=request.confidence,
        p90_ms=None,
        source="measured",
        status="ok" if values else "failed",
        n_sessions=len(values),
        n_runs=sum(len(each.ns) for each in timings),
        model_sha256=pair.file(which).sha256,
        measured_at=timings[-1].measured_at if timings else "",
    )


def overall(changes: Sequence[CellChange], min_effect: float) -> Ratio:
    """The geometric mean of all pairs, whose errors are taken to point the same way.

    Pairs share their processes, so what errors have in common is not known.
    """
    if not changes:
        return Ratio(1.0, 0.0, math.inf, math.nan, Verdict.CANNOT_TELL)
    if len(changes) == 1:
        return changes[0].ratio
    value, low, high = (
        math.exp(statistics.fmean(math.log(max(end, TINY)) for end in ends))
        for ends in zip(*((c.ratio.value, c.ratio.low, c.ratio.high) for c in changes), strict=True)
    )
    return Ratio(value, low, high, math.nan, verdict_of(low, high, min_effect))


def _how(found: Findings, failures: Sequence[tuple[Cell, str, str]]) -> SideBySide:
    """How it was measured, and what else is to be said."""
    evidence, models, set_ups = found.evidence, found.models, found.differences is not None
    differing = []
    for pair in found.measured:
        told = [
            float(timing.settings[DIFFERENCE])
            for which in SIDES
            for timing in found.timings(pair, which)
            if DIFFERENCE in timing.settings
        ]
        if max(told, default=0.0) > OUTPUTS_AGREE:
            differing.append((pair.cell, max(told)))
    identical = () if set_ups else tuple(pair.cell for pair in models.pairs if pair.identical)
    return SideBySide(
        processes=max(map(len, evidence.processes.values()), default=0),
        runs=sum(process.runs for each in evidence.processes.values() for process in each),
        seconds=evidence.measured_s,
        set_ups=set_ups,
        identical=identical,
        measured_identical=any(pair.cell in identical for pair in found.measured),
        differing_outputs=tuple(differing),
        failures=tuple((cell, f"{which}: {reason}") for cell, which, reason in failures),
        out_of_time=bool(found.measured) and evidence.out_of_time,
        went_on=found.went_on,
    )
