"""Profiles of a device that exists on paper only: tables with meta files and journals."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from compofa.profiler.measurement.plan import make_plan
from compofa.profiler.results.build import write_tables
from compofa.profiler.results.journal import (
    Header,
    JournalLine,
    Pause,
    PlanLine,
    SessionLine,
    Timing,
    journal_path,
    read_journal,
)
from compofa.profiler.results.table import Cell, SetUp
from compofa.profiler.settings import Protocol
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

COMPOFA = SPACES["compofa"]
KINDS = {PlanLine: "plan", SessionLine: "session", Timing: "timing", Pause: "pause"}


def profile_on_paper(
    path: Path,
    *,
    device: str = "phone",
    sessions: int = 5,
    fit: int = 12,
    space: Space = COMPOFA,
    facts: dict[str, object] | None = None,
    seed: int = 7,
    factor: float = 1.0,
    host: float = 1.0,
    day: int = 1,
    predicted: bool = True,
) -> Path:
    """Writes the table, meta file and journal of a profile that nobody made.

    Sessions differ by 1 %, and the last third of the last one is throttled by 30 %.

    Args:
        factor: of the latency of all cells, but not of the reference model.
        host: of everything.
        day: of January 2026.
        predicted: whether there are cells beyond those measured; fitting a model takes time.
    """
    setup = SetUp(device, "onnxruntime", "1.2", "cpu", 1, "float32")
    header = Header(setup, {"cpu": "Paper", "cpus": 2, **(facts or {})})
    plan = make_plan(space, (160,), (1,), fit)
    if not predicted:
        indices = tuple(range(len(plan.measured)))
        plan = replace(plan, cells=plan.measured, fit=indices, held_out=())
    lines: list[JournalLine] = [
        PlanLine(
            space.name,
            plan.name,
            plan.seed,
            plan.cells,
            plan.fit,
            plan.held_out,
            asdict(Protocol(max_sessions=sessions)),
            f"2026-01-{day:02}T00:00:00Z",
        )
    ]
    rng = np.random.default_rng(seed)
    for number in range(1, sessions + 1):
        throttled = 2 / 3 if number == sessions else 2.0
        lines += _session(number, space, plan.measured, rng, throttled, factor, host, day)
    records: list[dict[str, object]] = [{"kind": "header", **asdict(header)}]
    records += [{"kind": KINDS[type(line)], **asdict(line)} for line in lines]
    journal_path(path).write_text("".join(json.dumps(record) + "\n" for record in records))
    write_tables(path, space, *read_journal(journal_path(path)))
    return path


def _session(
    number: int,
    space: Space,
    cells: tuple[Cell, ...],
    rng: np.random.Generator,
    throttled_from: float,
    factor: float,
    host: float,
    day: int,
) -> list[JournalLine]:
    started = f"2026-01-{day:02}T00:{number:02}:00Z"
    state = {"load_1m": 0.1, "monotonic_s": 1.0}
    lines: list[JournalLine] = [SessionLine(number, started, number, {"cpu": "Paper"}, state, (0,))]
    effect = host * (1 + 0.01 * rng.standard_normal())

    def timing(at: int, cell: Cell | None, ms: float) -> Timing:
        slow = 1.3 if at > throttled_from * 2 * len(cells) else 1.0
        runs = ms * 1e6 * slow * effect * (1 + 0.003 * np.abs(rng.standard_normal(10)))
        ns = tuple(map(int, runs))
        return Timing(number, cell, "ab" * 32, 0.1 * at, 0, ns[:4], ns, state, started)

    lines.append(timing(0, None, 2.0))
    for i, cell in enumerate(cells):
        macs = build_graph(space, space.parse(cell.subnet), cell.resolution).macs
        lines.append(timing(2 * i + 1, cell, factor * (1 + macs / 2e7)))
        lines.append(timing(2 * i + 2, None, 2.0))
    reasons = ("busy: programs waited for a CPU 40 % of the last 10 s",)
    at = f"2026-01-{day:02}T00:{number:02}:02Z"
    lines.append(Pause(number, reasons, 1.0, True, at))
    return lines
