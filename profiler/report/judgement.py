"""Measured cells against the predictions of a latency model that has not seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.latency_model import (
    MINIMUM_CELLS,
    HeldOutError,
    LatencyModel,
    Prediction,
    held_out_error,
)
from compofa.profiler.results.evidence import Evidence
from compofa.profiler.results.predict import shapes
from compofa.profiler.results.table import Cell, Row
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

TESTED_SHARE = 3
"""Where no plan holds cells out, one measured cell in this many is, drawn at random."""

MOST_FITTED = 100
"""Cells fitted on, at most, where no plan holds cells out: more would take minutes."""

MOST_TESTED = 200
"""Cells tested on, at most: a picture needs no more."""


@dataclass(frozen=True)
class Judged:
    """A measured cell, its interval where it has one, and its prediction with interval."""

    cell: Cell
    measured_ms: float
    low_ms: float | None
    high_ms: float | None
    predicted_ms: float
    predicted_low_ms: float
    predicted_high_ms: float

    @property
    def error_percent(self) -> float:
        """Of the prediction; positive where it is too slow."""
        return 100 * (self.predicted_ms / self.measured_ms - 1)

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the prediction interval."""
        return self.predicted_low_ms <= self.measured_ms <= self.predicted_high_ms


@dataclass(frozen=True)
class Judgement:
    """How good predictions are on cells that the model has not seen.

    Attributes:
        planned: whether the profile's plan held these cells out; else they were drawn just now.
    """

    cells: tuple[Judged, ...]
    error: HeldOutError
    fitted_on: int
    planned: bool


def judge(evidence: Evidence, own_space: Space | None = None) -> Judgement:
    """Fits the latency model without the held-out cells, and predicts them.

    With a journal these are the cells that its plan held out, and the result is that of the meta
    file. Without one, or where the plan measured everything, a third of the measured cells.

    Args:
        own_space: the table's space, where it comes from a file.

    Raises:
        UserError: it cannot be done; the message says why.
    """
    rows = {
        row.cell: row
        for row in evidence.table.rows
        if row.source == "measured" and row.latency_ms is not None
    }
    space = _space({cell.space for cell in rows}, own_space)
    fitted, tested, planned = _split(evidence, list(rows))
    if len(fitted) < MINIMUM_CELLS or not tested:
        raise UserError(
            f"too few cells were measured: {len(fitted)} to fit a model on and {len(tested)} to "
            "test it with"
        )
    confidence, seed = PREDICTION_CONFIDENCE, 0
    if evidence.journal is not None and evidence.journal.plan is not None:
        plan = evidence.journal.plan
        confidence, seed = (
            plan.protocol.get("prediction_confidence", PREDICTION_CONFIDENCE),
            plan.seed,
        )
    model = LatencyModel.fit(
        space,
        shapes(space, fitted),
        [_latency(rows[cell]) for cell in fitted],
        relative_noise=_noise(evidence, fitted),
        seed=seed,
    )
    known = [rows[cell] for cell in tested if cell.batch_size in model.batch_sizes]
    if not known:
        raise UserError("no held-out cell has a batch size that the model knows")
    shaped = shapes(space, [row.cell for row in known])
    error = held_out_error(model, shaped, [_latency(row) for row in known], confidence)
    judged = _judged(known, model.predict(shaped, confidence, as_measured=True))
    return Judgement(judged, error, len(fitted), planned)


def _judged(rows: Sequence[Row], prediction: Prediction) -> tuple[Judged, ...]:
    return tuple(
        Judged(
            row.cell,
            _latency(row),
            row.ci_low_ms,
            row.ci_high_ms,
            float(prediction.latency_ms[i]),
            float(prediction.low_ms[i]),
            float(prediction.high_ms[i]),
        )
        for i, row in enumerate(rows)
    )


def _latency(row: Row) -> float:
    assert row.latency_ms is not None
    return row.latency_ms


def _space(names: set[str], own: Space | None) -> Space:
    if not names:
        raise UserError("no cell was measured")
    if len(names) > 1:
        raise UserError("the table has cells of several spaces, and a latency model is of one")
    name = names.pop()
    if own is not None and own.name == name:
        return own
    if name not in SPACES:
        raise UserError(
            f"{name} is not a built-in space", hint="name the file that defines it with --space"
        )
    return SPACES[name]


def _split(evidence: Evidence, measured: Sequence[Cell]) -> tuple[list[Cell], list[Cell], bool]:
    """Cells to fit, cells to test, and whether a plan says so."""
    plan = None if evidence.journal is None else evidence.journal.plan
    if plan is not None and plan.held_out:
        held_out = {plan.cells[i] for i in plan.held_out}
        fitted = [cell for cell in measured if cell not in held_out]
        return fitted, [cell for cell in measured if cell in held_out], True
    shuffled = np.random.default_rng(0).permutation(len(measured))
    tested = len(measured) // TESTED_SHARE
    fitted = [measured[i] for i in sorted(shuffled[tested:][:MOST_FITTED])]
    return fitted, [measured[i] for i in sorted(shuffled[:tested][:MOST_TESTED])], False


def _noise(evidence: Evidence, cells: Sequence[Cell]) -> list[float] | None:
    """Relative standard errors of measured cells, where the journal tells them."""
    if evidence.journal is None:
        return None
    analysis = evidence.journal.analysis
    return [analysis.relative_noise(c) if analysis.usable(c) else float("nan") for c in cells]
