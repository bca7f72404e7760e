"""The user's model files on a page: how fast each is, what it costs, what it was checked with."""

from __future__ import annotations

from dataclasses import dataclass

from compofa.profiler.results.evidence import Evidence
from compofa.profiler.results.meta import ModelFacts
from compofa.profiler.results.table import Row

MOST_MODELS = 500
UNKNOWN = ""


@dataclass(frozen=True)
class ListedModel:
    """One row of the list, as text; what is not known is empty.

    Attributes:
        cost: millions of MACs, millions of parameters, megabytes of weights.
        file: its name, size and inputs.
        checked: what its outputs were compared with.
    """

    name: str
    batch_size: str
    latency: str
    interval: str
    cost: tuple[str, str, str]
    file: str
    checked: str


def list_models(evidence: Evidence) -> tuple[ListedModel, ...]:
    """The models of a table, the fastest first; none where it is about subnets."""
    if evidence.meta is None or not evidence.meta.models:
        return ()
    facts = evidence.meta.models
    rows = sorted(evidence.table.rows, key=lambda row: row.latency_ms or float("inf"))
    columns = evidence.table.extra
    listed = []
    for row in rows[:MOST_MODELS]:
        cell = row.cell
        name = f"{cell.subnet}@{cell.resolution}x{cell.batch_size}"
        listed.append(_listed(row, columns, facts.get(name)))
    return tuple(listed)


def _listed(row: Row, columns: tuple[str, ...], facts: ModelFacts | None) -> ListedModel:
    told = dict(zip(columns, row.extra, strict=True))
    interval = UNKNOWN
    if row.ci_low_ms is not None and row.ci_high_ms is not None:
        interval = f"{row.ci_low_ms:.3f} to {row.ci_high_ms:.3f}"
    file = UNKNOWN
    if facts is not None:
        file = f"{facts.file}, {facts.bytes / 1e6:.2f} MB, {', '.join(facts.inputs)}"
    return ListedModel(
        name=row.cell.subnet,
        batch_size=str(row.cell.batch_size),
        latency="failed" if row.latency_ms is None else f"{row.latency_ms:.3f}",
        interval=interval,
        cost=(
            _millions(told.get("macs")),
            _millions(told.get("parameters")),
            _millions(told.get("weight_bytes")),
        ),
        file=file,
        checked=UNKNOWN if facts is None else facts.checked_with or "nothing",
    )


def _millions(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value / 1e6:,.0f}" if value >= 1e8 else f"{value / 1e6:.3g}"
