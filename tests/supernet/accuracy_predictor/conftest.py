"""Spaces whose accuracies are made up: a smooth function of the choices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from compofa.common.arrays import FloatArray
from compofa.supernet.accuracy_predictor import perceptron
from compofa.supernet.accuracy_predictor.choices import choices_of
from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet

Made = Callable[..., MeasuredAccuracies]


def accuracies(measured_space: Space, subnets: list[Subnet], sizes: list[int]) -> FloatArray:
    """More blocks, larger ratios, kernels, widths and images help, each less and less."""
    choices = choices_of(measured_space, subnets, sizes)
    size = np.log1p(choices.expands).sum(axis=1) + 0.05 * choices.kernels.sum(axis=1)
    size = size + choices.widths.sum(axis=1) + 3 * np.log(choices.sizes / 100)
    top1: FloatArray = 0.8 - np.exp(-size / 15) / 2
    return top1


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are fitted in a fifth of the usual steps: the functions here are simple."""
    monkeypatch.setattr(perceptron, "STEPS", 200)


@pytest.fixture(scope="session")
def made() -> Made:
    """Gives made-up measurements of n subnets of a space, at some resolutions."""

    def call(
        name: str, n: int = 60, sizes: tuple[int, ...] = (160, 224), noise: float = 0.0
    ) -> MeasuredAccuracies:
        space, rng = SPACES[name], np.random.default_rng(0)
        drawn = list(dict.fromkeys(space.sample(rng) for _ in range(2 * n)))[:n]
        subnets, pixels = drawn * len(sizes), [size for size in sizes for _ in drawn]
        top1 = accuracies(space, subnets, pixels)
        top1 = top1 + noise * rng.standard_normal(len(top1))
        return MeasuredAccuracies(space, tuple(subnets), tuple(pixels), top1)

    return call
