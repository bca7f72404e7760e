"""Facts about a table as lists of label and value: set-up, device, protocol, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compofa.profiler.report.remarks import percent
from compofa.profiler.results.columns.column_summary import described_columns
from compofa.profiler.results.meta import Meta
from compofa.profiler.results.table import Table
from compofa.profiler.statistics.variance_components import VarianceComponents

LONGEST = 200
"""Characters of one value; more of them are cut off."""

MOST_ROWS = 60
"""Rows of one list: what a device says of itself has no other bound."""

DEEPEST = 3
"""Lists in lists that are shown, at most."""

PROTOCOL = {
    "target": "a cell is done at ±",
    "confidence": "confidence of measured intervals",
    "prediction_confidence": "confidence of predicted intervals",
    "min_sessions": "sessions of a cell, at least",
    "max_sessions": "sessions of a cell, at most",
    "min_runs": "timed runs in a session, at least",
    "max_runs": "timed runs in a session, at most",
    "run_s": "seconds of timed runs to aim for",
    "warmup_chunk": "runs between two looks at warm-up",
    "warmup_s": "seconds of warm-up, at most",
    "reference_runs": "runs of the reference model at a time",
    "tolerance": "largest difference from the host's output",
    "max_time_s": "seconds in all, at most",
}
"""Plain words for the fields of the protocol; those in `SHARES` are shown in percent."""

SHARES = ("target", "confidence", "prediction_confidence")

CLOCKS = ("monotonic_s",)
"""What a state holds for the profiler's own use only."""

FactRows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FactList:
    """A titled list of facts."""

    title: str
    rows: FactRows


def setup_facts(table: Table) -> FactList:
    """What the table is about."""
    setup = table.setup
    cells = [row.cell for row in table.rows]
    latencies = sorted(row.latency_ms for row in table.rows if row.latency_ms is not None)
    threads = str(setup.threads) if setup.threads else "chosen by the runtime, or unknown"
    rows = [
        ("device", setup.device),
        ("runtime", f"{setup.runtime} {setup.runtime_version}".strip()),
        ("accelerator", setup.accelerator or "unknown"),
        ("threads", threads),
        ("number format", setup.dtype or "unknown"),
        ("space", ", ".join(dict.fromkeys(cell.space for cell in cells))),
        ("resolutions", _listed({cell.resolution for cell in cells})),
        ("batch sizes", _listed({cell.batch_size for cell in cells})),
    ]
    if latencies:
        rows.append(("latencies", f"{latencies[0]:.3f} to {latencies[-1]:.3f} ms"))
    return FactList("Set-up", _bounded(rows))


def column_facts(table: Table, meta: Meta) -> FactList:
    """The measured columns: the median over cells, the smallest and the largest."""
    return FactList("What a run costs besides", _bounded(described_columns(table, meta.measures)))


def device_facts(meta: Meta) -> FactList:
    """What the device says of itself."""
    said = {**meta.facts, **meta.fingerprint}
    if meta.affinity is not None:
        said["affinity"] = list(meta.affinity)
    return FactList("Device", _bounded([(_label(name), _text(said[name])) for name in said]))


def state_facts(meta: Meta) -> FactList:
    """The device's state before and after, as far as it tells."""
    names = dict.fromkeys((*meta.state_before, *meta.state_after))
    rows = [
        (
            _label(name),
            f"{_text(meta.state_before.get(name))} → {_text(meta.state_after.get(name))}",
        )
        for name in names
        if name not in CLOCKS
    ]
    return FactList("State of the device, before → after", _bounded(rows))


def protocol_facts(meta: Meta) -> FactList:
    """How it was measured."""
    rows = [
        ("plan", _text(meta.plan.get("name"))),
        ("cells for the model / held out", _both(meta.plan, "fit", "held_out")),
        ("seed", _text(meta.plan.get("seed"))),
        ("sessions", str(meta.sessions)),
        ("first session began", meta.first_session_at or "unknown"),
        ("last session began", meta.last_session_at or "unknown"),
    ]
    for name, value in meta.protocol.items():
        if value is not None:
            share = name in SHARES and isinstance(value, int | float)
            shown = f"{100 * value:.4g} %" if share else _text(value)
            rows.append((PROTOCOL.get(name, _label(name)), shown))
    rows.append(("compofa", meta.compofa or "unknown version"))
    return FactList("Protocol", _bounded(rows))


def noise_facts(noise: VarianceComponents) -> FactList:
    """The components of the noise, as standard deviations."""
    parts = {
        "shared by all cells of a session": noise.session,
        "of one cell in one session": noise.session_cell,
        "from the scatter of runs": noise.within,
        "all of it: one cell, one session": noise.one_session,
    }
    rows = [(label, percent(100 * sd)) for label, sd in parts.items() if sd == sd]
    return FactList("Noise (standard deviations)", _bounded(rows))


def _both(values: Mapping[str, Any], first: str, second: str) -> str:
    return f"{_text(values.get(first))} / {_text(values.get(second))}"


def _listed(sizes: set[int]) -> str:
    ordered = sorted(sizes)
    if len(ordered) <= 12:
        return ", ".join(map(str, ordered))
    return f"{ordered[0]} to {ordered[-1]}, {len(ordered)} of them"


def _label(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any, depth: int = 0) -> str:
    if depth > DEEPEST:
        return "…"
    if value is None or value == []:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(each, depth + 1) for each in value)
    if isinstance(value, dict):
        return ", ".join(
            f"{_label(str(name))} {_text(each, depth + 1)}" for name, each in value.items()
        )
    return str(value)


def _bounded(rows: list[tuple[str, str]]) -> FactRows:
    return tuple((label[:LONGEST], value[:LONGEST]) for label, value in rows[:MOST_ROWS])
