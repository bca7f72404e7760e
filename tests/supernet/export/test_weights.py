"""Weights of one subnet: named after the graph, scaled for timing, made without torch."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from compofa.supernet.export.weights import folded_weights, random_weights, weight_shapes
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_random_weights_have_the_shapes_of_the_graph(space: Space) -> None:
    graph = build_graph(space, space.sample(np.random.default_rng(0)), 64)
    weights = random_weights(graph, 0)
    assert {name: values.shape for name, values in weights.items()} == weight_shapes(graph)
    assert all(values.dtype == np.float32 for values in weights.values())


def test_folded_weights_have_the_shapes_of_the_graph() -> None:
    space = SPACES["ofa-mbv3"]
    subnet = space.sample(np.random.default_rng(0))
    weights = folded_weights(Supernet(space), subnet)
    expected = weight_shapes(build_graph(space, subnet, 64))
    assert {name: values.shape for name, values in weights.items()} == expected
    assert all(values.flags.c_contiguous for values in weights.values())


def test_batch_norm_is_folded() -> None:
    space = SPACES["compofa"]
    supernet = Supernet(space)
    state = supernet.state_dict()
    state["stem.bn.running_mean"].fill_(2)
    state["stem.bn.running_var"].fill_(4)
    state["stem.bn.weight"].fill_(3)
    state["stem.bn.bias"].fill_(1)
    weights = folded_weights(supernet, space.extreme(False))
    np.testing.assert_allclose(weights["stem.bias"], 1 - 3 * 2 / np.sqrt(4 + 1e-5), rtol=1e-6)
    expected = state["stem.conv.weight"].numpy() * 3 / np.sqrt(4 + 1e-5)
    np.testing.assert_allclose(weights["stem.weight"], expected, rtol=1e-5)


def test_a_seed_gives_the_same_weights_again_and_another_gives_others() -> None:
    graph = build_graph(SPACES["compofa"], SPACES["compofa"].extreme(False), 64)
    first, again, other = (random_weights(graph, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_random_weights_take_less_than_20_ms() -> None:
    space = SPACES["compofa"]
    graph = build_graph(space, space.extreme(True), 224)
    times = []
    for seed in range(7):
        start = time.process_time()
        random_weights(graph, seed)
        times.append(time.process_time() - start)
    assert min(times) < 0.020


def test_neither_weights_nor_writers_import_torch() -> None:
    export = ("weights", "formats", "onnx", "tflite", "coreml", "description", "layers")
    commands = ("export_command", "train_command")
    modules = [f"export.{name}" for name in export] + [f"commands.{name}" for name in commands]
    program = "import sys\n" + "".join(f"import compofa.supernet.{m}\n" for m in modules)
    program += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_supernet_in_training_folds_its_running_statistics() -> None:
    space = SPACES["compofa"]
    supernet, subnet = Supernet(space).train(), space.extreme(False)
    supernet(torch.randn(2, 3, 64, 64), subnet)
    assert folded_weights(supernet, subnet)["stem.bias"].any()
