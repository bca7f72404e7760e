"""Two sides of a comparison that were measured on paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.profiler.comparison.changes import Changes, compare_tables
from compofa.profiler.comparison.front import FrontChange, Limit
from compofa.profiler.comparison.sides import Side
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.results.table import Cell, Row, SetUp, Table
from compofa.profiler.statistics.interval import estimate_cells

SETUP = SetUp("phone", "onnxruntime", "1.2", "cpu", 1, "float32")
CELLS = tuple(Cell("compofa", f"d{a}{b}222", 160, 1) for a in "234" for b in "234")

MakeSide = Callable[..., Side]


def make_side(
    seed: int = 0,
    *,
    changed: Mapping[Cell, float] | None = None,
    host: float = 1.0,
    noise: float = 0.002,
    sessions: int = 6,
    cells: tuple[Cell, ...] = CELLS,
    journal: bool = True,
    failed: tuple[Cell, ...] = (),
    device: str = "phone",
    **facts: object,
) -> Side:
    """Cells of 10 to 18 ms and a reference of 2 ms on a host; some are slower by a factor."""
    rng = np.random.default_rng(seed)
    effects = noise * rng.standard_normal(sessions)
    names: list[Cell | None] = [None, *(cell for cell in cells if cell not in failed)]
    values: dict[Cell | None, dict[int, float]] = {}
    for position, cell in enumerate(names):
        ms = 2.0 if cell is None else 10.0 + (position - 1) % 9
        ms *= host * (1.0 if cell is None else (changed or {}).get(cell, 1.0))
        scatter = effects + noise * rng.standard_normal(sessions)
        values[cell] = {s: ms * math.exp(each) for s, each in enumerate(scatter, start=1)}
    estimates = estimate_cells(values)
    rows = [
        Row(
            cell, each.value, each.low, each.high, 0.95, each.value, "measured", "ok", sessions,
            10 * sessions, "", "",
        )
        for cell, each in estimates.items()
        if cell is not None
    ]  # fmt: skip
    rows += [
        Row(cell, None, None, None, 0.95, None, "measured", "failed", 1, 0, "", "")
        for cell in failed
    ]
    known = {"runtime": "onnxruntime", "runtime_version": "1.2", "threads": 1, "cpu": "Paper"}
    return Side(
        Path(f"{seed}.csv"),
        Table(replace(SETUP, device=device), tuple(rows)),
        known | facts,
        values if journal else None,
        None,
    )


@pytest.fixture
def side() -> MakeSide:
    return make_side


@pytest.fixture
def changes() -> Changes:
    """One cell of nine is 8 % slower, another 8 % faster, on a host that is 6 % slower."""
    new = make_side(2, changed={CELLS[0]: 1.08, CELLS[1]: 0.92}, host=1.06)
    return compare_tables(make_side(1), new)


FRONT = FrontChange(
    (Limit(10.0, 0.75, 0.74, fell=True), Limit(12.0, 0.77, 0.77, fell=False)),
    ((10.0, 0.75), (12.0, 0.77)),
    ((10.8, 0.75), (12.0, 0.77)),
    predicted=True,
)


@pytest.fixture
def report(changes: Changes) -> Report:
    """Those changes on one device, with what they mean for its front."""
    return Report((Compared(changes, FRONT),))
