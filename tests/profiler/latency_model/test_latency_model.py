"""What a latency model promises: small errors, honest intervals, clear refusals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from compofa.common.errors import UserError
from compofa.profiler.latency_model import (
    MINIMUM_CELLS,
    LatencyModel,
    Workload,
    choose_cells,
    held_out_error,
)
from compofa.supernet.blocks import Conv
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from rigs.benchmarks import load_benchmark

Floats = npt.NDArray[np.float64]


def sampled(space: Space, n: int, batch: int = 1, seed: int = 0) -> list[Workload]:
    rng = np.random.default_rng(seed)
    return [(space.sample(rng), int(rng.choice(space.resolutions)), batch) for _ in range(n)]


def simulated(
    space: Space, cells: Sequence[Workload], noise: float = 0.01, seed: int = 1
) -> Floats:
    """A device that computes or waits for memory, whichever is slower, layer by layer."""
    found = []
    for subnet, resolution, batch in cells:
        ms = 0.0
        for layer in build_graph(space, subnet, resolution).layers:
            slow = 4 if isinstance(layer, Conv) and layer.depthwise else 1
            compute = batch * layer.macs * slow / 10e6
            memory = 4 * (batch * (layer.input.elements + layer.output.elements)) / 5e6
            ms += 0.01 + max(compute, memory, layer.params / 2e6)
        found.append(ms)
    rng = np.random.default_rng(seed)
    return np.array(found) * np.exp(noise * rng.standard_normal(len(found)))


@pytest.fixture(scope="module")
def compound() -> tuple[Space, list[Workload], Floats]:
    space = SPACES["compofa"]
    cells = [(subnet, r, 1) for subnet in space.enumerate() for r in space.resolutions]
    shuffled = [cells[i] for i in np.random.default_rng(0).permutation(len(cells))]
    return space, shuffled, simulated(space, shuffled)


@pytest.fixture(scope="module")
def rtx2080ti(reference: Path) -> tuple[Space, list[Workload], Floats]:
    data: tuple[Space, list[Workload], Floats] = load_benchmark("latency_devices").rtx2080ti(
        reference, SPACES["ofa-mbv3"]
    )
    return data


@pytest.mark.parametrize(
    ("measured", "draws", "most_percent", "least_correlation"),
    [(20, 10, 2.3, 0.996), (50, 8, 1.6, 0.9975), (200, 3, 1.15, 0.998)],
)
def test_errors_and_coverage_on_a_real_gpu(
    rtx2080ti: tuple[Space, list[Workload], Floats],
    measured: int,
    draws: int,
    most_percent: float,
    least_correlation: float,
) -> None:
    space, cells, latency = rtx2080ti
    found = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(cells))
        fitted, rest = order[:measured], order[-500:]
        model = LatencyModel.fit(space, [cells[i] for i in fitted], latency[fitted])
        error = held_out_error(model, [cells[i] for i in rest], latency[rest], 0.9)
        found.append((error.mean_absolute_percent, error.rank_correlation, error.coverage))
    percent, correlation, coverage = np.mean(found, axis=0)
    assert percent <= most_percent
    assert correlation >= least_correlation
    assert 0.87 <= coverage <= 0.93


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_space_is_predicted_from_forty_cells(name: str) -> None:
    space = SPACES[name]
    cells = sampled(space, 140)
    latency = simulated(space, cells)
    model = LatencyModel.fit(space, cells[:40], latency[:40])
    error = held_out_error(model, cells[40:], latency[40:])
    assert error.mean_absolute_percent < 2
    assert error.rank_correlation > 0.99


@pytest.fixture(scope="module")
def models_of_twenty(compound: tuple[Space, list[Workload], Floats]) -> list[LatencyModel]:
    space, cells, latency = compound
    rows = np.arange(24 * 20).reshape(24, 20)
    return [LatencyModel.fit(space, [cells[i] for i in some], latency[some]) for some in rows]


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_what_they_promise(
    compound: tuple[Space, list[Workload], Floats],
    models_of_twenty: list[LatencyModel],
    confidence: float,
) -> None:
    _, cells, latency = compound
    inside = [
        held_out_error(model, cells[800:], latency[800:], confidence).coverage
        for model in models_of_twenty
    ]
    standard_error = np.sqrt(confidence * (1 - confidence) / 21 / len(inside))
    assert np.mean(inside) == pytest.approx(confidence, abs=3 * standard_error)


def test_intervals_grow_with_confidence_beyond_what_few_cells_show(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    model = LatencyModel.fit(space, cells[:8], latency[:8])
    widths = []
    for confidence in (0.5, 0.8, 0.9, 0.95, 0.99):
        predicted = model.predict(cells[8:40], confidence)
        assert (predicted.low_ms < predicted.latency_ms).all()
        assert (predicted.latency_ms < predicted.high_ms).all()
        widths.append(predicted.high_ms - predicted.low_ms)
    assert all((wide > narrow).all() for narrow, wide in itertools.pairwise(widths))


def test_one_run_in_a_wrong_clock_state_hardly_moves_predictions(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    slowed = latency[:60].copy()
    slowed[7] *= 1.3
    model = LatencyModel.fit(space, cells[:60], slowed)
    assert held_out_error(model, cells[60:], latency[60:]).mean_absolute_percent < 1.5


@pytest.mark.parametrize("factor", [1000, 10, 0.1])
def test_a_wrong_row_is_named_and_does_little_harm(
    compound: tuple[Space, list[Workload], Floats], factor: float
) -> None:
    space, cells, latency = compound
    wrong = latency[:50].copy()
    wrong[7] *= factor
    model = LatencyModel.fit(space, cells[:50], wrong)
    (suspect,) = model.suspects
    assert suspect.cell == cells[7]
    assert suspect.latency_ms == pytest.approx(wrong[7])
    assert suspect.expected_ms == pytest.approx(latency[7], rel=0.1)
    clean = LatencyModel.fit(space, cells[:50], latency[:50])
    assert clean.suspects == ()
    spoilt, good = (
        held_out_error(each, cells[50:250], latency[50:250]).mean_absolute_percent
        for each in (model, clean)
    )
    assert spoilt < 1.25 * good


@pytest.mark.parametrize("factor", [1000, 0.001])
def test_a_row_in_another_unit_bends_nothing_among_five(
    compound: tuple[Space, list[Workload], Floats], factor: float
) -> None:
    space, cells, latency = compound
    wrong = latency[:6].copy()
    wrong[2] *= factor
    model = LatencyModel.fit(space, cells[:6], wrong)
    without = LatencyModel.fit(space, cells[:2] + cells[3:6], np.delete(wrong, 2))
    assert [suspect.cell for suspect in model.suspects] == [cells[2]]
    np.testing.assert_allclose(
        model.predict(cells[6:50]).latency_ms, without.predict(cells[6:50]).latency_ms, rtol=1e-2
    )


def test_cells_outside_what_was_measured_are_told_and_their_intervals_hold(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    small = [i for i, cell in enumerate(cells) if cell[1] <= 176][:40]
    large = [i for i, cell in enumerate(cells) if cell[1] >= 208][:100]
    model = LatencyModel.fit(space, [cells[i] for i in small], latency[small])
    found = model.predict([cells[i] for i in large])
    assert found.outside.mean() > 0.9
    assert not model.predict([cells[i] for i in small]).outside.any()
    inside = (found.low_ms <= latency[large]) & (latency[large] <= found.high_ms)
    assert inside.mean() >= 0.9
    assert model.count_outside([cells[i] for i in large]) == found.outside.sum()


def floored(space: Space, cells: Sequence[Workload]) -> Floats:
    """A device that launches while it computes: small networks take the time of their launches."""
    found = []
    for subnet, resolution, _ in cells:
        layers = list(build_graph(space, subnet, resolution).layers)
        found.append(max(0.01 * len(layers), sum(layer.macs for layer in layers) / 60e6))
    noise = np.exp(0.01 * np.random.default_rng(3).standard_normal(len(found)))
    return np.array(found) * noise


@pytest.mark.parametrize("device", [simulated, floored])
@pytest.mark.parametrize(("most", "least", "way"), [(176, 208, "up"), (176, 208, "down")])
def test_intervals_hold_at_resolutions_on_either_side(
    compound: tuple[Space, list[Workload], Floats],
    device: Callable[[Space, Sequence[Workload]], Floats],
    most: int,
    least: int,
    way: str,
) -> None:
    space, cells, _ = compound
    latency = device(space, cells[:600])
    small = [i for i, cell in enumerate(cells[:600]) if cell[1] <= most]
    large = [i for i, cell in enumerate(cells[:600]) if cell[1] >= least]
    near, far = (small, large) if way == "up" else (large, small)
    found = []
    for first in range(0, 160, 40):
        fitted = near[first : first + 40]
        model = LatencyModel.fit(space, [cells[i] for i in fitted], latency[fitted])
        told = model.predict([cells[i] for i in far[:100]])
        found.append((told.low_ms <= latency[far[:100]]) & (latency[far[:100]] <= told.high_ms))
    assert np.mean(found) >= 0.88


def test_intervals_widen_step_by_step_far_outside(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    model = LatencyModel.fit(space, cells[:40], latency[:40])
    for sizes in [(128, 64, 32, 8), (256, 512, 1024, 4096)]:
        found = model.predict([(cells[0][0], size, 1) for size in sizes])
        assert found.outside.all()
        widths = np.log(found.high_ms / found.low_ms)
        assert (np.diff(widths) > 0).all()


def launched(cells: Sequence[Workload], space: Space, seed: int = 2) -> Floats:
    """A device that computes while it launches: most networks wait for one or for the other."""
    rng = np.random.default_rng(seed)
    found = []
    for subnet, resolution, _ in cells:
        layers = list(build_graph(space, subnet, resolution).layers)
        waiting = 0.06 * len(layers) * np.exp(0.08 * rng.standard_normal())
        computing = (
            sum(layer.macs for layer in layers) / 40e6 * np.exp(0.01 * rng.standard_normal())
        )
        found.append(max(waiting, computing))
    return np.array(found)


def test_launches_that_hide_behind_computing_are_learned(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, _ = compound
    latency = launched(cells[:450], space)
    model = LatencyModel.fit(space, cells[:50], latency[:50])
    error = held_out_error(model, cells[50:450], latency[50:])
    assert error.mean_absolute_percent < 5.5  # what no model can know is 3.5
    assert 0.82 <= error.coverage <= 0.98


def test_noisier_cells_count_less(compound: tuple[Space, list[Workload], Floats]) -> None:
    space, cells, latency = compound
    noise = np.where(np.arange(60) % 2, 0.15, 0.001)
    measured = latency[:60] * np.exp(noise * np.random.default_rng(5).standard_normal(60))
    told = LatencyModel.fit(space, cells[:60], measured, relative_noise=noise)
    untold = LatencyModel.fit(space, cells[:60], measured)
    errors = [
        held_out_error(model, cells[60:], latency[60:]).mean_absolute_percent
        for model in (told, untold)
    ]
    assert errors[0] < errors[1]


def test_the_unit_of_time_does_not_matter(compound: tuple[Space, list[Workload], Floats]) -> None:
    space, cells, latency = compound
    slow = LatencyModel.fit(space, cells[:30], 1000 * latency[:30]).predict(cells[30:60])
    fast = LatencyModel.fit(space, cells[:30], latency[:30]).predict(cells[30:60])
    np.testing.assert_allclose(slow.latency_ms, 1000 * fast.latency_ms, rtol=1e-3)


def test_the_same_measurements_give_the_same_predictions(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    first, second = (LatencyModel.fit(space, cells[:30], latency[:30], seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.predict(cells).high_ms, second.predict(cells).high_ms)


def test_batch_sizes_are_fitted_apart(compound: tuple[Space, list[Workload], Floats]) -> None:
    space, cells, latency = compound
    other = [(subnet, resolution, 8) for subnet, resolution, _ in cells[:30]]
    model = LatencyModel.fit(
        space, cells[:30] + other, np.concatenate([latency[:30], 100 / latency[:30]])
    )
    assert model.batch_sizes == (1, 8)
    alone = LatencyModel.fit(space, other, 100 / latency[:30]).predict(other)
    np.testing.assert_allclose(model.predict(other).latency_ms, alone.latency_ms, rtol=1e-6)


def test_a_batch_size_never_measured_is_refused(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    model = LatencyModel.fit(space, cells[:20], latency[:20])
    with pytest.raises(UserError, match="batch size 64 was never measured.* of batch size 1"):
        model.predict([(cells[0][0], 224, 64)])


def test_a_batch_size_with_too_few_cells_is_refused_by_their_number(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    few = [(subnet, resolution, 4) for subnet, resolution, _ in cells[:3]]
    model = LatencyModel.fit(space, cells[:20] + few, latency[:23])
    with pytest.raises(UserError, match="batch size 4 has only 3 measured cells"):
        model.predict(few)


def test_one_cell_repeated_is_one_cell(compound: tuple[Space, list[Workload], Floats]) -> None:
    space, cells, latency = compound
    with pytest.raises(UserError, match=f"at least {MINIMUM_CELLS} different .* there are 1"):
        LatencyModel.fit(space, [cells[0]] * 10, latency[:10])


def test_no_cells_are_refused() -> None:
    with pytest.raises(UserError, match="there are 0"):
        LatencyModel.fit(SPACES["compofa"], [], [])


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_latencies_that_are_no_times_are_refused(
    compound: tuple[Space, list[Workload], Floats], bad: float
) -> None:
    space, cells, latency = compound
    spoilt = latency[:10].copy()
    spoilt[3] = bad
    with pytest.raises(UserError, match="measured cell 4"):
        LatencyModel.fit(space, cells[:10], spoilt)


def test_lists_of_different_lengths_are_refused(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    with pytest.raises(UserError, match="10 cells"):
        LatencyModel.fit(space, cells[:10], latency[:9])


def test_a_subnet_of_another_space_is_refused(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    with pytest.raises(UserError, match="not a subnet of space compofa"):
        LatencyModel.fit(space, [*cells[:9], *sampled(SPACES["ofa-mbv3"], 1)], latency[:10])


@pytest.mark.parametrize("confidence", [0.0, 0.49, 0.995, 1.0, float("nan")])
def test_confidences_out_of_range_are_refused(
    compound: tuple[Space, list[Workload], Floats], confidence: float
) -> None:
    space, cells, latency = compound
    model = LatencyModel.fit(space, cells[:10], latency[:10])
    with pytest.raises(UserError, match="not between"):
        model.predict(cells[10:12], confidence)


def test_equal_latencies_predict_that_latency_and_rank_nothing(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, _ = compound
    model = LatencyModel.fit(space, cells[:30], np.full(30, 7.0))
    np.testing.assert_allclose(model.predict(cells[30:100]).latency_ms, 7.0, rtol=0.15)
    assert np.isnan(held_out_error(model, cells[30:60], np.full(30, 7.0)).rank_correlation)


def test_the_fewest_cells_still_give_finite_intervals(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    model = LatencyModel.fit(space, cells[:MINIMUM_CELLS], latency[:MINIMUM_CELLS])
    predicted = model.predict(cells, 0.99)
    assert np.isfinite(predicted.high_ms).all()
    assert (predicted.low_ms > 0).all()


def test_predicting_no_cells_gives_no_latencies(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    assert LatencyModel.fit(space, cells[:10], latency[:10]).predict([]).latency_ms.shape == (0,)


def test_chosen_cells_predict_better_than_random_ones(
    compound: tuple[Space, list[Workload], Floats],
) -> None:
    space, cells, latency = compound
    candidates, held_out = cells[:1000], cells[1000:]
    errors = []
    for seed in range(4):
        chosen = choose_cells(space, candidates, 20, seed=seed)
        drawn = np.random.default_rng(seed).choice(1000, 20, replace=False).tolist()
        errors.append(
            [
                held_out_error(
                    LatencyModel.fit(space, [cells[i] for i in rows], latency[rows]),
                    held_out,
                    latency[1000:],
                ).mean_absolute_percent
                for rows in (chosen, drawn)
            ]
        )
    by_choice, by_chance = np.mean(errors, axis=0)
    assert by_choice < by_chance
