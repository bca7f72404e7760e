"""Reads a user's own space: a YAML file with the differences from a built-in space."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from compofa.common.errors import UserError, suggestion
from compofa.common.yaml_lines import read_yaml
from compofa.supernet.space import Space
from compofa.supernet.subnet import Unit
from compofa.supernet.subnet_keys import listed


def read_space_file(path: Path, bases: Mapping[str, Space], default_base: str) -> Space:
    """Reads the space that a YAML file defines.

    Its fields are `name` (required), `base`, `width`, `classes`, `input_channels`, `resolutions`,
    `stem_stride`, `coupling` (a mapping of depths to expand ratios, or `free`) and `kernels` (one
    per unit, or `elastic`).

    Args:
        path: the file.
        bases: the spaces that `base` may name.
        default_base: the name of the base if the file has no `base`.

    Raises:
        UserError: the file cannot be read, or a field is wrong; the message names the line.
    """
    document = read_yaml(path, "the space file")
    if not isinstance(document.data, dict):
        raise UserError("a space file is a mapping with at least a name", path=path, line=1)
    given: dict[str, Any] = dict(document.data)
    for field in given:
        if field not in _SPACE_FIELDS:
            hint = suggestion(str(field), list(_SPACE_FIELDS))
            raise document.error((field,), f"unknown field {field!r}", hint)
    if "name" not in given:
        raise UserError("the space has no name", path=path, line=1)

    def read(field: str, default: Any) -> Any:
        if field not in given:
            return default
        accepts, form = _SPACE_FIELDS[field]
        if not accepts(given[field]):
            said = repr(given[field])[:120]
            raise document.error((field,), f"{field} must be {form}, not {said}")
        return given[field]

    name = read("name", "")
    if name in bases:
        raise document.error(("name",), f"{name!r} is the name of a built-in space")
    base_name = read("base", default_base)
    if base_name not in bases:
        hint = suggestion(base_name, list(bases))
        raise document.error(("base",), f"unknown base {base_name!r}", hint)
    base = bases[base_name]
    units = base.units
    if "coupling" in given:
        units = _recoupled(units, read("coupling", None), document.error)
    if "kernels" in given:
        units = _rekerneled(units, read("kernels", None), document.error)
    return replace(
        base,
        name=name,
        units=units,
        width=float(read("width", base.width)),
        classes=read("classes", base.classes),
        in_channels=read("input_channels", base.in_channels),
        stem_stride=read("stem_stride", base.stem_stride),
        resolutions=tuple(read("resolutions", base.resolutions)),
    )


def _recoupled(units: tuple[Unit, ...], coupling: Any, error: Any) -> tuple[Unit, ...]:
    if coupling == "free":
        return tuple(replace(unit, coupling=None) for unit in units)
    recoupled = []
    for unit in units:
        pairs = []
        for depth in unit.depths:
            expand = coupling.get(str(depth)) if len(unit.depths) > 1 else unit.expands[-1]
            if expand not in unit.expands:
                known = listed(unit.expands)
                message = f"depth {depth} must be coupled to one of the expand ratios {known}"
                raise error(("coupling", str(depth)), message)
            width = unit.coupled(depth)[1] if unit.coupling else max(unit.widths)
            pairs.append((depth, expand, width))
        recoupled.append(replace(unit, coupling=tuple(pairs)))
    return tuple(recoupled)


def _rekerneled(units: tuple[Unit, ...], kernels: Any, error: Any) -> tuple[Unit, ...]:
    if kernels == "elastic":
        return tuple(replace(unit, kernels=(3, 5, 7)) for unit in units)
    if len(kernels) != len(units) or any(kernel not in (3, 5, 7) for kernel in kernels):
        raise error(("kernels",), f"kernels must be {len(units)} of 3, 5 and 7, or 'elastic'")
    return tuple(replace(u, kernels=(k,)) for u, k in zip(units, kernels, strict=True))


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


_SPACE_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (
        lambda v: isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", v) is not None,
        "a short name of letters, digits, '.', '_' and '-'",
    ),
    "base": (lambda v: isinstance(v, str), "the name of a space"),
    "width": (
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and 0.05 <= v <= 8,
        "a number from 0.05 to 8",
    ),
    "classes": (lambda v: _is_int(v, 1, 1_000_000), "a whole number from 1 to 1000000"),
    "input_channels": (lambda v: _is_int(v, 1, 1024), "a whole number from 1 to 1024"),
    "stem_stride": (lambda v: _is_int(v, 1, 2), "1 or 2"),
    "resolutions": (
        lambda v: isinstance(v, list) and bool(v) and all(_is_int(r, 8, 4096) for r in v),
        "a list of whole numbers from 8 to 4096",
    ),
    "coupling": (
        lambda v: v == "free" or isinstance(v, dict),
        "a mapping of depth to expand ratio, or 'free'",
    ),
    "kernels": (
        lambda v: v == "elastic" or isinstance(v, list),
        "a list of kernel sizes, one per unit, or 'elastic'",
    ),
}
