"""Released layouts filled with numbers, and commands run in this process."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet
from rigs.image_sets import write_idx

torch.set_num_threads(1)

LAYOUTS = {
    "ofa-mbv3": "ofa_mbv3_w1.0",
    "compofa": "compofa_fixed_w1.0 (no transform matrices)",
    "ofa-mbv3-w1.2": "ofa_mbv3_w1.2",
    "ofa-proxyless-w1.3": "ofa_proxyless_w1.3",
}
"""Our short names of the released layouts."""


@dataclass(frozen=True)
class Example:
    """A worked example: what the reference code computes for one subnet of one layout."""

    layout: str
    depths: list[int]
    expands: list[int]
    kernels: list[int]
    compound: bool
    resolution: int
    seed: int
    first_logits: npt.NDArray[np.float64]
    norm: float

    @property
    def space(self) -> str:
        """The largest space that holds its subnet."""
        return "ofa-mbv3" if self.layout == "compofa" else self.layout

    @property
    def image(self) -> npt.NDArray[np.float32]:
        rng = np.random.default_rng(self.seed)
        size = (2, 3, self.resolution, self.resolution)
        return rng.standard_normal(size).astype(np.float32)

    def subnet(self, space: Space) -> Subnet:
        """Its subnet, with the entries of blocks that do not exist left out."""
        expands, kernels = [0.0] * space.slots, [0] * space.slots
        for slots, depth in zip(space.slot_ranges, self.depths, strict=True):
            for slot in slots[:depth]:
                expands[slot], kernels[slot] = self.expands[slot], self.kernels[slot]
        return Subnet(tuple(self.depths), tuple(expands), tuple(kernels))

    def error(self, logits: npt.NDArray[np.float32]) -> float:
        """The larger of the greatest absolute error of a logit and the norm's relative error."""
        norm = float(np.linalg.norm(logits.astype(np.float64)))
        return max(
            float(np.abs(logits[:, :8] - self.first_logits).max()), abs(norm / self.norm - 1)
        )


@pytest.fixture(scope="session")
def checkpoint_examples(reference: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((reference / "checkpoint_examples.json").read_text())
    return found


@pytest.fixture(scope="session")
def examples(checkpoint_examples: dict[str, Any]) -> list[Example]:
    """All worked examples."""
    layouts = {theirs: ours for ours, theirs in LAYOUTS.items()}
    return [
        Example(
            layouts[net["net"]], case["d"], case["e"], case["ks"], case["compound"], case["r"],
            case["seed"], np.array(case["logits_first8"]), case["norm"],
        )
        for net in checkpoint_examples["examples"]
        for case in net["subnets"]
    ]  # fmt: skip


@pytest.fixture(scope="session")
def released_state(
    checkpoint_examples: dict[str, Any],
) -> Callable[[str], dict[str, torch.Tensor]]:
    """Gives the state dict of a released layout, filled as its worked examples say."""
    cache: dict[str, dict[str, torch.Tensor]] = {}

    def get(layout: str) -> dict[str, torch.Tensor]:
        if layout not in cache:
            shapes = checkpoint_examples["layouts"][LAYOUTS[layout]]["keys"]
            cache[layout] = {n: torch.from_numpy(_value(n, s)) for n, s in shapes.items()}
        return dict(cache[layout])

    return get


@pytest.fixture(scope="session")
def released_file(
    released_state: Callable[[str], dict[str, torch.Tensor]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Path]:
    """Gives the path of a released layout's file."""
    folder = tmp_path_factory.mktemp("released")

    def get(layout: str) -> Path:
        path = folder / f"{layout}.pth"
        if not path.exists():
            torch.save({"state_dict": released_state(layout)}, path)
        return path

    return get


def _value(name: str, shape: list[int]) -> npt.NDArray[Any]:
    """The content of a released tensor, as checkpoint_examples.json defines it."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.array(1, dtype=np.int64)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("_matrix"):
        values = np.eye(shape[0]) + 0.05 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = 0.1 * rng.standard_normal(shape)
    else:
        values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return values.astype(np.float32)


@pytest.fixture(scope="session")
def space_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small form of `compofa` as a space file."""
    path = tmp_path_factory.mktemp("space") / "small.yaml"
    path.write_text(
        "{name: small-compofa, width: 0.05, classes: 3, input_channels: 1, stem_stride: 1, "
        "resolutions: [12, 16]}"
    )
    return path


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_idx(tmp_path_factory.mktemp("data") / "idx", train=66)
