"""A device's settings, as devices.yaml has them; every transport adds those of its own."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)

from compofa.common.errors import UserError
from compofa.profiler.runtimes.runtime_registry import (
    find_runtime,
    runtime_names,
    runtime_settings,
    setting_problem,
)
from compofa.supernet.export.dtype import Dtype

if TYPE_CHECKING:
    from compofa.profiler.runtimes.spec import RuntimeSpec

THIS_COMPUTER = "this computer"
"""The resource of every device whose agent runs where the profiler does."""


def _no_controls(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    if text.startswith("-"):
        raise ValueError("must not start with '-': a program could take it for an option")
    return text


def _known_runtime(name: str) -> str:
    if name not in runtime_names():
        raise ValueError(f"must be one of {', '.join(runtime_names())}")
    return name


Text = Annotated[StrictStr, Field(min_length=1, max_length=4096), AfterValidator(_no_controls)]


def _option(value: object) -> object:
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str) and value.isprintable() and len(value) <= 4096:
        return value
    raise ValueError("an option's value must be a finite number, a text, or true or false")


OptionName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z][\w.:-]{0,127}$")]
Options = Annotated[dict[OptionName, Annotated[Any, AfterValidator(_option)]], Field(max_length=99)]
RuntimeName = Annotated[Text, AfterValidator(_known_runtime)]
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
        accelerator: cpu, cuda, or what else the runtime has.
        options: for the runtime, its provider or its delegate, which gets them unchanged.

    Settings that only some runtimes have, such as torch's mode, are taken beside these: see
    `setting`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Text
    transport: str
    runtime: RuntimeName = "onnxruntime"
    threads: Annotated[StrictInt, Field(ge=1, le=1024)] = 1
    cpus: Cpus | None = None
    batch_size: Annotated[StrictInt, Field(ge=1, le=4096)] = 1
    accelerator: Text = "cpu"
    dtype: Dtype = Dtype.FLOAT32
    options: Options = {}

    @model_validator(mode="before")
    @classmethod
    def _without_empty_settings(cls, data: Any) -> Any:
        """Drops settings of runtimes that are null: null means left out."""
        if not isinstance(data, dict):
            return data
        fields = cls.model_fields
        return {key: each for key, each in data.items() if key in fields or each is not None}

    @model_validator(mode="after")
    def _known_settings(self) -> Self:
        for key, value in (self.model_extra or {}).items():
            problem = setting_problem(key, value)
            if problem is not None:
                raise ValueError(problem)
        return self

    @property
    def spec(self) -> RuntimeSpec:
        """What its runtime takes and can do."""
        return find_runtime(self.runtime)

    def setting(self, name: str) -> str | None:
        """A setting that only some runtimes have; None where it is left out."""
        value = (self.model_extra or {}).get(name)
        return None if value is None else str(value)

    def load_options(self) -> dict[str, Any]:
        """What the agent is told when it loads a model: how to run it, threads aside."""
        return self.spec.load_options(self)

    def check_settings(self) -> None:
        """Refuses settings that the runtime does not have, or that do not go together.

        Raises:
            UserError: names the setting, and what there is to choose.
        """
        for key in self.model_extra or {}:
            if key not in self.spec.settings:
                owners = " and ".join(runtime_settings().get(key, ()))
                message = f"{key} is a setting of {owners}, not of {self.runtime}"
                raise UserError(f"{self.name}: {message}")
        self.spec.check(self)

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, as a list of devices shows it: "pi@rpi4.local", "this computer"."""

    @property
    @abstractmethod
    def resource(self) -> str:
        """The hardware that is measured on, as far as the settings tell.

        Two devices may be one board with two runtimes: one at a time is measured there. It is
        `THIS_COMPUTER` where the agent runs on the computer that the profiler runs on.
        """

    @property
    def tells_outputs(self) -> bool:
        """Whether what runs there takes inputs of any kind, and tells what a model computes."""
        return not self.spec.invoked

    @property
    def on_this_computer(self) -> bool:
        """Whether the agent shares this computer with the profiler."""
        return self.resource == THIS_COMPUTER

    def install_hint(self, package: str) -> str:
        """What to do where the device lacks the runtime that pip installs as `package`."""
        return f"install it there, for example with pip install {package}"
