"""What a change of latencies costs in accuracy, and how often noise alone is taken for a cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.profiler.results.table import Table
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.front_change import front_change
from rigs.tables import COMPOFA, make_table


def candidates(table: Table) -> Candidates:
    return join([Latencies(Path("t.csv"), table)], COMPOFA, load_accuracy(None, COMPOFA))


def measured(sd: float, seed: int = 0, factor: float = 1.0) -> Candidates:
    """486 cells, each off by chance, with intervals that know by how much."""
    table = make_table(factor=factor)
    noise = np.exp(sd * np.random.default_rng(seed).standard_normal(len(table.rows)))
    rows = []
    for row, off in zip(table.rows, noise.tolist(), strict=True):
        assert row.latency_ms is not None
        ms = row.latency_ms * off
        ends = {"ci_low_ms": ms * np.exp(-1.96 * sd), "ci_high_ms": ms * np.exp(1.96 * sd)}
        rows.append(replace(row, latency_ms=ms, **ends))
    return candidates(replace(table, rows=tuple(rows)))


@pytest.mark.parametrize("sd", [0.01, 0.05])
@pytest.mark.parametrize("min_effect", [0.0, 0.03])
def test_noise_alone_rarely_costs_accuracy(sd: float, min_effect: float) -> None:
    falls = sum(
        bool(front_change(measured(sd, seed), measured(sd, 1000 + seed), 1.0, min_effect).falls)
        for seed in range(40)
    )
    # At most 5 %: of 40, 6 would come up once in 70 times.
    assert falls < 6


def test_a_slow_down_of_everything_costs_accuracy_at_every_limit() -> None:
    change = front_change(measured(0.005), measured(0.005, 1, factor=1.15), 1.0, 0.03)
    assert len(change.falls) >= 0.9 * len(change.limits)
    assert all(fall.after < fall.before for fall in change.falls)
    assert f"at {len(change.falls)} of {len(change.limits)} limits" in change.sentences()[0]


def test_what_the_device_does_to_everything_is_taken_off() -> None:
    change = front_change(measured(0.005), measured(0.005, 1, factor=1.15), 1.15, 0.03)
    assert change.falls == ()
    assert change.new[0][0] == pytest.approx(change.base[0][0], rel=0.03)


def test_a_subnet_that_another_replaces_costs_nothing() -> None:
    base = make_table()
    found = front_change(candidates(base), candidates(base), 1.0, 0.0)
    member_ms = found.base[3][0]
    rows = [
        replace(row, latency_ms=9 * member_ms, ci_low_ms=8 * member_ms, ci_high_ms=10 * member_ms)
        if row.latency_ms == member_ms
        else row
        for row in base.rows
    ]
    change = front_change(candidates(base), candidates(replace(base, rows=tuple(rows))), 1.0, 0.25)
    assert change.falls == ()


def test_without_intervals_nothing_is_sure() -> None:
    slower = make_table(factor=2.0)
    rows = [replace(row, ci_low_ms=None, ci_high_ms=None) for row in slower.rows]
    change = front_change(
        candidates(make_table()), candidates(replace(slower, rows=tuple(rows))), 1.0, 0.03
    )
    assert change.falls == ()
    assert change.limits[-1].after < change.limits[-1].before
