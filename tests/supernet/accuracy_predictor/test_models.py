"""What accuracy predictors take, and how well they learn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.stats import spearmanr

from compofa.common.arrays import FloatArray
from compofa.common.errors import UserError
from compofa.search.accuracy.released_predictor import encode, read_predictor
from compofa.supernet.accuracy_predictor import gaussian
from compofa.supernet.accuracy_predictor.choices import choices_of, choices_of_arrays
from compofa.supernet.accuracy_predictor.fitting import (
    ModelKind,
    encoding_of,
    errors_of,
    fit_predictor,
)
from compofa.supernet.accuracy_predictor.gaussian import GaussianProcess
from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
from compofa.supernet.accuracy_predictor.perceptron import HIDDEN, fit_perceptron
from compofa.supernet.accuracy_predictor.released_layout import INPUTS, LAYOUT
from compofa.supernet.spaces import SPACES

COMPOFA = SPACES["compofa"]
Made = Callable[..., MeasuredAccuracies]


@pytest.mark.parametrize("name", ["ofa-mbv3", "compofa", "compofa-elastic-w1.2"])
def test_the_released_layout_is_encoded_as_the_search_reads_it(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(0)
    subnets, sizes = [space.sample(rng) for _ in range(16)], list(range(112, 225, 16)) * 2
    found = LAYOUT.encode(choices_of(space, subnets, sizes))
    assert found.shape == (16, INPUTS)
    assert np.array_equal(found[:, :120], encode(space.arrays(subnets)))
    assert np.array_equal(found[:, 120:], np.tile(np.eye(8), (2, 1)))


@pytest.mark.parametrize("name", ["ofa-mbv3", "compofa", "compofa-resnet50"])
def test_many_subnets_at_once_are_the_same_choices(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(0)
    subnets, sizes = [space.sample(rng) for _ in range(20)], np.full(20, 192)
    found = choices_of_arrays(space, space.arrays(subnets), sizes)
    assert np.array_equal(found.numbers, choices_of(space, subnets, sizes.tolist()).numbers)


def test_free_widths_are_not_left_out_in_silence() -> None:
    space = SPACES["ofa-resnet50"]
    subnets = [space.extreme(True)]
    with pytest.raises(UserError, match="ofa-resnet50 has free widths"):
        choices_of_arrays(space, space.arrays(subnets), np.array([224]))


@pytest.mark.parametrize("name", ["ofa-mbv3", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_different_subnets_have_different_inputs(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(0)
    subnets = list(dict.fromkeys(space.sample(rng) for _ in range(200)))
    choices = choices_of(space, subnets, [224] * len(subnets))
    encoding = encoding_of(space, (160, 224))
    for inputs in (choices.numbers, encoding.encode(choices)):
        assert len(np.unique(inputs, axis=0)) == len(subnets)


@pytest.mark.parametrize("name", ["ofa-mbv3", "compofa", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_the_process_learns_a_smooth_function_from_few_subnets(made: Made, name: str) -> None:
    measured: MeasuredAccuracies = made(name, 100)
    (fitted,) = fit_predictor(measured, [ModelKind.GAUSSIAN])
    assert fitted.rmse < 0.2 * measured.top1.std()
    assert fitted.errors[-1].rank_correlation > 0.98


def test_the_process_averages_noise_out(made: Made) -> None:
    noisy, true = made("compofa", 150, noise=0.004), made("compofa", 150)
    process = GaussianProcess.fit(noisy.choices, noisy.top1)
    rmse = np.sqrt(np.mean((process.predict(true.choices) - true.top1) ** 2))
    assert rmse < 0.002


def test_the_slope_of_the_likelihood_is_right(made: Made) -> None:
    measured = made("ofa-resnet50", 12)
    features, groups = measured.choices.numbers, measured.choices.groups
    inputs = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    targets = (measured.top1 - measured.top1.mean()) / measured.top1.std()
    scales = np.linspace(-2, -0.5, 10)

    def value(at: FloatArray) -> float:
        return gaussian._unlikelihood(inputs, targets, groups, at)[0]

    _, slope = gaussian._unlikelihood(inputs, targets, groups, scales)
    assert slope == pytest.approx(approx_fprime(scales, value, 1e-6), rel=1e-3, abs=1e-3)


def test_equal_accuracies_are_predicted_as_they_are(
    made: Made,
) -> None:
    measured = made("compofa", 20)
    process = GaussianProcess.fit(measured.choices, np.full(40, 0.75))
    assert process.predict(measured.choices) == pytest.approx(0.75)


def test_a_choice_that_never_varied_changes_no_prediction(
    made: Made,
) -> None:
    measured = made("compofa", 60)
    shallow = np.array([subnet.depths[-1] == 2 for subnet in measured.subnets])
    choices = measured.choices
    process = GaussianProcess.fit(choices.rows(np.flatnonzero(shallow)), measured.top1[shallow])
    subnets = [COMPOFA.parse(f"d2323{depth}") for depth in (2, 3, 4)]
    found = process.predict(choices_of(COMPOFA, subnets, [160] * 3))
    assert found[1:] == pytest.approx(found[0])


def test_the_network_of_the_paper_learns(made: Made) -> None:
    measured = made("compofa", 100)
    network = fit_perceptron(measured.choices, measured.top1, LAYOUT)
    assert [weight.shape[0] for weight in network.weights] == [*HIDDEN, 1]
    rmse = np.sqrt(np.mean((network.predict(measured.choices) - measured.top1) ** 2))
    assert rmse < 0.3 * measured.top1.std()


def test_the_network_is_the_same_for_a_seed_and_leaves_torchs_generator_alone(
    made: Made,
) -> None:
    measured = made("compofa", 10)
    state = torch.get_rng_state()
    first = fit_perceptron(measured.choices, measured.top1, LAYOUT, seed=1)
    again = fit_perceptron(measured.choices, measured.top1, LAYOUT, seed=1)
    assert all(map(np.array_equal, first.weights, again.weights))
    assert torch.equal(torch.get_rng_state(), state)


def test_models_come_in_the_order_of_their_errors_on_unseen_subnets(
    made: Made,
) -> None:
    measured = made("compofa", 60, noise=0.002)
    found = fit_predictor(measured, list(ModelKind))
    assert {each.kind for each in found} == set(ModelKind)
    assert found[0].rmse <= found[1].rmse


def test_errors_are_told_per_resolution_and_over_all(
    made: Made,
) -> None:
    measured = made("compofa", 60, noise=0.004)
    (fitted,) = fit_predictor(measured, [ModelKind.GAUSSIAN])
    assert [each.resolution for each in fitted.errors] == [160, 224, None]
    parts, every = fitted.errors[:-1], fitted.errors[-1]
    assert every.cells == sum(each.cells for each in parts)
    assert every.cells == 24, "a fifth of the subnets, at both resolutions"
    squares = sum(each.cells * each.rmse**2 for each in parts)
    assert every.rmse == pytest.approx((squares / every.cells) ** 0.5)


def test_rank_correlation_is_spearmans(made: Made) -> None:
    measured = made("compofa", 40, noise=0.01)
    process = GaussianProcess.fit(measured.choices, measured.top1)
    expected = spearmanr(process.predict(measured.choices), measured.top1).statistic
    assert errors_of(process, measured)[-1].rank_correlation == pytest.approx(expected)


def test_where_there_is_nothing_to_rank_there_is_no_correlation(
    made: Made,
) -> None:
    measured = made("compofa", 20)
    flat = MeasuredAccuracies(measured.space, measured.subnets, measured.sizes, np.full(40, 0.5))
    (fitted,) = fit_predictor(flat, [ModelKind.GAUSSIAN])
    assert np.isnan(fitted.errors[-1].rank_correlation)


def test_a_few_subnets_are_too_few(made: Made) -> None:
    with pytest.raises(UserError, match="subnets are too few to fit a predictor to"):
        fit_predictor(made("compofa", 5), [ModelKind.GAUSSIAN])


def test_the_released_predictors_accuracies_are_learned_from_200_subnets(reference: Path) -> None:
    """A realistic surface: OFA's space as its own predictor, fitted to 16,000 subnets, sees it."""
    oracle, space = read_predictor(reference / "acc_predictor.pth"), SPACES["ofa-mbv3"]
    rng = np.random.default_rng(1)
    subnets = [space.sample(rng) for _ in range(500)]
    sizes = rng.choice([160, 176, 192, 208, 224], 500)
    top1 = oracle.top1_of(space, space.arrays(subnets), sizes)
    choices, first = choices_of(space, subnets, sizes.tolist()), np.arange(200)
    process = GaussianProcess.fit(choices.rows(first), top1[first])
    found, rest = process.predict(choices.rows(slice(200, None))), top1[200:]
    assert np.sqrt(np.mean((found - rest) ** 2)) < 0.0025
    assert spearmanr(found, rest).statistic > 0.98


def test_reading_and_using_a_process_does_not_import_torch() -> None:
    program = "import sys\nimport compofa.search.accuracy.fitted\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
