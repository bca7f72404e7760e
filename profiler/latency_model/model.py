"""The latency model: fitted on measured cells of one set-up, it predicts all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError
from compofa.profiler.latency_model.batch_model import BatchModel, Suspect
from compofa.profiler.latency_model.features import Floats, Workload
from compofa.profiler.latency_model.known_device import KnownDevice
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.profiler.statistics.interval import NO_SHARED_ERROR, SharedError
from compofa.supernet.space import Space

MINIMUM_CELLS = 5
"""Fewest different cells of one batch size that a model can be fitted on."""

MOST_CELLS = 1500
"""Measured cells of a batch size that are used, at most: of more, this many at random."""

AT_ONCE = 2000
"""Cells predicted in one go, which bounds the memory taken."""


@dataclass(frozen=True)
class Prediction:
    """Latencies and their prediction intervals, one entry a cell, in milliseconds.

    An interval is for the latency itself; measuring the cell shows it with noise.

    Attributes:
        outside: whether the cell's resolution or work lies outside those that were measured: its
            interval is wider for it, by rule and not by what was seen.
    """

    latency_ms: Floats
    low_ms: Floats
    high_ms: Floats
    confidence: float
    outside: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LatencyModel:
    """Latencies of the cells of one space on one set-up; one model per batch size.

    Batch sizes are apart because they do not rank alike: a GPU at batch 1 waits for launches, at
    batch 64 it computes.

    Attributes:
        too_few: measured cells of the batch sizes that have fewer than `MINIMUM_CELLS`.
        shared_error: that all latencies fitted on have in common, and predictions therefore too.
    """

    space: Space
    too_few: Mapping[int, int]
    _models: Mapping[int, BatchModel]
    shared_error: SharedError = NO_SHARED_ERROR

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes that can be predicted."""
        return tuple(self._models)

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Measured cells that the others contradict; they hardly counted."""
        return tuple(suspect for model in self._models.values() for suspect in model.suspects)

    @property
    def set_aside(self) -> tuple[KnownDevice, ...]:
        """Devices that were given to learn from, and that the measured cells contradict."""
        return tuple(device for model in self._models.values() for device in model.set_aside)

    @classmethod
    def fit(
        cls,
        space: Space,
        cells: Sequence[Workload],
        latency_ms: npt.ArrayLike,
        *,
        relative_noise: npt.ArrayLike | None = None,
        others: Sequence[KnownDevice] = (),
        seed: int = 0,
    ) -> LatencyModel:
        """A model of measured `cells`.

        Args:
            space: the space of all cells.
            cells: n measured cells; one measured again counts as one, with the mean latency.
            latency_ms: [n], in milliseconds.
            relative_noise: [n], standard errors over latencies where known, else NaN. What
                scatters beyond them is estimated.
            others: devices that this one may be like. A batch size that they know needs one
                measured cell, others `MINIMUM_CELLS`.
            seed: draws the `MOST_CELLS` that are used where there are more.

        Raises:
            UserError: too few different cells of every batch size; a latency that is not positive;
                a negative noise; a subnet that is not of `space`.
        """
        latency, noise = _checked(cells, latency_ms, relative_noise)
        groups: dict[int, dict[Workload, list[int]]] = {}
        for i, cell in enumerate(cells):
            groups.setdefault(cell[2], {}).setdefault(cell, []).append(i)
        known = {other.batch_size for other in others}
        enough = {
            batch: rows
            for batch, rows in sorted(groups.items())
            if len(rows) >= MINIMUM_CELLS or batch in known
        }
        if not enough:
            most = max((len(rows) for rows in groups.values()), default=0)
            raise UserError(
                f"a latency model needs at least {MINIMUM_CELLS} different measured cells of one "
                f"batch size, and there are {most}",
                hint="measure more cells",
            )
        models = {}
        rng = np.random.default_rng(seed)
        for batch, rows in enough.items():
            order = rng.permutation(len(rows))[:MOST_CELLS]
            distinct = [list(rows.items())[i] for i in order]
            models[batch] = BatchModel.fit(
                space,
                [cell for cell, _ in distinct],
                np.array([latency[same].mean() for _, same in distinct]),
                np.array([np.sqrt((noise[same] ** 2).sum()) / len(same) for _, same in distinct]),
                [other for other in others if other.batch_size == batch],
            )
        too_few = {b: len(rows) for b, rows in sorted(groups.items()) if b not in enough}
        return cls(space, MappingProxyType(too_few), MappingProxyType(models))

    def predict(
        self,
        cells: Sequence[Workload],
        confidence: float = PREDICTION_CONFIDENCE,
        *,
        as_measured: bool = False,
    ) -> Prediction:
        """Latencies of `cells`, in their order, with intervals that hold `confidence` of cells.

        Args:
            cells: to predict.
            confidence: of the intervals.
            as_measured: intervals for what measuring the cells would show, with the noise of those
                fitted on, and not for the latencies themselves.

        Raises:
            UserError: a batch size that was not measured; a confidence outside 0.5 to 0.99; a
                subnet that is not of the space.
        """
        if not 0.5 <= confidence <= 0.99:
            raise UserError(f"confidence {confidence:g} is not between 0.5 and 0.99")
        batches = np.array([batch for _, _, batch in cells], dtype=np.int64)
        latency, low, high = np.empty((3, len(cells)))
        outside = np.zeros(len(cells), dtype=np.bool_)
        for batch in np.unique(batches):
            model = self._model(int(batch))
            reach = model.calibration.reach(confidence)
            rows = np.flatnonzero(batches == batch)
            for some in np.array_split(rows, -(-len(rows) // AT_ONCE)):
                mean, sd, beyond = model.predict([cells[i] for i in some], as_measured=as_measured)
                latency[some] = np.exp(mean)
                half = self.shared_error.widened(reach * sd, confidence)
                low[some], high[some] = np.exp(mean - half), np.exp(mean + half)
                outside[some] = beyond > 0
        return Prediction(latency, low, high, confidence, outside)

    def count_outside(self, cells: Sequence[Workload]) -> int:
        """How many of `cells` are smaller or larger than all that were measured."""
        return sum(
            model.count_outside([cell for cell in cells if cell[2] == batch])
            for batch, model in self._models.items()
        )

    def _model(self, batch: int) -> BatchModel:
        if batch in self._models:
            return self._models[batch]
        known = ", ".join(map(str, self._models))
        few = self.too_few.get(batch, 0)
        had = f"has only {few} measured cells" if few else "was never measured"
        raise UserError(
            f"batch size {batch} {had}; this model is of batch size {known}",
            hint=f"measure at least {MINIMUM_CELLS} cells of batch size {batch}",
        )


@dataclass(frozen=True)
class HeldOutError:
    """How far off a model is on n cells that it was not fitted on.

    Attributes:
        mean_absolute_percent: mean size of relative errors.
        bias_percent: their mean; positive where predictions are too slow.
        rank_correlation: Spearman's; NaN where all latencies are equal.
        coverage: part of the cells inside their intervals, which were to hold `confidence`.
    """

    n: int
    mean_absolute_percent: float
    bias_percent: float
    rank_correlation: float
    coverage: float
    confidence: float


def held_out_error(
    model: LatencyModel,
    cells: Sequence[Workload],
    latency_ms: npt.ArrayLike,
    confidence: float = PREDICTION_CONFIDENCE,
) -> HeldOutError:
    """The error of `model` on measured `cells`, whose latencies [n] it was not fitted on.

    Raises:
        UserError: no cells; as `LatencyModel.fit` and `predict`.
    """
    latency, _ = _checked(cells, latency_ms, None)
    if not len(latency):
        raise UserError("there are no held-out cells to compare predictions with")
    predicted = model.predict(cells, confidence, as_measured=True)
    errors = 100 * (predicted.latency_ms / latency - 1)
    inside = (predicted.low_ms <= latency) & (latency <= predicted.high_ms)
    return HeldOutError(
        n=len(latency),
        mean_absolute_percent=float(np.abs(errors).mean()),
        bias_percent=float(errors.mean()),
        rank_correlation=_spearman(predicted.latency_ms, latency),
        coverage=float(inside.mean()),
        confidence=confidence,
    )


def _checked(
    cells: Sequence[Workload], latency_ms: npt.ArrayLike, relative_noise: npt.ArrayLike | None
) -> tuple[Floats, Floats]:
    """Latencies, and noise with 0 where it is not known."""
    latency = np.asarray(latency_ms, dtype=np.float64)
    given = np.zeros(len(cells)) if relative_noise is None else relative_noise
    noise = np.nan_to_num(np.asarray(given, dtype=np.float64), nan=0.0)
    if latency.shape != (len(cells),) or noise.shape != latency.shape:
        raise UserError(
            f"{len(cells)} cells with latencies {latency.shape} and noise {noise.shape}"
        )
    if not (np.isfinite(latency) & (latency > 0)).all():
        i = int(np.flatnonzero(~(np.isfinite(latency) & (latency > 0)))[0])
        raise UserError(f"measured cell {i + 1} has latency {latency[i]:g} ms, which is no time")
    if not (np.isfinite(noise) & (noise >= 0)).all():
        raise UserError("the relative noise of a measured cell is negative or infinite")
    return latency, noise


def _spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where either is constant."""
    from scipy.stats import rankdata

    ranks = rankdata(a), rankdata(b)
    if min(np.ptp(r) for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
