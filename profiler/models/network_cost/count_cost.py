"""Computes the cost of a model file, if its format contains what is needed."""

from __future__ import annotations

from compofa.profiler.models.network_cost.network_cost import NetworkCost
from compofa.profiler.models.user_files.user_model import NotThisFormat, UserModel


def count_cost(model: UserModel) -> NetworkCost:
    """The cost of `model`, whose inputs must have fixed shapes; known for ONNX and TFLite only."""
    try:
        if model.format == "onnx":
            from compofa.profiler.models.network_cost.onnx_cost import onnx_cost

            return onnx_cost(model)
        if model.format == "tflite":
            from compofa.profiler.models.network_cost.tflite_cost import tflite_cost

            return tflite_cost(model)
    except (NotThisFormat, OSError):
        pass  # The file has changed since it was read, which is reported when it is measured.
    return NetworkCost()
