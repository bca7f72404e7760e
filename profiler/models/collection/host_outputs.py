"""Runs a user's model on this computer, to compare the outputs of a device with.

The model runs in a process of its own, an agent, so that a file that crashes it does not end the
profile. Optimisations of the runtime are switched off where possible, so that the computation
differs from the measured one even if this computer is the device.
"""

from __future__ import annotations

import platform
from importlib.util import find_spec
from typing import Any

from compofa.common.errors import DeviceError, UserError
from compofa.profiler.agent import compofa_agent
from compofa.profiler.models.collection.user_model_file import UserModelFile
from compofa.profiler.runtimes.runtime_registry import find_runtime
from compofa.profiler.transports.agent_client import AgentLink, OutputSample
from compofa.profiler.transports.local import LocalDevice, LocalTransport

REFERENCES: dict[str, tuple[str, dict[str, Any]]] = {
    "onnx": ("onnxruntime", {"graph_optimization_level": "ORT_DISABLE_ALL"}),
    "tflite": (
        "tflite",
        {"experimental_op_resolver_type": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"},
    ),
    "openvino": ("openvino", {}),
    "pt2": ("torch", {}),
    "coreml": ("coreml", {}),
}
"""The runtime that runs a format on this computer, and its options."""

HOST_S = 600.0


def host_runtime(model_format: str) -> str | None:
    """The runtime that can run files of a format on this computer; None if none is installed."""
    name = REFERENCES[model_format][0]
    kind = compofa_agent.RUNTIMES[name]
    if kind.system not in (None, platform.system()):
        return None
    return name if any(find_spec(package) for package in kind.packages) else None


def host_outputs(file: UserModelFile) -> tuple[OutputSample, ...]:
    """Computes the outputs of the model with the runtime that `host_runtime` returns.

    Raises:
        DeviceError: the model cannot be run on this computer; the message says why.
    """
    name, options = REFERENCES[file.model.format]
    try:
        return _run(file, name, options)
    except DeviceError:
        if not options:
            raise
        # Some operators can run in optimised graphs only.
        return _run(file, name, {})


def _run(file: UserModelFile, runtime: str, options: dict[str, Any]) -> tuple[OutputSample, ...]:
    device = LocalDevice(name="local", transport="local", runtime=runtime, options=options)
    find_runtime(runtime)
    try:
        with LocalTransport(device) as transport:
            for path, digest in file.uploads:
                transport.put(path, digest)
            with transport.start_agent() as channel:
                link = AgentLink(channel)
                link.hello(threads=1, cpus=None)
                loaded = link.load(
                    file.uploads[0][1], runtime, device.load_options(), HOST_S, given=file.given
                )
                link.quit()
    except UserError as error:
        raise DeviceError(error.message) from None
    return loaded.outputs
