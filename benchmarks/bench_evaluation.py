"""How long it takes to evaluate all 243 subnets of `compofa`, sharing prefixes and one by one.

    python benchmarks/bench_evaluation.py [images]

Group by group, the same 27 subnets are evaluated three ways, turn by turn in one run: together;
each alone by the same code; and each taken out of the supernet as an ordinary network, calibrated
by forward hooks as the reference does it, and run. All ways calibrate batch norm on a quarter as
many images as they classify. Logits and batch norm statistics of the first two are compared. Writes
benchmarks/results/evaluation.json.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from machine import save
from torch import Tensor, nn

from compofa.supernet.evaluation.bn_calibration import (
    calibrate,
    calibrate_tree,
    placed,
    run_calibrated,
)
from compofa.supernet.evaluation.evaluation import GROUP, evaluate
from compofa.supernet.evaluation.prefix_tree import Node, groups, prefix_tree, walk
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

BATCH = 256

SMALL = replace(SPACES["compofa"], name="w0.35", width=0.35, classes=10, in_channels=1)
SETTINGS = (
    (replace(SMALL, stem_stride=1), 28, 1.0),
    (replace(SMALL, stem_stride=1), 32, 1.0),
    (SPACES["compofa"], 64, 0.25),
)
"""A space, a resolution, and how many of the images it gets."""


Reached = tuple[Tensor, dict[str, Tensor]]
"""What the blocks up to a node give, and the statistics of their batch norms."""


@dataclass(frozen=True)
class Images:
    """What subnets are calibrated on and what they classify."""

    calibration: Tensor
    images: Tensor
    labels: Tensor

    @classmethod
    def random(cls, space: Space, size: int, count: int) -> Images:
        generator = torch.Generator().manual_seed(0)
        shape = (count + count // 4, space.in_channels, size, size)
        pixels = torch.randn(*shape, generator=generator)
        labels = torch.randint(0, space.classes, (count,), generator=generator)
        return cls(pixels[count:], pixels[:count], labels)

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        return list(
            zip(torch.split(self.images, BATCH), torch.split(self.labels, BATCH), strict=True)
        )


def together(supernet: Supernet, subnets: Sequence[Subnet], data: Images) -> list[int]:
    return _correct(supernet, subnets, data, GROUP)


def alone(supernet: Supernet, subnets: Sequence[Subnet], data: Images) -> list[int]:
    return _correct(supernet, subnets, data, 1)


def _correct(supernet: Supernet, subnets: Sequence[Subnet], data: Images, group: int) -> list[int]:
    calibration = torch.split(data.calibration, BATCH)
    scores = evaluate(supernet, subnets, calibration, data.batches, group=group)
    found = {score.subnet: score.correct for score in scores}
    return [found[subnet] for subnet in subnets]


@torch.no_grad()
def taken_out(supernet: Supernet, subnets: Sequence[Subnet], data: Images) -> list[int]:
    """As the reference: ordinary networks, the statistics of the batches averaged."""
    found = []
    for subnet in subnets:
        network = supernet.extract(subnet).train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        for batch in torch.split(data.calibration, BATCH):
            network(batch)
        network.eval()
        right = [(network(x).argmax(1) == labels).sum() for x, labels in data.batches()]
        found.append(int(sum(right)))
    return found


def largest_differences(
    supernet: Supernet, subnets: Sequence[Subnet], size: int, data: Images
) -> dict[str, float]:
    """Between subnets together and each alone: statistics beside their spread, and logits."""
    tree = prefix_tree(supernet.space, subnets, size)
    shared = calibrate_tree(supernet, tree, torch.split(data.calibration, BATCH))
    x = placed(data.images[:BATCH], supernet)
    worst = {"statistics": 0.0, "logits": 0.0}

    def run(node: Node, before: Reached) -> Reached:
        statistics = shared[node]
        output = run_calibrated(supernet, node.blocks, before[0], statistics)
        return output, before[1] | dict(statistics)

    begin: Reached = (x, {})
    with torch.no_grad():
        for leaf, (logits, statistics) in walk(tree, begin, run):
            subnet = leaf.subnets[0]
            single = calibrate(supernet, subnet, torch.split(data.calibration, BATCH))
            expected = run_calibrated(supernet, supernet.blocks(subnet), x, single)
            apart = float((logits - expected).abs().max() / expected.abs().max())
            worst["logits"] = max(worst["logits"], apart)
            for name, value in statistics.items():
                spread = single[name.replace("mean", "var")]
                spread = spread.sqrt() if name.endswith("mean") else spread
                apart = float(((value - single[name]).abs() / (spread + 1e-3)).max())
                worst["statistics"] = max(worst["statistics"], apart)
    return worst


WAYS: dict[str, Callable[[Supernet, Sequence[Subnet], Images], list[int]]] = {
    "together": together,
    "alone": alone,
    "taken_out": taken_out,
}


def measure(space: Space, size: int, count: int) -> dict[str, Any]:
    torch.manual_seed(0)
    supernet, data = Supernet(space), Images.random(space, size, count)
    tree = prefix_tree(space, space.enumerate(), size)
    seconds = dict.fromkeys(WAYS, 0.0)
    parts = list(groups(tree, GROUP))
    for part in parts:
        found = {}
        for name, way in WAYS.items():
            start = time.perf_counter()
            found[name] = way(supernet, part, data)
            seconds[name] += time.perf_counter() - start
        if found["together"] != found["alone"]:
            raise AssertionError("sharing changes accuracies")
    one_by_one = sum(prefix_tree(space, [s], size).macs for s in tree.subnets)
    grouped = sum(prefix_tree(space, part, size).macs for part in parts)
    return {
        "width": space.width,
        "resolution": size,
        "stem_stride": space.stem_stride,
        "subnets": len(tree.subnets),
        "images": count,
        "calibration_images": len(data.calibration),
        "seconds": {name: round(each, 2) for name, each in seconds.items()},
        "speedup": round(seconds["alone"] / seconds["together"], 2),
        "speedup_over_taken_out": round(seconds["taken_out"] / seconds["together"], 2),
        "macs_saved": round(one_by_one / grouped, 2),
        "subnet_images_per_second": round(len(tree.subnets) * count / seconds["together"]),
        "largest_difference": largest_differences(supernet, parts[0], size, data),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    torch.set_num_threads(1)
    rows = []
    header = ("width", "px", "together s", "alone s", "taken out s", "speed-up", "MACs saved")
    print(" ".join(f"{name:>11}" for name in header))
    for space, size, share in SETTINGS:
        row = measure(space, size, int(share * count))
        rows.append(row)
        cells = (row["width"], size, *row["seconds"].values(), row["speedup"], row["macs_saved"])
        print(" ".join(f"{cell:>11}" for cell in cells))
    print(save("evaluation", {"threads": 1, "evaluation": rows}))


if __name__ == "__main__":
    main()
