"""What a journal says of a user's model files, and which of its lines are still about them."""

from __future__ import annotations

from collections.abc import Sequence

from compofa.profiler.results.journal import (
    Cost,
    Failure,
    Journal,
    JournalLine,
    ModelLine,
    Timing,
    of_kind,
)
from compofa.profiler.results.table import Cell

COSTS = ("macs", "parameters", "weight_bytes")
"""Columns of tables that say what a file costs by its description."""

ModelName = tuple[str, str]
"""The collection and the model."""


def latest_models(lines: Sequence[JournalLine]) -> dict[Cell, ModelLine]:
    """What was said last of each model at each of its sizes."""
    return {line.cell: line for line in of_kind(lines, ModelLine)}


def lines_that_count(lines: Sequence[JournalLine]) -> list[JournalLine]:
    """The lines of a journal without those about files that have changed since.

    A timing or a cost counts if it is of the file, and of the input data, that the cell's last
    `ModelLine` names; a failure only if it came after the last `ModelLine` of its model, because
    each says that the model is to be tried. All lines about subnets count.
    """
    last: dict[ModelName, int] = {}
    data: dict[Cell, str] = {}
    changed: dict[Cell, int] = {}
    digest: dict[ModelName, str] = {}
    for place, line in enumerate(lines):
        if isinstance(line, ModelLine):
            name = line.cell.space, line.cell.subnet
            last[name], digest[name] = place, line.sha256
            if data.get(line.cell) != line.inputs_sha256:
                data[line.cell], changed[line.cell] = line.inputs_sha256, place
    if not last:
        return list(lines)

    def counts(place: int, line: JournalLine) -> bool:
        if isinstance(line, Failure):
            return place > last.get((line.cell.space, line.cell.subnet), -1)
        if isinstance(line, Timing | Cost) and line.cell is not None:
            known = digest.get((line.cell.space, line.cell.subnet), line.model_sha256)
            return line.model_sha256 == known and place > changed.get(line.cell, -1)
        return True

    return [line for place, line in enumerate(lines) if counts(place, line)]


def record_models(
    journal: Journal, models: Sequence[ModelLine], failures: Sequence[Failure]
) -> None:
    """Appends what was read of model files, as far as it is new.

    Models that have failed are said anew, so that they are tried again.
    """
    failed = {line.cell for line in of_kind(lines_that_count(journal.lines), Failure)}
    before = latest_models(journal.lines)
    for model in models:
        if before.get(model.cell) != model or model.cell in failed:
            journal.append(model)
    count = of_kind(lines_that_count(journal.lines), Failure)
    said = {(line.cell, line.reason) for line in count}
    for failure in failures:
        if (failure.cell, failure.reason) not in said:
            journal.append(failure)


def model_columns(lines: Sequence[JournalLine]) -> tuple[str, ...]:
    """The columns that a table has because of its model files: costs, then the user's own."""
    models = latest_models(lines).values()
    own = dict.fromkeys(name for line in models for name in line.columns)
    costs = [name for name in COSTS if any(getattr(line, name) is not None for line in models)]
    return tuple(dict.fromkeys((*costs, *own)))


def model_values(line: ModelLine | None, columns: Sequence[str]) -> tuple[float | None, ...]:
    """What a model's row says in those `columns`."""
    if line is None:
        return (None,) * len(columns)
    told = {name: getattr(line, name) for name in COSTS} | line.columns
    return tuple(told.get(name) for name in columns)
