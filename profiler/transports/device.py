"""A device's settings, as devices.yaml has them; every transport adds those of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr

Runtime = Literal["onnxruntime", "tflite", "torch", "coreml", "openvino", "benchmark_model"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
Dtype = Literal["float32", "tf32", "float16", "bfloat16", "int8"]

THIS_COMPUTER = "this computer"
"""The resource of every device whose agent runs where the profiler does."""


def _no_controls(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    if text.startswith("-"):
        raise ValueError("must not start with '-': a program could take it for an option")
    return text


Text = Annotated[StrictStr, Field(min_length=1, max_length=4096), AfterValidator(_no_controls)]
Cpus = Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(min_length=1)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]


class Device(BaseModel):
    """What every device has: a name, and what runs the networks there.

    A transport derives a class of its own that adds the keys it takes in devices.yaml, restricts
    `transport` to its name, and says `address` and `resource`.

    Attributes:
        transport: the way to it, as entry points of `compofa.transports` name it.
        threads: of the runtime, not of the agent.
        cpus: the CPUs the agent is bound to; None leaves the choice to the agent, which takes as
            many of the fastest as there are threads.
        batch_size: images per run, unless the command line says otherwise.
        accelerator: cpu, cuda, or what else the runtime has, see `runtimes.ABILITIES`.
        mode: how torch runs a network; eager if left out.
        compute_units: what Core ML may use; all if left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    transport: str
    runtime: Runtime = "onnxruntime"
    threads: Annotated[StrictInt, Field(ge=1, le=1024)] = 1
    cpus: Cpus | None = None
    batch_size: Annotated[StrictInt, Field(ge=1, le=4096)] = 1
    accelerator: Text = "cpu"
    dtype: Dtype = "float32"
    mode: Literal["eager", "channels_last", "compiled", "cuda_graph"] | None = None
    compute_units: Literal["all", "cpu_only", "cpu_and_gpu", "cpu_and_ne"] | None = None

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, as a list of devices shows it: "pi@rpi4.local", "this computer"."""

    @property
    @abstractmethod
    def resource(self) -> str:
        """What is measured on, as far as the settings tell; one at a time is measured there.

        Two devices may be one board with two runtimes. `THIS_COMPUTER` where the agent runs on
        the computer that the profiler runs on.
        """

    @property
    def on_this_computer(self) -> bool:
        """Whether the agent shares this computer with the profiler."""
        return self.resource == THIS_COMPUTER

    def install_hint(self, package: str) -> str:
        """What to do where the device lacks the runtime that pip installs as `package`."""
        return f"install it there, for example with pip install {package}"
