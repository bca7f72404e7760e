"""Exact answers over arrays, against the definitions spelled out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compofa.search.exact import front, nearest, ranking, upper_ms, within

Array = npt.NDArray[np.float64]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Array, Array]:
    """Accuracies [n] and latencies [n, t]; coarse values, so that ties are common."""
    n, t = draw(st.integers(1, 25)), draw(st.integers(1, 3))
    top1 = draw(arrays(np.int64, n, elements=st.integers(0, 9))) / 10
    latency = draw(arrays(np.int64, (n, t), elements=st.integers(1, 9))).astype(np.float64)
    return top1, latency


@settings(deadline=None)
@given(problems(), st.integers(1, 9))
def test_the_best_within_limits_is_feasible_and_nothing_feasible_beats_it(
    problem: tuple[Array, Array], limit: int
) -> None:
    top1, latency = problem
    limits = (float(limit),) * latency.shape[1]
    found = within(ranking(top1, latency), latency, limits)
    feasible = [i for i in range(len(top1)) if all(latency[i] <= limit)]
    assert sorted(found.tolist()) == feasible
    expected = sorted((-top1[i], *latency[i]) for i in feasible)
    assert [(-top1[i], *latency[i]) for i in found] == expected


@settings(deadline=None)
@given(problems())
def test_the_front_is_what_nothing_dominates(problem: tuple[Array, Array]) -> None:
    top1, latency = problem
    points = np.column_stack([-top1, latency])

    def dominated(i: int) -> bool:
        return any((p <= points[i]).all() and (p < points[i]).any() for p in points)

    expected = {tuple(points[i]) for i in range(len(points)) if not dominated(i)}
    found = front(ranking(top1, latency), latency)
    assert {tuple(points[i]) for i in found} == expected
    assert len(found) == len(expected)
    assert (np.diff(top1[found]) <= 0).all()


def test_of_equal_accuracies_the_faster_is_better() -> None:
    order = ranking(np.array([0.7, 0.8, 0.8]), np.array([[1.0], [3.0], [2.0]]))
    assert order.tolist() == [2, 1, 0]


def test_the_nearest_exceeds_its_worst_limit_by_the_least() -> None:
    latency = np.array([[30.0, 8.0], [22.0, 12.0], [10.0, 20.0]])
    assert nearest(latency, (20.0, 10.0)) == 1
    assert nearest(latency[:, :1], (5.0,)) == 2


def test_a_limit_is_met_by_a_latency_equal_to_it() -> None:
    order = np.array([0])
    assert within(order, np.array([[20.0]]), (20.0,)).tolist() == [0]


def test_the_upper_latency_is_exceeded_as_often_as_asked() -> None:
    # sd 1: the 95 % interval of a mean of 10 ends at 11.96.
    latency, high = np.array([[10.0]]), np.array([[11.959964]])
    rng = np.random.default_rng(0)
    draws = rng.normal(10.0, 1.0, 100_000)
    for risk in (0.05, 0.2, 0.5):
        bound = upper_ms(latency, high, np.array([[0.95]]), risk)[0, 0]
        assert (draws > bound).mean() == pytest.approx(risk, abs=0.005)


def test_a_latency_without_an_interval_has_no_upper_latency() -> None:
    bound = upper_ms(np.array([[10.0]]), np.array([[np.nan]]), np.array([[0.95]]), 0.05)
    assert np.isnan(bound).all()
