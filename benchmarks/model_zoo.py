"""Twenty model files of different kinds: what somebody may bring who chooses between them.

    python benchmarks/model_zoo.py FOLDER

writes subnets of three families, a plain CNN of four widths, and a small transformer encoder of
four widths, each as .onnx, and the transformers as .pt2 of torch.export too, with a manifest
models.yaml. Weights are random: nobody knows how accurate such networks are. The column `capacity`
stands in for an accuracy; it is the logarithm of the number of parameters.
"""

from __future__ import annotations

import logging
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from compofa.supernet.export.formats import ONNX
from compofa.supernet.export.model_format import ModelContent
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES

SUBNETS = {
    "compofa": (128, 128, 160, 192),
    "compofa-proxyless-w1.3": (128, 128, 144, 176),
    "compofa-resnet50": (96, 96, 96, 128),
}
"""Of each family the sides of images in pixels, one for each subnet; the first is its smallest."""

CNN_WIDTHS = (8, 16, 24, 32)
ENCODER_WIDTHS = (32, 64, 96, 128)
WORDS, VOCABULARY = 32, 1000


class PlainCnn(nn.Module):
    """Four convolutions and a classifier of ten classes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in range(4):
            layers += [nn.Conv2d(channels, width << stage, 3, 2, 1), nn.ReLU()]
            channels = width << stage
        self.features, self.classifier = nn.Sequential(*layers), nn.Linear(channels, 10)

    def forward(self, image: Tensor) -> Tensor:
        """[n, 3, height, width] to [n, 10]."""
        scores: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return scores


class Encoder(nn.Module):
    """Two layers of a transformer over words, and a classifier of two classes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, 2)

    def forward(self, words: Tensor) -> Tensor:
        """Word numbers, [n, `WORDS`], to [n, 2]."""
        scores: Tensor = self.classifier(self.layers(self.embedding(words)).mean(1))
        return scores


def some_keys(space: str, count: int) -> list[str]:
    """The smallest subnet and others drawn at random."""
    known, rng = SPACES[space], np.random.default_rng(0)
    keys = {known.key(known.extreme(False)): None}
    while len(keys) < count:
        keys[known.key(known.sample(rng))] = None
    return list(keys)


def write_subnet(folder: Path, space: str, key: str, size: int) -> int:
    """One subnet; returns how many parameters it has."""
    known = SPACES[space]
    graph = build_graph(known, known.parse(key), size)
    content = ONNX.write(ModelContent(graph, random_weights(graph, 0)))
    (folder / f"{space}-{key}-r{size}.onnx").write_bytes(content)
    return graph.params


def write_module(path: Path, module: nn.Module, example: Tensor, *, program: bool) -> int:
    """A torch module as .onnx, and as .pt2 where `program`; returns how many parameters it has."""
    exported = torch.export.export(module.eval(), (example,))
    if program:
        torch.export.save(exported, path.with_suffix(".pt2"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            exported, (example,), path, dynamo=True, external_data=False, verbose=False
        )
    return sum(each.numel() for each in module.parameters())


def write_zoo(folder: Path) -> Path:
    """Writes all of them and the manifest; returns that."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(0)
    params: dict[str, int] = {}
    for space, sizes in SUBNETS.items():
        for key, size in zip(some_keys(space, len(sizes)), sizes, strict=True):
            params[f"{space}-{key}-r{size}"] = write_subnet(folder, space, key, size)
    for width in CNN_WIDTHS:
        path = folder / f"cnn-{width}.onnx"
        params[path.stem] = write_module(
            path, PlainCnn(width), torch.zeros(1, 3, 96, 96), program=False
        )
    for width in ENCODER_WIDTHS:
        path = folder / f"encoder-{width}.onnx"
        words = torch.zeros((1, WORDS), dtype=torch.int64)
        params[path.stem] = write_module(path, Encoder(width), words, program=True)
    entries = {}
    for name, count in params.items():
        suffixes = (".onnx", ".pt2") if (folder / f"{name}.pt2").exists() else (".onnx",)
        columns = {"capacity": round(math.log10(count), 4)}
        entries[name] = {"files": [name + suffix for suffix in suffixes], "columns": columns}
    manifest = folder / "models.yaml"
    manifest.write_text(yaml.safe_dump(entries, sort_keys=False))
    return manifest


if __name__ == "__main__":
    print(write_zoo(Path(sys.argv[1])))
