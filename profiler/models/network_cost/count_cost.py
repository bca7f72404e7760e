"""Counting what a model file costs, where its format tells."""

from __future__ import annotations

from compofa.profiler.models.network_cost.network_cost import NetworkCost
from compofa.profiler.models.user_files.user_model import NotThisFormat, UserModel


def count_cost(model: UserModel) -> NetworkCost:
    """What `model`, whose inputs have fixed shapes, costs; of ONNX and TFLite files alone."""
    try:
        if model.format == "onnx":
            from compofa.profiler.models.network_cost.onnx_cost import onnx_cost

            return onnx_cost(model)
        if model.format == "tflite":
            from compofa.profiler.models.network_cost.tflite_cost import tflite_cost

            return tflite_cost(model)
    except (NotThisFormat, OSError):
        pass  # it has changed since it was read, which is told when it is measured
    return NetworkCost()
