"""Reading a table's meta file: how its cells were measured, checked before anything is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from compofa.common.errors import UserError, file_error
from compofa.profiler.latency_model import Additivity, HeldOutError
from compofa.profiler.results.build import META_SCHEMA
from compofa.profiler.results.journal import Pause
from compofa.profiler.results.table import SetUp
from compofa.profiler.statistics.variance_components import VarianceComponents

LARGEST = 20_000_000
"""Bytes; a larger meta file is refused."""


def _known(value: Any) -> Any:
    """JSON has no NaN: what is null there is a number that is not known."""
    if not isinstance(value, dict):
        return value
    return {name: float("nan") if each is None else each for name, each in value.items()}


class Meta(BaseModel):
    """What NAME.meta.json says; parts that older versions did not write are empty.

    Attributes:
        compofa: the version that wrote it.
        fingerprint, facts: of the device.
        state_before, state_after: of the device, as far as it tells: load, pressure, temperatures.
        drift: largest over smallest correction for drift, less one.
        additivity: per batch size.
        failures: reasons, by cell.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: int
    setup: SetUp
    compofa: str = ""
    fingerprint: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    affinity: tuple[int, ...] | None = None
    state_before: dict[str, Any] = {}
    state_after: dict[str, Any] = {}
    sessions: int = 0
    first_session_at: str = ""
    last_session_at: str = ""
    protocol: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    held_out_error: Annotated[HeldOutError | None, BeforeValidator(_known)] = None
    drift: float | None = None
    noise: Annotated[VarianceComponents | None, BeforeValidator(_known)] = None
    pauses: tuple[Pause, ...] = ()
    additivity: dict[str, Additivity | None] = {}
    failures: dict[str, str] = {}


def read_meta(path: Path) -> Meta:
    """Reads a meta file.

    Raises:
        UserError: it cannot be read, is too large, or is not a meta file of this version.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise file_error(error, path, "cannot read the meta file") from None
    if len(raw) > LARGEST:
        raise UserError(f"the meta file is larger than {LARGEST // 1_000_000} MB", path=path)
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise UserError("the meta file is not JSON", path=path) from None
    if not isinstance(data, dict) or data.get("schema") != META_SCHEMA:
        raise UserError(f"not a meta file of schema {META_SCHEMA}", path=path)
    try:
        return Meta.model_validate({**data, "schema_": data["schema"]})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"the meta file is damaged: {place}: {first['msg']}", path=path) from None
