"""The runtimes that there are: ours, and those of packages that register more of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from compofa.common.entry_points import load_registered, registered
from compofa.common.errors import suggestion

if TYPE_CHECKING:
    from compofa.profiler.runtimes.spec import RuntimeSpec

GROUP = "compofa.runtimes"
"""The entry points: each is called like its runtime and refers to a `RuntimeSpec`."""


def runtime_names() -> tuple[str, ...]:
    """The names of all runtimes; none of their modules is imported for it."""
    return tuple(sorted(registered(GROUP)))


@cache
def find_runtime(name: str) -> RuntimeSpec:
    """The runtime called `name`.

    Raises:
        UserError: no installed package registers it.
    """
    # Listing devices takes the names alone, and not what specs import: graphs and formats.
    from compofa.profiler.runtimes.spec import RuntimeSpec

    return load_registered(GROUP, name, "runtime", RuntimeSpec)


@cache
def runtime_settings() -> dict[str, dict[str, tuple[str, ...]]]:
    """Keys of devices.yaml that are one runtime's alone: key -> runtime -> values."""
    settings: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in runtime_names():
        for key, values in find_runtime(name).settings.items():
            settings.setdefault(key, {})[name] = values
    return settings


def setting_problem(key: str, value: object) -> str | None:
    """What is wrong with a setting that only some runtimes have; None if it is in order."""
    owners = runtime_settings().get(key)
    if owners is None:
        return f"no runtime has the setting {key!r}"
    known = [*dict.fromkeys(value for values in owners.values() for value in values)]
    if value in known:
        return None
    close = suggestion(value, known) if isinstance(value, str) else f"known: {', '.join(known)}"
    return f"{key} of {' and '.join(owners)} cannot be {str(value)[:60]!r} ({close})"
