"""The model of the cells of one batch size: what it predicts, and what it found odd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compofa.profiler.latency_model.average import Average
from compofa.profiler.latency_model.features import Features, Floats, Workload, cell_features
from compofa.profiler.latency_model.intervals import Calibration
from compofa.profiler.latency_model.known_device import KnownDevice, mean_device
from compofa.profiler.latency_model.prior import independent
from compofa.profiler.latency_model.process import Measured, Process
from compofa.supernet.space import Space

LIKE_ODDS = 2.0
"""How much more likely a device is to be like one of those named than like none of them."""

MISLEADING = 20.0
"""A table is set aside if what was measured is so many times likelier without it."""

FEWEST_TO_JUDGE = 3
"""Measured cells that it takes to set a table aside."""

SUSPECT_SCORE, SUSPECT_RATIO = 6.0, 1.25
"""A measured cell is odd that is off by more expected deviations than this, and by this factor."""

GROSS = 30.0
"""A measured cell is left out from the start that is off by this factor under every prior."""

OUTSIDE = 0.1
"""A cell is outside what was measured if its resolution or work is, by more than this (log)."""

OUTSIDE_SD = 0.1
"""Standard deviation of its log latency that is added for each unit (log) that it is outside."""

_Fitted = tuple[Measured, Process]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Suspect:
    """A measured cell that the others contradict, with the latency that they make expected."""

    cell: Workload
    latency_ms: float
    expected_ms: float


@dataclass(frozen=True)
class BatchModel:
    """A model of cells of one batch size.

    Attributes:
        others: the devices whose columns the average was fitted with.
        set_aside: devices that were given and are not believed.
        suspects: measured cells that hardly counted, as others contradict them.
    """

    space: Space
    average: Average
    calibration: Calibration
    others: tuple[KnownDevice, ...] = ()
    set_aside: tuple[KnownDevice, ...] = ()
    suspects: tuple[Suspect, ...] = ()

    @classmethod
    def fit(
        cls,
        space: Space,
        cells: Sequence[Workload],
        latency_ms: Floats,
        noise: Floats,
        others: Sequence[KnownDevice] = (),
    ) -> BatchModel:
        """The model of different `cells`; `others` are of their batch size."""
        every = Measured(cell_features(space, cells), latency_ms, noise)
        gross = _gross(every)
        measured = every.take(np.setdiff1d(np.arange(len(cells)), gross))
        sound = [cell for i, cell in enumerate(cells) if i not in gross]
        alone = [
            (measured, Process.fit(measured, prior)) for prior in independent(measured.features)
        ]
        believed, like = _believed(others, sound, alone)
        groups = [alone, *like]
        odds = [1.0] + [LIKE_ODDS / max(1, len(groups) - 1)] * (len(groups) - 1)
        average = Average.of(
            [fitted for group in groups for fitted in group],
            [each / len(group) for each, group in zip(odds, groups, strict=True) for _ in group],
        )
        aside = tuple(other for other in others if other not in believed)
        suspects = _suspects(average, sound)
        found = cls(space, average, Calibration.of(average), tuple(believed), aside, suspects)
        return found._with_gross([cells[i] for i in gross], latency_ms[gross])

    def _with_gross(self, cells: Sequence[Workload], latency_ms: Floats) -> BatchModel:
        """The model with cells that were left out from the start named first."""
        if not cells:
            return self
        expected = np.exp(self.predict(cells)[0])
        named = tuple(map(Suspect, cells, latency_ms.tolist(), expected.tolist()))
        return replace(self, suspects=named + self.suspects)

    def predict(
        self, cells: Sequence[Workload], *, as_measured: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Log latencies of cells, their expected deviations, and how far outside they are.

        Args:
            cells: to predict.
            as_measured: deviations of what measuring would show, noise as of those fitted on.
        """
        features = cell_features(self.space, cells)
        if self.others:
            columns = [other.columns(cells, features) for other in self.others]
            features = replace(features, others=np.column_stack(columns))
        measured = self.average.measured
        noise = float(np.median(measured.known_noise)) if as_measured else 0.0
        mean, sd = self.average.predict(features, noise)
        beyond = self._beyond(features)
        return mean, np.hypot(sd, OUTSIDE_SD * beyond), beyond

    def count_outside(self, cells: Sequence[Workload]) -> int:
        """How many of `cells` are outside what was measured."""
        features = cell_features(self.space, cells)
        return int((self._beyond(features) > 0).sum())

    def _beyond(self, features: Features) -> Floats:
        """[cells], how far they lie outside what is known of this device and of its like (log)."""
        known = [self.average, *(other.average for other in self.others)]
        ranges = np.concatenate([_sizes(each.measured.features) for each in known])
        each = _sizes(features)
        outside = np.maximum(ranges.min(axis=0) - each, each - ranges.max(axis=0)).max(axis=1)
        return np.where(outside > OUTSIDE, outside, 0.0)


def _gross(measured: Measured) -> Rows:
    """Positions of measured cells that are off the rest by a factor that no device explains.

    A row in another unit, say. It is found before anything is fitted, as among a handful of cells
    it would bend all that is learned from the others.
    """
    if len(measured) < FEWEST_TO_JUDGE:
        return np.arange(0)
    off = np.stack(
        [
            measured.logs - prior.at(prior.mean, measured.features)[1]
            for prior in independent(measured.features)
        ]
    )
    least = np.abs(off - np.median(off, axis=1, keepdims=True)).min(axis=0)
    return np.flatnonzero(least > np.log(GROSS))


def _believed(
    others: Sequence[KnownDevice], cells: Sequence[Workload], alone: Sequence[_Fitted]
) -> tuple[list[KnownDevice], list[list[_Fitted]]]:
    """The devices that measured `cells` do not contradict, and the processes that are like each.

    Of several, one more is believed in that is as fast as they are on average.
    """
    measured = alone[0][0]
    judging = _judging(alone) if others else np.arange(0)
    believed: list[KnownDevice] = []
    groups: list[list[_Fitted]] = []
    columns = np.empty((len(cells), 0))

    def try_on(other: KnownDevice) -> None:
        nonlocal columns
        if other.falling or other.unrelated:
            return  # it is no table of latencies, however well it may fit a few cells
        wider = np.column_stack([columns, other.columns(cells, measured.features)])
        known = replace(measured, features=replace(measured.features, others=wider))
        priors = other.priors(columns.shape[1])
        like = [(known, Process.fit(known, prior)) for prior in priors]
        if not _is_contradicted(alone, like, judging):
            columns = wider
            believed.append(other)
            groups.append(like)

    for other in others:
        try_on(other)
    mean = mean_device(tuple(believed)) if len(believed) > 1 else None
    if mean is not None:
        try_on(mean)
    return believed, groups


def _judging(alone: Sequence[_Fitted]) -> Rows:
    """The measured cells that judge other devices: a wrong one fits a wrong device best."""
    odd = _odd(Average.of(alone))
    return np.setdiff1d(np.arange(len(alone[0][0])), odd)


def _is_contradicted(alone: Sequence[_Fitted], like: Sequence[_Fitted], judging: Rows) -> bool:
    """Whether the measured cells contradict that the device is like another one."""
    if len(judging) < FEWEST_TO_JUDGE:
        return False
    if len(judging) < len(alone[0][0]):
        alone, like = _refitted(alone, judging), _refitted(like, judging)
    return _odds(alone, like) >= MISLEADING


def _refitted(group: Sequence[_Fitted], rows: Rows) -> list[_Fitted]:
    """Processes with the same priors, fitted on the cells at `rows` alone."""
    some = group[0][0].take(rows)
    return [(some, Process.fit(some, process.prior)) for _, process in group]


def _odds(alone: Sequence[_Fitted], like: Sequence[_Fitted]) -> float:
    """How many times likelier what was measured is without another device than with it."""
    means = [
        np.logaddexp.reduce([process.evidence for _, process in group]) - np.log(len(group))
        for group in (alone, like)
    ]
    return float(np.exp(min(means[0] - means[1], 700.0)))


def _odd(average: Average) -> Rows:
    """Positions of measured cells that are far off what the others make of them, worst first."""
    errors, sd = average.left_out()
    scores = np.abs(errors) / sd
    scores /= max(1.0, float(np.median(scores)) / 0.6745)
    odd = np.flatnonzero((scores > SUSPECT_SCORE) & (np.abs(errors) > np.log(SUSPECT_RATIO)))
    return odd[np.argsort(-np.abs(errors[odd]))]


def _suspects(average: Average, cells: Sequence[Workload]) -> tuple[Suspect, ...]:
    """The cells that `_odd` finds, with what the others make of them."""
    errors, _ = average.left_out()
    latency = average.measured.latency_ms
    return tuple(
        Suspect(cells[i], float(latency[i]), float(latency[i] * np.exp(-errors[i])))
        for i in _odd(average)
    )


def _sizes(features: Features) -> Floats:
    """Logs of amounts of work and of the resolution, a row a cell."""
    sizes: Floats = np.log(np.column_stack([features.totals + 1, features.resolutions]))
    return sizes
