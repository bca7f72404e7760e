"""The inventory: devices.yaml, validated, with the line of whatever is wrong in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from compofa.common.errors import UserError, suggestion
from compofa.common.yaml_lines import Document, YamlPath, read_yaml

Runtime = Literal["onnxruntime", "tflite", "torch", "coreml", "openvino", "benchmark_model"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
Dtype = Literal["float32", "tf32", "float16", "bfloat16", "int8"]


def _no_controls(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    if text.startswith("-"):
        raise ValueError("must not start with '-': a program could take it for an option")
    return text


Text = Annotated[StrictStr, Field(min_length=1, max_length=4096), AfterValidator(_no_controls)]
Cpus = Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(min_length=1)]


class Device(BaseModel):
    """What every device has: a name, and what runs the networks there.

    Attributes:
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
    runtime: Runtime = "onnxruntime"
    threads: Annotated[StrictInt, Field(ge=1, le=1024)] = 1
    cpus: Cpus | None = None
    batch_size: Annotated[StrictInt, Field(ge=1, le=4096)] = 1
    accelerator: Text = "cpu"
    dtype: Dtype = "float32"
    mode: Literal["eager", "channels_last", "compiled", "cuda_graph"] | None = None
    compute_units: Literal["all", "cpu_only", "cpu_and_gpu", "cpu_and_ne"] | None = None


class LocalDevice(Device):
    """This computer. `python` runs the agent; None takes the one that runs this."""

    transport: Literal["local"] = "local"
    python: Text | None = None


class SshDevice(Device):
    """A host reached over SSH; what is left out comes from ~/.ssh/config.

    Attributes:
        python: runs the agent; left out, the environment that `check --provision` made there, or
            else python3.
        folder: on the host, for agents and models; it is made private to the user.
    """

    transport: Literal["ssh"] = "ssh"
    host: Text
    user: Text | None = None
    port: Annotated[StrictInt, Field(ge=1, le=65535)] | None = None
    python: Text | None = None
    folder: Text = "~/.cache/compofa"


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
    runtime: Runtime = "benchmark_model"
    binary: Text | None = None
    agent: Text | None = None
    library: Text | None = None
    python: Text | None = None
    cpu_mask: Annotated[StrictStr, Field(pattern=r"^[0-9a-fA-F]{1,16}$")] | None = None
    folder: Annotated[Text, Field(pattern=r"^/")] = "/data/local/tmp/compofa"

    @model_validator(mode="after")
    def _mask(self) -> Self:
        """`cpus` from `cpu_mask`, so that nothing else needs to know of masks."""
        if self.cpu_mask is not None:
            mask = int(self.cpu_mask, 16)
            cpus = [cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1]
            if not cpus or self.cpus not in (None, cpus):
                raise ValueError("cpu_mask names no CPU, or others than cpus does")
            object.__setattr__(self, "cpus", cpus)
        return self


AnyDevice = LocalDevice | SshDevice | AdbDevice

_KINDS: dict[str, type[LocalDevice] | type[SshDevice] | type[AdbDevice]] = {
    "local": LocalDevice,
    "ssh": SshDevice,
    "adb": AdbDevice,
}


def read_inventory(path: Path) -> dict[str, AnyDevice]:
    """All devices of an inventory file, by name.

    Raises:
        UserError: with file and line: not YAML, an unknown key or transport, a wrong type.
    """
    document = read_yaml(path, "the inventory")
    if not isinstance(document.data, dict) or not document.data:
        raise UserError("an inventory maps device names to settings", path=path, line=1)
    return {str(name): _device(document, name) for name in document.data}


def find_device(path: Path, name: str) -> AnyDevice:
    """The device called `name`.

    Raises:
        UserError: no such device, or the inventory is not valid.
    """
    devices = read_inventory(path)
    if name not in devices:
        hint = suggestion(name, list(devices))
        raise UserError(f"no device is called {name!r}", path=path, hint=hint)
    return devices[name]


def changed(device: AnyDevice, **settings: str | int | None) -> AnyDevice:
    """`device` with other settings where they are not None, as a command line says them.

    Another runtime takes what belongs to the old one alone with it.

    Raises:
        UserError: a setting does not have such a value.
    """
    changes: dict[str, Any] = {key: value for key, value in settings.items() if value is not None}
    if changes.get("runtime", device.runtime) != device.runtime:
        changes = {"mode": None, "compute_units": None, **changes}
    try:
        return type(device).model_validate({**device.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        setting, said = first["loc"][0], _short(first["input"])
        raise UserError(f"unknown {setting} {said}", hint=_hint(first)) from None


def _device(document: Document, name: Any) -> AnyDevice:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name):
        message = f"{name!r} is no name for a device: use letters, digits, '.', '_' and '-'"
        raise document.error((str(name),), message)
    settings = document.data[name]
    if not isinstance(settings, dict):
        raise document.error((name,), f"the settings of {name} must be a mapping")
    transport = settings.get("transport")
    if transport not in _KINDS:
        place = (name, "transport") if "transport" in settings else (name,)
        said = f"not {transport!r}" if "transport" in settings else "and is missing"
        message = f"{name}: transport must be one of {', '.join(_KINDS)}, {said}"
        raise document.error(place, message, _close(transport))
    kind = _KINDS[transport]
    for key in settings:
        if key not in kind.model_fields or key == "name":
            known = [field for field in kind.model_fields if field != "name"]
            message = f"{name}: unknown key {key!r} for transport {transport}"
            raise document.error((name, str(key)), message, suggestion(str(key), known))
    try:
        return kind(name=name, **settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        loc: YamlPath = tuple(first["loc"])
        field = ".".join(map(str, loc)) or "settings"
        message = f"{name}: {field}: {first['msg'].removeprefix('Value error, ')}"
        if first["type"] != "missing":
            message += f", not {_short(first['input'])}"
        raise document.error((name, *loc), message, _hint(first)) from None


def _close(transport: object) -> str | None:
    return suggestion(transport, list(_KINDS)) if isinstance(transport, str) else None


def _hint(error: Any) -> str | None:
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        known = re.findall(r"'([^']+)'", str(error["ctx"]["expected"]))
        return suggestion(error["input"], known)
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
