"""Families: against every possible family, on cases small enough to list them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compofa.common.arrays import FloatArray, IntArray
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.answer import ask
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.family.family import find_family
from compofa.search.family.k_median import choose_family
from rigs.tables import COMPOFA, make_table


def served(top1: FloatArray, latency: FloatArray, limits: FloatArray, rows: list[int]) -> float:
    """The sum over questions of the best accuracy among `rows`, by definition."""
    total = 0.0
    for limit in limits:
        total += max([0.0, *(top1[i] for i in rows if (latency[i] <= limit).all())])
    return total


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 3), st.integers(1, 4))
def test_no_family_serves_more(seed: int, n: int, tables: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    top1 = rng.integers(50, 60, n) / 100
    latency = rng.integers(1, 9, (n, tables)).astype(np.float64)
    limits = np.full((4 * tables, tables), np.inf)
    for i in range(len(limits)):
        limits[i, i % tables] = rng.integers(1, 10)
    found = choose_family(top1, latency, limits, count).tolist()
    assert len(found) <= count
    families = itertools.combinations(range(n), min(count, n))
    best = max(served(top1, latency, limits, list(rows)) for rows in families)
    assert served(top1, latency, limits, found) == pytest.approx(best, abs=1e-9)


def fleet() -> Candidates:
    tables = [
        Latencies(Path(f"{name}.csv"), make_table(name, slope=slope))
        for name, slope in (("phone", 1.0), ("board", 1.5))
    ]
    return join(tables, COMPOFA, load_accuracy(None, COMPOFA))


QUESTIONS = [(float(limit), np.inf) for limit in range(10, 30, 2)] + [
    (np.inf, float(limit)) for limit in range(26, 80, 6)
]


def test_the_loss_is_the_mean_distance_to_the_best_for_each() -> None:
    candidates = fleet()
    found = find_family(candidates, QUESTIONS, 3)
    best = [ask(candidates, [each], top=1).results for each in QUESTIONS]
    losses = []
    for each, results in zip(found.served, best, strict=True):
        if not results:
            assert each.best == 0
            continue
        assert each.best == results[0].top1
        losses.append(each.best - each.top1)
    assert found.loss == pytest.approx(np.mean(losses))
    top1: IntArray | FloatArray = candidates.top1[found.members]
    assert [e.top1 for e in found.served if e.member is not None] == [
        top1[e.member] for e in found.served if e.member is not None
    ]


def test_a_larger_family_never_loses_more_and_one_for_each_loses_nothing() -> None:
    candidates = fleet()
    losses = [find_family(candidates, QUESTIONS, count).loss for count in (1, 2, 3, 5, 20)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(0, abs=1e-9)


def test_members_that_would_add_nothing_are_left_out() -> None:
    candidates = fleet()
    found = find_family(candidates, [(1000.0, np.inf)], 5)
    assert len(found.members) == 1


def test_nothing_serves_limits_that_nothing_meets() -> None:
    found = find_family(fleet(), [(1.0, np.inf)], 2)
    assert len(found.members) == 0
    assert found.served[0].member is None
