"""Predicts the latency of every cell of a space from a few measured ones, with intervals."""

from compofa.profiler.latency_model.additivity import Additivity, additivity
from compofa.profiler.latency_model.batch_model import Suspect
from compofa.profiler.latency_model.design import choose_cells
from compofa.profiler.latency_model.features import Workload
from compofa.profiler.latency_model.known_device import FEWEST_CELLS, KnownDevice, known_devices
from compofa.profiler.latency_model.model import (
    MINIMUM_CELLS,
    HeldOutError,
    LatencyModel,
    Prediction,
    held_out_error,
)

__all__ = [
    "FEWEST_CELLS",
    "MINIMUM_CELLS",
    "Additivity",
    "HeldOutError",
    "KnownDevice",
    "LatencyModel",
    "Prediction",
    "Suspect",
    "Workload",
    "additivity",
    "choose_cells",
    "held_out_error",
    "known_devices",
]
