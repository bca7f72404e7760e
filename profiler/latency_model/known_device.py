"""What is known of a device from the tables of others.

Another device helps in two ways. Its roofline is where this device's costs are expected, and its
departures from its own roofline (blocks that are slower than guessed, networks that do not add up)
are expected here too, in part. Both become a `Prior` beside those of a device of which nothing is
known, and the evidence of the measured cells says which to believe: so predictions start from the
other device with the first cell, forget it as more are measured, and set it aside if it misleads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError
from compofa.profiler.latency_model.average import Average
from compofa.profiler.latency_model.features import Features, Floats, Workload, cell_features
from compofa.profiler.latency_model.prior import Other, Prior, independent
from compofa.profiler.latency_model.process import Measured
from compofa.profiler.latency_model.roofline import KINDS, Roofline
from compofa.supernet.space import Space

MOST_FITTED = 300
"""Cells of another device that its model is fitted on: the rest is taken as it was measured."""

FEWEST_CELLS = 20
"""A device of which fewer cells are known is not learned from."""

NEAR, FAR = 0.15, 0.5
"""Standard deviations of log costs about those of the other device: of its kind, or of another."""

CHANCE = 2.3
"""Over the root of the number of cells: what shuffled latencies correlate with any kind of work by,
at most, in all but a few in a hundred cases."""

SMOOTH = (1.0, 0.3)
"""Expected weight, and its sd, of the departures that the other device's model explains."""

ROUGH = (0.1, 0.2)
"""The same of those that it does not explain: mostly noise of that device, it turned out."""


@dataclass(frozen=True, eq=False)
class KnownDevice:
    """A device of which many cells of one batch size are known.

    Attributes:
        space: of its cells.
        batch_size: of them.
        logs: logarithms of their latencies in milliseconds.
        average: its model.
        rough: what the model does not explain of `logs`.
        growth: the correlation of log latency with the log of that kind of work which it follows
            most closely, up or down.
    """

    name: str
    space: Space
    batch_size: int
    logs: Mapping[Workload, float]
    average: Average
    rough: Mapping[Workload, float]
    growth: float

    @classmethod
    def fit(
        cls, space: Space, name: str, cells: Sequence[Workload], latency_ms: npt.ArrayLike
    ) -> KnownDevice:
        """Fits the model.

        Args:
            space: the space of all cells.
            name: of the device, for messages.
            cells: n different cells of one batch size, in any order.
            latency_ms: [n], positive.

        Raises:
            UserError: fewer than `FEWEST_CELLS` cells.
        """
        if len(cells) < FEWEST_CELLS:
            raise UserError(
                f"{name} has {len(cells)} cells to learn from; at least {FEWEST_CELLS} are needed"
            )
        logs = np.log(np.asarray(latency_ms, dtype=np.float64))
        # At random: the rows of a table are sorted by resolution.
        some = np.random.default_rng(0).permutation(len(cells))[:MOST_FITTED]
        features = cell_features(space, [cells[i] for i in some])
        measured = Measured(features, np.exp(logs[some]), np.zeros(len(some)))
        average = Average.fit(measured, independent(features))
        every = cell_features(space, cells)
        rough = logs - average.predict(every)[0]
        return cls(
            name,
            space,
            cells[0][2],
            dict(zip(cells, logs.tolist(), strict=True)),
            average,
            dict(zip(cells, rough.tolist(), strict=True)),
            _growth(every, logs),
        )

    @property
    def unrelated(self) -> bool:
        """Whether latencies have nothing to do with work, as where rows lost their order."""
        return bool(abs(self.growth) < CHANCE / np.sqrt(len(self.logs)))

    @property
    def falling(self) -> bool:
        """Whether latencies fall as networks grow, as numbers of images per second do."""
        return self.growth < 0 and not self.unrelated

    @property
    def roofline(self) -> Roofline:
        """The most likely."""
        best = self.average.processes[int(np.argmax(self.average.weights))]
        prior = best.prior.roofline
        return Roofline(best.terms[:KINDS], prior.typical, prior.sharpness)

    def columns(self, cells: Sequence[Workload], features: Features) -> Floats:
        """[cells, 2], how cells depart from its roofline: as its model explains, and beyond."""
        smooth = self.average.predict(features)[0] - self.roofline.guess(features).log_ms
        return np.column_stack([smooth, [self.rough.get(cell, 0.0) for cell in cells]])

    def priors(self, column: int) -> list[Prior]:
        """Devices like this one, whose columns of `Features.others` start at `column`."""
        other = Other((column, column + 1), np.array([SMOOTH, ROUGH]))
        return [Prior(self.roofline, np.full(KINDS, sd), other) for sd in (NEAR, FAR)]


def _growth(features: Features, logs: Floats) -> float:
    """The largest correlation of `logs` with any kind of work, by size; 0 where nothing varies."""
    work = np.log(features.totals + 1)
    work = work[:, np.ptp(work, axis=0) > 0]
    if not work.shape[1] or np.ptp(logs) == 0:
        return 0.0
    found = np.corrcoef(work.T, logs)[-1, :-1]
    return float(found[np.argmax(np.abs(found))])


@lru_cache(maxsize=8)
def mean_device(devices: tuple[KnownDevice, ...]) -> KnownDevice | None:
    """A device as fast as several are in the geometric mean; None where they share few cells."""
    first, *rest = devices
    shared = [cell for cell in first.logs if all(cell in each.logs for each in rest)]
    if len(shared) < FEWEST_CELLS:
        return None
    logs = np.array([[each.logs[cell] for cell in shared] for each in devices]).mean(axis=0)
    name = " and ".join(each.name for each in devices)
    return KnownDevice.fit(first.space, name, shared, np.exp(logs))


def known_devices(
    space: Space, name: str, cells: Sequence[Workload], latency_ms: npt.ArrayLike
) -> list[KnownDevice]:
    """The devices that a table is about: one for each batch size of which enough cells are known.

    Arguments as of `KnownDevice.fit`, but of any batch sizes.
    """
    latency = np.asarray(latency_ms, dtype=np.float64)
    batches = np.array([batch for _, _, batch in cells], dtype=np.int64)
    devices = []
    for batch in np.unique(batches):
        rows = np.flatnonzero(batches == batch)
        if len(rows) >= FEWEST_CELLS:
            devices.append(
                KnownDevice.fit(space, name, [cells[int(i)] for i in rows], latency[rows])
            )
    return devices
