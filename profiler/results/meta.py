"""The meta file of a table, NAME.meta.json: how its cells were measured. Written and read here."""

from __future__ import annotations

import json
import math
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from compofa.common.console import printable
from compofa.common.errors import UserError
from compofa.common.files import read_bounded, write_atomically
from compofa.profiler.latency_model import Additivity, HeldOutError
from compofa.profiler.results.journal import Pause
from compofa.profiler.results.journal_lines import check_schema
from compofa.profiler.results.speeds import TwoSpeeds
from compofa.profiler.results.table import SetUp
from compofa.profiler.statistics.interval import SharedError
from compofa.profiler.statistics.variance_components import VarianceComponents

META_SCHEMA = 1

LARGEST = 20_000_000
"""Bytes; a larger meta file is refused."""


def _known(value: Any) -> Any:
    """JSON has no NaN: what is null there is a number that is not known."""
    if not isinstance(value, dict):
        return value
    return {name: float("nan") if each is None else each for name, each in value.items()}


class MeasuredColumn(BaseModel):
    """What a measured column means, see `MeasureSpec`.

    Attributes:
        needs: the pass apart from timing that counted it; empty for what timing tells.
        held_out_percent: mean absolute error of its predictions on held-out cells; None where
            nothing was predicted or judged.
        predicted: whether cells that were not measured have it, by those predictions.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    meaning: str
    lower_is_better: bool = True
    needs: str = ""
    held_out_percent: float | None = None
    predicted: bool = False


class ModelFacts(BaseModel):
    """A user's model file, see `ModelLine`; `checked_with` is empty where outputs were not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: str
    format: str
    bytes: int
    inputs: tuple[str, ...]
    checked_with: str = ""


class Meta(BaseModel):
    """What NAME.meta.json says; parts that older versions did not write are empty.

    Attributes:
        compofa: the version that wrote it.
        fingerprint, facts: of the device.
        agent_sha256: of the Python agent.
        affinity: the CPUs that the agent was bound to; None for none.
        runtime_settings: how the runtime ran the models, in its own words.
        state_before, state_after: of the device, as far as it tells: load, pressure, temperatures.
        plan: its name, its space and seed, and how many cells it fitted and held out.
        drift: largest over smallest correction for drift, less one.
        shared_error: variance of the mean session effect on the log scale, which all latencies have
            in common, and its degrees of freedom.
        clock_tick_ns: the step of the device's clock; 1 where it is fine enough not to matter.
        doubts: why cells are not to be trusted although they were measured, by cell.
        speeds: two speeds that sessions, loads or runs were seen at.
        caveats: what casts doubt on all of the figures, in plain words, each once.
        failures: why cells could not be measured, by cell.
        additivity: whether latencies add up over units, by batch size.
        measures: the measured columns that were asked for, by name.
        models: the user's model files, by cell.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: int = Field(default=META_SCHEMA, alias="schema")
    compofa: str = ""
    setup: SetUp
    fingerprint: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    agent_sha256: str = ""
    affinity: tuple[int, ...] | None = None
    runtime_settings: dict[str, Any] = {}
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
    shared_error: SharedError | None = None
    clock_tick_ns: int | None = None
    doubts: dict[str, str] = {}
    speeds: tuple[TwoSpeeds, ...] = ()
    pauses: tuple[Pause, ...] = ()
    caveats: tuple[str, ...] = ()
    failures: dict[str, str] = {}
    additivity: dict[str, Additivity | None] = {}
    measures: dict[str, MeasuredColumn] = {}
    models: dict[str, ModelFacts] = {}

    @property
    def doubted(self) -> dict[str, int]:
        """How many cells there is the same doubt about, by what the doubt is."""
        return dict(Counter(self.doubts.values()))

    def to_json(self) -> dict[str, Any]:
        """What the file holds, as JSON has it: numbers that are not known are null."""
        content = _finite(self.model_dump(by_alias=True))
        assert isinstance(content, dict)
        return content


def meta_path(table: Path) -> Path:
    """The meta file of a table: NAME.meta.json."""
    return table.with_suffix(".meta.json")


def installed_version() -> str:
    """The version of this package."""
    return metadata.version("compofa")


def write_meta(path: Path, meta: Meta) -> None:
    """Writes a meta file so that `read_meta` gives it back equal.

    Raises:
        UserError: it cannot be written.
    """
    text = json.dumps(meta.to_json(), indent=1, allow_nan=False) + "\n"
    write_atomically(path, text, "the meta file")


def read_meta(path: Path) -> Meta:
    """Reads a meta file.

    Raises:
        UserError: it cannot be read, is too large, or is not a meta file of this version.
    """
    raw = read_bounded(path, LARGEST, "the meta file")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise UserError("the meta file is not JSON", path=path) from None
    try:
        check_schema(data.get("schema") if isinstance(data, dict) else None, META_SCHEMA)
        return Meta.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"the meta file is damaged: {place}: {first['msg']}"
        raise UserError(printable(message)[:300], path=path) from None
    except ValueError as error:
        message = f"not a meta file of schema {META_SCHEMA}: {error}"
        raise UserError(message, path=path) from None


def _finite(value: Any) -> Any:
    """`value` with null for every number that JSON cannot say."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
