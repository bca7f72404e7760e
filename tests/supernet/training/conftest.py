"""A training small enough to take a second: a narrow space, 60 images of 12x12."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compofa.supernet.data.batches.loading import Loading
from compofa.supernet.data.dataset import DataSet, open_data
from compofa.supernet.data.split import split_data
from compofa.supernet.data.view import SMALL_IMAGES
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.training.recipes.recipe import Recipe
from compofa.supernet.training.training import Training

torch.set_num_threads(1)

SMALL: dict[str, Any] = {
    "width": 0.05,
    "classes": 3,
    "in_channels": 1,
    "stem_stride": 1,
    "resolutions": (12, 16),
}
"""What makes a space small."""


@pytest.fixture(scope="session")
def small() -> Callable[[str], Space]:
    """Gives the small form of a known space."""
    return lambda name: replace(SPACES[name], name=f"small-{name}", **SMALL)


@pytest.fixture(scope="session")
def data(data_folder: Path) -> DataSet:
    return open_data(data_folder)


@pytest.fixture(scope="session")
def training_of(data: DataSet) -> Callable[..., Training]:
    """Gives a training of a recipe on a space, six steps an epoch."""

    def make(recipe: Recipe, space: Space, **changes: Any) -> Training:
        loading = Loading(space.in_channels, augmentation=SMALL_IMAGES)
        training = Training(recipe, space, split_data(data), loading, batch_size=10)
        return replace(training, **changes)

    return make
