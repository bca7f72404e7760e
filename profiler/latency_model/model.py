"""The latency model: fitted on measured cells of one set-up, it predicts all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError
from compofa.profiler.latency_model.features import Cell, Floats, cell_features
from compofa.profiler.latency_model.intervals import Calibration
from compofa.profiler.latency_model.process import Measured, Process
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

    An interval is for what measuring the cell would show, with the noise of the cells fitted on.
    """

    latency_ms: Floats
    low_ms: Floats
    high_ms: Floats
    confidence: float


@dataclass(frozen=True)
class LatencyModel:
    """Latencies of the cells of one space on one set-up; one process per batch size.

    Batch sizes are apart because they do not rank alike: a GPU at batch 1 waits for launches, at
    batch 64 it computes.

    Attributes:
        too_few: measured cells of the batch sizes that have fewer than `MINIMUM_CELLS`.
        shared_error: that all latencies fitted on have in common, and predictions therefore too.
    """

    space: Space
    too_few: Mapping[int, int]
    _processes: Mapping[int, tuple[Process, Calibration]]
    shared_error: SharedError = NO_SHARED_ERROR

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes that can be predicted."""
        return tuple(self._processes)

    @classmethod
    def fit(
        cls,
        space: Space,
        cells: Sequence[Cell],
        latency_ms: npt.ArrayLike,
        *,
        relative_noise: npt.ArrayLike | None = None,
        seed: int = 0,
    ) -> LatencyModel:
        """A model of measured `cells`.

        Args:
            space: the space of all cells.
            cells: n measured cells; one measured again counts as one, with the mean latency.
            latency_ms: [n], in milliseconds.
            relative_noise: [n], standard errors over latencies where known, else NaN. What
                scatters beyond them is estimated.
            seed: draws the folds of the cross-validation.

        Raises:
            UserError: too few different cells of every batch size; a latency that is not positive;
                a negative noise; a subnet that is not of `space`.
        """
        latency, noise = _checked(cells, latency_ms, relative_noise)
        groups: dict[int, dict[Cell, list[int]]] = {}
        for i, cell in enumerate(cells):
            groups.setdefault(cell[2], {}).setdefault(cell, []).append(i)
        enough = {b: rows for b, rows in sorted(groups.items()) if len(rows) >= MINIMUM_CELLS}
        if not enough:
            most = max((len(rows) for rows in groups.values()), default=0)
            raise UserError(
                f"a latency model needs at least {MINIMUM_CELLS} different measured cells of one "
                f"batch size, and there are {most}",
                hint="measure more cells",
            )
        processes = {}
        rng = np.random.default_rng(seed)
        for batch, rows in enough.items():
            order = rng.permutation(len(rows))[:MOST_CELLS]
            distinct = [list(rows.items())[i] for i in order]
            measured = Measured(
                cell_features(space, [cell for cell, _ in distinct]),
                np.array([latency[same].mean() for _, same in distinct]),
                np.array([np.sqrt((noise[same] ** 2).sum()) / len(same) for _, same in distinct]),
            )
            process = Process.fit(measured)
            processes[batch] = (process, Calibration.of(process, seed))
        too_few = {b: len(rows) for b, rows in sorted(groups.items()) if b not in enough}
        return cls(space, MappingProxyType(too_few), MappingProxyType(processes))

    def predict(
        self, cells: Sequence[Cell], confidence: float = PREDICTION_CONFIDENCE
    ) -> Prediction:
        """Latencies of `cells`, in their order, with intervals that hold `confidence` of cells.

        Raises:
            UserError: a batch size that was not measured; a confidence outside 0.5 to 0.99; a
                subnet that is not of the space.
        """
        if not 0.5 <= confidence <= 0.99:
            raise UserError(f"confidence {confidence:g} is not between 0.5 and 0.99")
        batches = np.array([batch for _, _, batch in cells], dtype=np.int64)
        latency, low, high = np.empty((3, len(cells)))
        for batch in np.unique(batches):
            process, calibration = self._process(int(batch))
            reach = calibration.reach(confidence)
            noise = float(np.median(process.measured.known_noise))
            rows = np.flatnonzero(batches == batch)
            for some in np.array_split(rows, -(-len(rows) // AT_ONCE)):
                features = cell_features(self.space, [cells[i] for i in some])
                mean, sd = process.predict(features, noise)
                half = self.shared_error.widened(reach * sd, confidence)
                latency[some] = np.exp(mean)
                low[some], high[some] = np.exp(mean - half), np.exp(mean + half)
        return Prediction(latency, low, high, confidence)

    def _process(self, batch: int) -> tuple[Process, Calibration]:
        if batch in self._processes:
            return self._processes[batch]
        known = ", ".join(map(str, self._processes))
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
    cells: Sequence[Cell],
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
    predicted = model.predict(cells, confidence)
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
    cells: Sequence[Cell], latency_ms: npt.ArrayLike, relative_noise: npt.ArrayLike | None
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
