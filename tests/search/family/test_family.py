"""Families: against every possible family, on cases small enough to list them."""

from __future__ import annotations

import itertools
import math
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
from compofa.search.family.family_output import family_columns
from compofa.search.family.k_median import _best_rows, _greedy, _prices, _worth, choose_family
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


def test_the_best_family_is_found_where_good_ones_are_not_the_best() -> None:
    """Additions and exchanges end elsewhere in some of these cases."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        values = rng.integers(0, 9, (14, 9)).astype(np.float64)
        found = _best_rows(values, 4)
        families = itertools.combinations(range(len(values)), 4)
        best = max(values[list(rows)].max(axis=0).sum() for rows in families)
        assert values[found].max(axis=0).sum() == best
        # So near the best that few families are left to look at.
        _, bound = _prices(values, 4, _worth(values, _greedy(values, 4)))
        assert best <= bound + 1e-9 < 1.02 * best


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


def test_each_member_is_shown_with_the_limits_that_it_serves() -> None:
    tables = [make_table("phone"), make_table("board", slope=1.2)]
    candidates = join(
        [Latencies(Path(f"{table.setup.device}.csv"), table) for table in tables],
        COMPOFA,
        load_accuracy(None, COMPOFA),
    )
    questions = [(12.0, math.inf), (14.0, math.inf), (28.0, math.inf), (math.inf, 40.0)]
    family = find_family(candidates, questions, 2)
    phone, board = family_columns(candidates, family)
    assert (phone.name, board.name) == ("limits on phone", "limits on board")
    served = [each.member for each in family.served]
    for member, (on_phone, on_board) in enumerate(zip(phone.values, board.values, strict=True)):
        mine = [limit for limit, who in zip((12, 14, 28), served, strict=False) if who == member]
        expected = {0: "none", 1: f"{min(mine, default=0)} ms"}.get(
            len(mine), f"{min(mine, default=0)} to {max(mine, default=0)} ms"
        )
        assert on_phone == expected
        assert on_board == ("40 ms" if served[3] == member else "none")
