"""Exported TFLite models compute what the module does, in one piece, and say what they are."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from compofa.common.errors import MissingExtra, UserError
from compofa.supernet.blocks import Conv
from compofa.supernet.export.description import metadata
from compofa.supernet.export.tflite import write_tflite
from compofa.supernet.export.weights import folded_weights, random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from rigs.supernets import trained

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from rigs.litert import (
    interpreter,
    is_one_partition,
    logits,
    misaligned_buffers,
    operators,
    parsed,
)

EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
SPACE = SPACES["compofa"]


def images(space: Space, count: int, resolution: int) -> np.ndarray:
    size = (count, space.in_channels, resolution, resolution)
    return np.random.default_rng(resolution).standard_normal(size).astype(np.float32)


def small(resolution: int = 64, **options: Any) -> bytes:
    graph = build_graph(SPACE, SPACE.extreme(False), resolution)
    return write_tflite(graph, random_weights(graph, 0), **options)


@EVERY_SPACE
def test_outputs_equal_those_of_the_module(space: Space) -> None:
    """Sizes of layers are even and odd; benchmarks/bench_tflite.py tries 50 subnets a space."""
    supernet, rng = trained(space), np.random.default_rng(4)
    for resolution in (64, 75):
        subnet, image = space.sample(rng), images(space, 1, resolution)
        graph = build_graph(space, subnet, resolution)
        found = logits(write_tflite(graph, folded_weights(supernet, subnet)), image)
        with torch.no_grad():
            expected = supernet(torch.from_numpy(image), subnet).numpy()
        # ResNets have logits of up to a hundred here.
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(expected).max() > 0.01
        assert np.abs(found - expected).max() < 1e-4 * scale


@EVERY_SPACE
def test_xnnpack_takes_the_whole_network(space: Space) -> None:
    graph = build_graph(space, space.extreme(False), 64)
    assert is_one_partition(write_tflite(graph, random_weights(graph, 0)))


def test_every_layers_operators_are_there() -> None:
    graph = build_graph(SPACE, SPACE.extreme(False), 75)
    layers = list(graph.layers)
    swishes = sum(getattr(layer, "activation", None) == "h_swish" for layer in layers)
    found = operators(small(75))
    assert found.count("DEPTHWISE_CONV_2D") == sum(
        isinstance(layer, Conv) and layer.depthwise for layer in layers
    )
    assert found.count("HARD_SWISH") == swishes
    assert "RELU" not in found
    assert found[-1] == "FULLY_CONNECTED"


def test_padding_is_written_where_the_formats_own_is_another() -> None:
    """Layers of stride 2 see 160, 80, 40, 20 and 10 pixels; or 161, 81, 41, 21 and 11."""
    assert operators(small(160)).count("PAD") == 5
    assert operators(small(161)).count("PAD") == 0


def test_a_network_to_quantise_computes_the_same_without_hard_swish() -> None:
    image = images(SPACE, 1, 64)
    found, expected = logits(small(to_quantise=True), image), logits(small(), image)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert "HARD_SWISH" not in operators(small(to_quantise=True))


def test_shapes_are_those_of_batch_resolution_channels_and_classes() -> None:
    space = replace(SPACE, name="mine", classes=5, in_channels=1)
    graph = build_graph(space, space.extreme(False), 64)
    loaded = interpreter(write_tflite(graph, random_weights(graph, 0), batch_size=3))
    (image,), (found,) = loaded.get_input_details(), loaded.get_output_details()
    assert (image["shape"].tolist(), image["dtype"]) == ([3, 64, 64, 1], np.float32)
    assert (found["shape"].tolist(), found["dtype"]) == ([3, 5], np.float32)


def test_images_of_a_batch_do_not_meet() -> None:
    batch = images(SPACE, 3, 64)
    found = logits(small(batch_size=3), batch)
    alone = np.concatenate([logits(small(), image[None]) for image in batch])
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


def test_the_signature_names_input_and_logits() -> None:
    assert interpreter(small()).get_signature_list() == {
        "serving_default": {"inputs": ["input"], "outputs": ["logits"]}
    }


def test_a_model_says_what_it_is() -> None:
    graph = build_graph(SPACE, SPACE.extreme(False), 64)
    model = parsed(small(checkpoint_sha256="ab12"))
    (entry,) = model.metadata
    assert entry.name == b"compofa"
    found = json.loads(bytes(model.buffers[entry.buffer].data))
    assert found == metadata(graph, layout="NHWC", checkpoint_sha256="ab12")
    assert (found["subnet"], found["layout"]) == ("d22222", "NHWC")


def test_contents_are_aligned_and_within_the_flatbuffer() -> None:
    content = small()
    assert content[4:8] == b"TFL3"
    assert misaligned_buffers(content) == []


def test_another_process_without_torch_writes_the_same_bytes() -> None:
    program = """
import hashlib, sys
sys.modules["torch"] = None
from compofa.supernet.export.tflite import write_tflite
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from compofa.supernet.export.weights import random_weights
space = SPACES["compofa"]
graph = build_graph(space, space.extreme(False), 64)
sys.stdout.buffer.write(write_tflite(graph, random_weights(graph, 0)))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout == small()
    assert ended.stderr == b""


def test_weights_beyond_the_format_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compofa.supernet.export.tflite.LARGEST", 1_000_000)
    with pytest.raises(UserError, match="more weights than a TFLite file can hold"):
        small()


def test_without_ai_edge_litert_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingExtra, match=r"ai-edge-litert is not installed.*compofa\[tflite\]"):
        small()
