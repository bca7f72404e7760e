"""What a runtime takes and can do, said once: all that the host needs to know about it.

The inventory, the commands, the writers of model files and the agent's client read it. A runtime
is one file here (or in another package), one class for the agent, and a writer of its format if
the format is new.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from compofa.common.errors import UserError
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.model_format import ModelFormat

LARGEST_AGENT_CLASS = 150_000
"""Characters of source; as JSON it has to fit into one line of 1 MiB."""


OptionValue = str | int | float | bool


class DeviceSettings(Protocol):
    """What a spec reads of a device: how models are to run there."""

    @property
    def name(self) -> str:
        """Of the device, for messages."""

    @property
    def on_this_computer(self) -> bool:
        """Whether models run where the profiler does."""

    @property
    def accelerator(self) -> str:
        """Where the models run."""

    @property
    def dtype(self) -> Dtype:
        """What they compute in."""

    @property
    def threads(self) -> int:
        """Of the runtime."""

    @property
    def options(self) -> Mapping[str, OptionValue]:
        """What the runtime gets unchanged."""

    def setting(self, name: str) -> str | None:
        """A setting that only some runtimes have; None where the device leaves it out."""


def no_conflict(_: DeviceSettings) -> str | None:
    """For runtimes whose settings all go together."""
    return None


def nothing_more(_: DeviceSettings) -> dict[str, Any]:
    """For runtimes whose class for the agent needs no more than the set-up itself."""
    return {}


@dataclass(frozen=True)
class RuntimeSpec:
    """One runtime.

    Attributes:
        name: as `runtime` in devices.yaml says it.
        format: of the model files that it takes.
        dtypes: that it computes in.
        accelerators: where it runs models.
        packages: what pip installs on the device for it; none if pip cannot install it.
        converted: the dtypes for which it takes a float32 file and converts it while loading.
        settings: keys of devices.yaml that are this runtime's alone, with their values; the first
            value is the default.
        shown_as_accelerator: the setting that says where a model runs, as tables show it.
        takes_delegates: whether `accelerator` may be the file of a delegate's library.
        invoked: whether each run is a call of a program that warms up and repeats by itself, and
            may not print what the network computes.
        system: the only operating system that has it, as `platform.system` calls it.
        conflict: says what is wrong with settings that are each valid but do not go together.
        told: what the agent's class gets when it loads a model, besides settings and options.
        takes_options: whether the runtime takes any `options` of a device.
        reserved: options that may not be given, because another setting says the same or because
            the runtime would write files: name -> what to do instead, or the reason.
        model_files: endings of the names of model files that it takes from a user.
        agent_class: a source file with the class for the Python agent, for runtimes that the agent
            does not bring itself: a module whose `RUNTIME` is a subclass of the agent's `Runtime`.
    """

    name: str
    format: ModelFormat
    dtypes: tuple[Dtype, ...]
    accelerators: tuple[str, ...]
    packages: tuple[str, ...] = ()
    converted: tuple[Dtype, ...] = ()
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shown_as_accelerator: str = "accelerator"
    takes_delegates: bool = False
    invoked: bool = False
    system: str | None = None
    conflict: Callable[[DeviceSettings], str | None] = no_conflict
    told: Callable[[DeviceSettings], dict[str, Any]] = nothing_more
    takes_options: bool = True
    reserved: Mapping[str, str] = field(default_factory=dict)
    model_files: tuple[str, ...] = ()
    agent_class: Path | None = None

    def check(self, device: DeviceSettings) -> None:
        """Refuses settings of `device` that this runtime does not have, or not in combination.

        Raises:
            UserError: names the setting, and what there is to choose.
        """
        self._choice(device, "dtype", device.dtype, self.dtypes)
        if not (self.takes_delegates and is_library(device.accelerator)):
            self._choice(device, "accelerator", device.accelerator, self.accelerators)
        self._check_options(device)
        wrong = self.conflict(device)
        if wrong is not None:
            raise UserError(f"{device.name}: {wrong}")
        here = platform.system()
        if self.system not in (None, here) and device.on_this_computer:
            shown = "macOS" if self.system == "Darwin" else self.system
            raise UserError(f"{device.name}: {self.name} runs on {shown} only, and this is {here}")

    def _check_options(self, device: DeviceSettings) -> None:
        if device.options and not self.takes_options:
            raise UserError(f"{device.name}: {self.name} takes no options")
        for name in device.options:
            if name in self.reserved:
                message = f"{device.name}: the option {name} of {self.name} cannot be given"
                raise UserError(message, hint=self.reserved[name])

    def _choice(
        self, device: DeviceSettings, setting: str, value: str, known: Sequence[str]
    ) -> None:
        if value not in known:
            raise UserError(
                f"{device.name}: {self.name} has no {setting} {str(value)!r}",
                hint=f"it has {', '.join(known)}",
            )

    def load_options(self, device: DeviceSettings) -> dict[str, Any]:
        """What the agent is told when it loads a model: the set-up, threads aside."""
        setup = {"accelerator": device.accelerator, "dtype": str(device.dtype)}
        options = {"options": dict(device.options)} if device.options else {}
        return {**setup, **self._chosen(device), **self.told(device), **options}

    def settings_of(self, device: DeviceSettings) -> dict[str, Any]:
        """What tells this set-up from others of the runtime: its own settings and the options.

        What `accelerator_of` tells is left out, and options where there are none: journals of
        before there were options have no such key.
        """
        chosen: dict[str, Any] = {**self._chosen(device)}
        chosen.pop(self.shown_as_accelerator, None)
        return chosen | ({"options": dict(device.options)} if device.options else {})

    def _chosen(self, device: DeviceSettings) -> dict[str, str]:
        return {key: device.setting(key) or values[0] for key, values in self.settings.items()}

    def accelerator_of(self, device: DeviceSettings) -> str:
        """What a table calls the place where the models run."""
        return str(self.load_options(device)[self.shown_as_accelerator])

    def file_dtype(self, dtype: Dtype) -> Dtype:
        """What a model file is written in, of which the runtime is to make `dtype`."""
        return Dtype.FLOAT32 if dtype in self.converted else dtype

    def agent_classes(self) -> dict[str, str]:
        """The class that the agent has to be given, as source text; none if it brings its own.

        Raises:
            UserError: the package that brings this runtime lacks the file, or it is too large.
        """
        if self.agent_class is None:
            return {}
        try:
            source = self.agent_class.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            message = f"cannot read the agent's class of the runtime {self.name}: {error}"
            raise UserError(message) from None
        if len(source) > LARGEST_AGENT_CLASS:
            message = f"the agent's class of the runtime {self.name} is too long"
            hint = f"at most {LARGEST_AGENT_CLASS:,} characters"
            raise UserError(message, path=self.agent_class, hint=hint)
        return {self.name: source}


DELEGATE_SUFFIXES = (".so", ".dylib", ".dll")


def is_library(accelerator: str) -> bool:
    """Whether `accelerator` names the file of a shared library."""
    return accelerator.endswith(DELEGATE_SUFFIXES) or ".so." in accelerator
