"""Probabilities that limits are met, and fronts whose members noise cannot tell apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.search.answer import ask
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.uncertainty import indistinguishable, probability_within
from rigs.tables import COMPOFA, make_table


def candidates(*slopes: float) -> Candidates:
    tables = [Latencies(Path(f"{s}.csv"), make_table(f"at {s}", slope=s)) for s in slopes]
    return join(tables, COMPOFA, load_accuracy(None, COMPOFA))


def test_the_chance_is_how_often_draws_meet_the_limit() -> None:
    draws = np.random.default_rng(0).normal(10, 1, 200_000)
    low, high = 10 - 1.959964, 10 + 1.959964
    for limit in (8.5, 9.9, 10.0, 11.2):
        expected = float((draws <= limit).mean())
        assert probability_within(10.0, low, high, 0.95, limit) == pytest.approx(
            expected, abs=0.005
        )


def test_without_an_interval_there_is_no_chance() -> None:
    assert probability_within(10.0, None, None, 0.95, 12.0) is None


def test_an_interval_without_width_leaves_no_doubt() -> None:
    assert probability_within(10.0, 10.0, 10.0, 0.95, 10.0) == 1
    assert probability_within(10.0, 10.0, 10.0, 0.95, 9.0) == 0


def test_a_risk_is_kept_by_every_answer() -> None:
    results = ask(candidates(1.0), [(20.0,)], risk=0.05).results
    assert results
    for each in results:
        assert each.probability is not None
        (within,) = each.probability
        assert within is not None
        assert within >= 0.95 - 1e-9


def test_the_joint_probability_is_that_of_all_limits_together() -> None:
    best = ask(candidates(1.0, 1.5), [(16.0, 45.0)], top=1).results[0]
    assert best.probability is not None
    first, second = best.probability
    assert first is not None
    assert second is not None
    assert best.joint_probability == pytest.approx(first * second)


def test_members_of_a_front_within_noise_name_each_other() -> None:
    top1 = np.array([0.8, 0.79, 0.7])
    latency = np.array([[10.0], [9.9], [5.0]])
    none = np.full(3, np.nan)
    assert indistinguishable(top1, none, latency, np.full((3, 1), 0.2)).tolist() == [-1, 0, -1]
    assert indistinguishable(top1, none, latency, np.full((3, 1), 0.01)).tolist() == [-1, -1, -1]
    assert indistinguishable(top1, np.full(3, 0.01), latency, np.zeros((3, 1))).tolist() == [
        1,
        -1,
        -1,
    ]


def test_the_front_marks_members_that_noise_cannot_separate() -> None:
    exact = candidates(1.0)
    blurred = replace(exact, low_ms=exact.latency_ms * 0.8, high_ms=exact.latency_ms * 1.2)
    sharp = replace(exact, low_ms=exact.latency_ms, high_ms=exact.latency_ms)
    assert all(each.indistinguishable_from is None for each in ask(sharp, []).results)
    marked = ask(blurred, []).results
    names = {f"{each.subnet} at {each.resolution}" for each in marked}
    assert any(each.indistinguishable_from for each in marked)
    assert {each.indistinguishable_from for each in marked} - {None} <= names


HEADER = "space,subnet,resolution,top1,source,top1_low,top1_high,confidence\n"


def test_an_accuracy_table_may_have_intervals(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        f"{HEADER}compofa,d22222,160,0.7,x,0.68,0.72,0.95\ncompofa,d44444,224,0.8,x,,,\n"
    )
    found = join([Latencies(Path("t.csv"), make_table())], COMPOFA, AccuracyTable.read(path))
    deviations = dict(zip([cell.subnet for cell in found.cells], found.top1_sd, strict=True))
    assert deviations["d22222"] == pytest.approx(0.02 / 1.959964)
    assert np.isnan(deviations["d44444"])


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ("0.71,0.72,0.95", "does not contain top1 0.7"),
        ("0.6,,0.95", "top1_high must be a finite number"),
        ("0.6,0.8,1.5", "confidence must be between 0 and 1"),
        ("-1,0.8,0.9", "top1_low is a fraction of one"),
    ],
)
def test_a_wrong_accuracy_interval_is_named_with_its_line(
    tmp_path: Path, interval: str, said: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}compofa,d22222,160,0.7,x,{interval}\n")
    with pytest.raises(UserError, match=said) as caught:
        AccuracyTable.read(path)
    assert str(caught.value).startswith(f"{path}:2: ")
