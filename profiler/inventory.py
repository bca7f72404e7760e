"""The inventory: devices.yaml, validated, with the line of whatever is wrong in it."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compofa.common.errors import UserError, suggestion
from compofa.common.files import write_atomically
from compofa.common.yaml_lines import Document, YamlPath, read_yaml
from compofa.profiler.runtimes.runtime_registry import (
    runtime_names,
    runtime_settings,
    setting_problem,
)
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.registry import find_transport, transport_names

DEFAULT_INVENTORY = Path("devices.yaml")
"""Where devices are looked up unless the user names another file; it need not exist."""


def built_in_devices() -> dict[str, Device]:
    """The devices that need no inventory: this computer, as `local`, with every default."""
    return {"local": find_transport("local").settings(name="local", transport="local")}


def _is_missing(path: Path) -> bool:
    return path == DEFAULT_INVENTORY and not os.path.lexists(path)


def read_inventory(path: Path) -> dict[str, Device]:
    """All devices of an inventory file, by name; the built-in ones where there is no such file.

    Raises:
        UserError: with file and line: not YAML, an unknown key or transport, a wrong type; or a
            file other than the default one is missing.
    """
    if _is_missing(path):
        return built_in_devices()
    document = read_yaml(path, "the inventory")
    if not isinstance(document.data, dict) or not document.data:
        raise UserError(
            "the inventory must map names of devices to their settings", path=path, line=1
        )
    return {name: _device(document, name) for name in document.data}


def find_device(path: Path, name: str) -> Device:
    """The device called `name`: what the inventory says of it, else the built-in device.

    Raises:
        UserError: no such device, or the inventory is not valid.
    """
    devices = {**built_in_devices(), **read_inventory(path)}
    if name in devices:
        return devices[name]
    if _is_missing(path):
        raise UserError(
            f"there is no {path} here that says what {_short(name)} is",
            hint="`compofa-profile devices --init` writes one to fill in, and --device local, "
            "this computer, needs none",
        )
    hint = suggestion(name, list(devices))
    raise UserError(f"no device is called {name!r}", path=path, hint=hint)


def write_example_inventory(path: Path) -> None:
    """Writes an inventory with comments and an example of each kind of device.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    if os.path.lexists(path):
        raise UserError(
            "is there already, and is left as it is",
            path=path,
            hint="--inventory FILE names another file to write",
        )
    example = resources.files(__package__).joinpath("example_devices.yaml")
    write_atomically(path, example.read_bytes(), "the inventory")


def changed(device: Device, **settings: str | int | None) -> Device:
    """`device` with the settings that are not None, as a command line gives them.

    If the runtime changes, settings that only the old one has are dropped.

    Raises:
        UserError: a setting does not have such a value.
    """
    changes: dict[str, Any] = {key: value for key, value in settings.items() if value is not None}
    if changes.get("runtime", device.runtime) != device.runtime:
        changes = {**dict.fromkeys(device.model_extra or {}), "options": {}, **changes}
    try:
        return type(device).model_validate({**device.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if not first["loc"]:
            raise UserError(first["msg"].removeprefix("Value error, ")) from None
        setting, said = first["loc"][0], _short(first["input"])
        raise UserError(f"unknown {setting} {said}", hint=_hint(first)) from None


def _device(document: Document, name: str) -> Device:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name):
        message = f"{_short(name)} is not a name for a device: use letters, digits, '.', '_', '-'"
        raise document.error((name,), message)
    settings = document.data[name]
    if not isinstance(settings, dict):
        raise document.error((name,), f"the settings of {name} must be a mapping")
    transport = settings.get("transport")
    known = transport_names()
    if not isinstance(transport, str) or transport not in known:
        place = (name, "transport") if "transport" in settings else (name,)
        said = f"not {_short(transport)}" if "transport" in settings else "and is missing"
        message = f"{name}: transport must be one of {', '.join(known)}, {said}"
        hint = suggestion(transport, list(known)) if isinstance(transport, str) else None
        raise document.error(place, message, hint)
    kind = find_transport(transport).settings
    for key, value in settings.items():
        if key in kind.model_fields and key != "name":
            continue
        if key not in runtime_settings():
            keys = [field for field in kind.model_fields if field != "name"]
            message = f"{name}: unknown key {_short(key)} for transport {transport}"
            hint = suggestion(key[:60], [*keys, *runtime_settings()])
            raise document.error((name, key), message, hint)
        problem = None if value is None else setting_problem(key, value)
        if problem is not None:
            raise document.error((name, key), f"{name}: {problem}")
    # A serial or a user may be all digits, which YAML takes for a number: each such field in turn.
    wrong: YamlPath = (name,)
    for _ in settings:
        try:
            return kind(name=name, **settings)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        wrong = (name, *first["loc"])
        if first["type"] != "string_type" or wrong not in document.texts or len(wrong) != 2:
            break
        settings = {**settings, str(first["loc"][0]): document.texts[wrong]}
    raise document.error(wrong, f"{name}: {_complaint(first)}", _hint(first))


def _complaint(error: Any) -> str:
    """What pydantic found wrong, in words: the setting, what it must be, and what it is."""
    field = ".".join(map(str, error["loc"])) or "settings"
    said = f"{field}: {error['msg'].removeprefix('Value error, ')[:120]}"
    # Without a place the input is the whole device, which says nothing.
    if error["type"] == "missing" or not error["loc"]:
        return said
    return f"{said}, not {_short(error['input'])}"


def _hint(error: Any) -> str | None:
    kind, value = error["type"], error["input"]
    if error["loc"] == ("runtime",) and isinstance(value, str):
        return suggestion(value[:60], list(runtime_names()))
    if kind in ("literal_error", "enum") and isinstance(value, str):
        known = re.findall(r"'([^']+)'", str(error["ctx"]["expected"]))
        return suggestion(value[:60], known)
    if kind == "string_type" and isinstance(value, bool):
        return "put it in quotes if it is a word"
    if kind == "int_type" and isinstance(value, str) and re.match(r"-?[0-9]", value):
        return "write a whole number in decimal digits, without leading zeros and without quotes"
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
