"""Whether int8 models see in real images what the float ones see.

    python benchmarks/bench_int8.py DIGITS

DIGITS is digits.csv.gz from scikit-learn's wheel (sklearn/datasets/data): 1,797 scanned digits of
8 x 8 pixels (Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits, 1998), enlarged to
48 x 48 here. Trains a narrow subnet of two families on 1,400 of them, quantises it in both formats,
and compares classes on the other 397. Writes benchmarks/results/int8.json.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from ai_edge_litert.interpreter import Interpreter
from machine import save
from torch.nn import functional as F

from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.quantisation.quantise import quantise_onnx, quantise_tflite
from compofa.supernet.export.tflite import write_tflite
from compofa.supernet.export.weights import folded_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

RESOLUTION, TRAINED, EPOCHS, BATCH = 48, 1400, 10, 64
CALIBRATED = (1, 10, 100)
"""How many of the training images set the ranges."""

Run = Callable[[bytes, np.ndarray], np.ndarray]


def digits(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [n, 1, 48, 48] in -1 to 1, and their digits [n], shuffled."""
    with gzip.open(path) as file:
        rows = np.random.default_rng(0).permutation(np.loadtxt(file, delimiter=","))
    pixels = torch.tensor(rows[:, :-1].reshape(-1, 1, 8, 8) / 8 - 1, dtype=torch.float32)
    size = (RESOLUTION, RESOLUTION)
    return F.interpolate(pixels, size=size, mode="bilinear"), torch.tensor(rows[:, -1]).long()


def train(supernet: Supernet, subnet: Subnet, images: torch.Tensor, labels: torch.Tensor) -> None:
    steps = EPOCHS * (len(images) // BATCH)
    optimiser = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, total_steps=steps)
    supernet.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for batch in torch.split(order, BATCH)[: len(images) // BATCH]:
            shift = torch.randint(-3, 4, (2,)).tolist()
            logits = supernet(torch.roll(images[batch], shift, (2, 3)), subnet)
            optimiser.zero_grad()
            F.cross_entropy(logits, labels[batch], label_smoothing=0.1).backward()
            optimiser.step()
            schedule.step()
    supernet.eval()


def in_litert(content: bytes, images: np.ndarray) -> np.ndarray:
    run = Interpreter(model_content=content, num_threads=1).get_signature_runner()
    nhwc = images.transpose(0, 2, 3, 1)
    return np.concatenate([run(input=image[None])["logits"] for image in nhwc])


def in_onnxruntime(content: bytes, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content)
    return np.concatenate([session.run(None, {"input": image[None]})[0] for image in images])


def compare(name: str, images: torch.Tensor, labels: torch.Tensor) -> list[dict[str, Any]]:
    space = replace(SPACES[name], name=f"digits-{name}", width=0.35, classes=10, in_channels=1)
    supernet, subnet = Supernet(space), space.extreme(False)
    train(supernet, subnet, images[:TRAINED], labels[:TRAINED])
    graph, weights = build_graph(space, subnet, RESOLUTION), folded_weights(supernet, subnet)
    tested, truth = images[TRAINED:].numpy(), labels[TRAINED:].numpy()
    with torch.no_grad():
        expected = supernet(torch.from_numpy(tested), subnet).numpy()
    quantised: tuple[tuple[str, bytes, Callable[[bytes, Iterable[Any]], bytes], Run], ...] = (
        ("tflite", write_tflite(graph, weights, to_quantise=True), quantise_tflite, in_litert),
        ("onnx", write_onnx(graph, weights), quantise_onnx, in_onnxruntime),
    )
    found = []
    for format_, content, quantise, run in quantised:
        for count in CALIBRATED:
            samples = (images[i : i + 1].numpy() for i in range(count))
            logits = run(quantise(content, samples), tested)
            found.append(
                {
                    "space": name,
                    "format": format_,
                    "calibration_images": count,
                    "float_top1": round(float((expected.argmax(1) == truth).mean()), 4),
                    "int8_top1": round(float((logits.argmax(1) == truth).mean()), 4),
                    "agreement": round(float((logits.argmax(1) == expected.argmax(1)).mean()), 4),
                    "correlation": round(float(np.corrcoef(logits.flat, expected.flat)[0, 1]), 5),
                }
            )
    return found


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels = digits(Path(sys.argv[1]))
    results = []
    for name in ("compofa", "compofa-proxyless-w1.3"):
        for row in compare(name, images, labels):
            results.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    print(save("int8", {"tested_images": len(images) - TRAINED, "models": results}))


if __name__ == "__main__":
    main()
