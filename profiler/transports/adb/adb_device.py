"""A phone reached over ADB, as devices.yaml has it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictStr, model_validator

from compofa.profiler.transports.device import Device, RuntimeName, Text


class AdbDevice(Device):
    """A phone reached over ADB.

    Attributes:
        serial: its serial number, or its address (HOST:PORT) in the network.
        binary: TFLite's benchmark_model for the phone, a file of this computer.
        agent, library: our native agent and ONNX Runtime for the phone, files of this computer.
        python: an interpreter on the phone, where it has one; it runs the agent then.
        cpu_mask: `cpus` in hexadecimal, as taskset takes it: f0 is CPUs 4 to 7.
        folder: where everything goes on the phone; nothing is written elsewhere.
    """

    transport: Literal["adb"] = "adb"
    serial: Text
    runtime: RuntimeName = "benchmark_model"
    binary: Text | None = None
    agent: Text | None = None
    library: Text | None = None
    python: Text | None = None
    cpu_mask: Annotated[StrictStr, Field(pattern=r"^(0[xX])?[0-9a-fA-F]{1,16}$")] | None = None
    folder: Annotated[Text, Field(pattern=r"^/")] = "/data/local/tmp/compofa"

    @property
    def address(self) -> str:
        """See `Device.address`."""
        return self.serial

    @property
    def resource(self) -> str:
        """See `Device.resource`."""
        return f"adb {self.serial}"

    @property
    def tells_outputs(self) -> bool:
        """See `Device.tells_outputs`; of the agents, that in Python alone does."""
        return self.python is not None and super().tells_outputs

    @model_validator(mode="after")
    def _mask(self) -> Self:
        """`cpus` from `cpu_mask`, so that nothing else needs to know of masks."""
        if self.cpu_mask is not None:
            mask = int(self.cpu_mask, 16)
            cpus = [cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1]
            if not cpus or self.cpus not in (None, cpus):
                raise ValueError("cpu_mask names no CPU, or other CPUs than cpus")
            object.__setattr__(self, "cpus", cpus)
        return self
