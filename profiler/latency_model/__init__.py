"""Predicts the latency of every cell of a space from a few measured ones, with intervals."""

from compofa.profiler.latency_model.additivity import Additivity, additivity
from compofa.profiler.latency_model.design import choose_cells
from compofa.profiler.latency_model.features import Cell
from compofa.profiler.latency_model.model import (
    MINIMUM_CELLS,
    HeldOutError,
    LatencyModel,
    Prediction,
    held_out_error,
)

__all__ = [
    "MINIMUM_CELLS",
    "Additivity",
    "Cell",
    "HeldOutError",
    "LatencyModel",
    "Prediction",
    "additivity",
    "choose_cells",
    "held_out_error",
]
