"""How fast a compound step trains, beside a plain static network of the same MACs.

    python benchmarks/bench_training.py [ROUNDS [cpu|cuda]]

Each round times, in random order, one step of four random subnets of the compound space and four
steps of one static network (`nn.Conv2d` and so on, the same optimiser) that has as many MACs as the
subnets have on average. Their throughputs, in MACs, are compared round by round. On a CPU: width
0.35, 28x28 grey images, one thread. On a GPU: width 1.0, 224x224, bf16. The compound step is also
timed with a teacher, whose forward pass counts for a third of a forward and a backward pass.
Writes benchmarks/results/training.json (training_cuda.json on a GPU).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from machine import save

from compofa.supernet.data.batches.loading import Batch
from compofa.supernet.graph import build_graph
from compofa.supernet.network import Network
from compofa.supernet.ranks import Ranks
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet
from compofa.supernet.training.cost import subnet_macs
from compofa.supernet.training.recipes.losses import label_loss
from compofa.supernet.training.recipes.recipe import COMPOUND
from compofa.supernet.training.steps.step import StepOptions, Stepper, StepPlan, new_optimiser

SUBNETS = 4
RATE = 1e-3
WARM_UP = 3
"""Rounds that are not counted."""


@dataclass(frozen=True)
class Setting:
    """What is trained on what."""

    space: Space
    resolution: int
    batch_size: int
    device: torch.device

    @property
    def half(self) -> bool:
        return self.device.type == "cuda"

    def batch(self) -> Batch:
        size = (self.batch_size, self.space.in_channels, self.resolution, self.resolution)
        labels = torch.randint(self.space.classes, (self.batch_size,))
        return Batch(torch.randn(size).to(self.device), labels.to(self.device))

    def macs(self, subnet: Subnet) -> int:
        return subnet_macs(self.space, subnet, self.resolution)


def _several_steps(static: Static, batch: Batch) -> None:
    for _ in range(SUBNETS):
        static.step(batch)


def setting(device: str) -> Setting:
    if device == "cuda":
        return Setting(SPACES["compofa"], 224, 256, torch.device("cuda"))
    small = replace(
        SPACES["compofa"], name="small", width=0.35, classes=10, in_channels=1, stem_stride=1,
        resolutions=(28,),
    )  # fmt: skip
    return Setting(small, 28, 128, torch.device("cpu"))


class Static:
    """A plain network that trains as networks usually do."""

    def __init__(self, setting: Setting, subnet: Subnet) -> None:
        graph = build_graph(setting.space, subnet, setting.resolution)
        self.network = Network(graph).to(setting.device).train()
        self.optimiser = new_optimiser(self.network, COMPOUND)
        self.setting = setting

    def step(self, batch: Batch) -> None:
        images = batch.images.to(memory_format=torch.channels_last)
        self.optimiser.zero_grad(set_to_none=False)
        device = self.setting.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.setting.half):
            logits = self.network(images)
        torch.autograd.backward(label_loss(logits, batch.labels, 0.1))
        for group in self.optimiser.param_groups:
            group["lr"] = RATE
        self.optimiser.step()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """By the clock on a GPU, else of CPU time, which other programs disturb less."""
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def nearest(setting: Setting, macs: float) -> Subnet:
    return min(setting.space.enumerate(), key=lambda subnet: abs(setting.macs(subnet) - macs))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    chosen = setting(sys.argv[2] if len(sys.argv) > 2 else "cpu")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ranks = Ranks(0, 1, chosen.device)
    options = StepOptions(half=chosen.half)
    teacher = (
        Static(chosen, chosen.space.extreme(largest=True)).network.eval().requires_grad_(False)
    )
    supernets = [Supernet(chosen.space).to(chosen.device) for _ in range(2)]
    alone = Stepper(supernets[0], COMPOUND, ranks, options=options)
    taught = Stepper(supernets[1], COMPOUND, ranks, teacher, options)
    average = np.mean([chosen.macs(subnet) for subnet in chosen.space.enumerate()])
    middle = nearest(chosen, float(average))
    static = Static(chosen, middle)
    ratios: dict[str, list[float]] = {"alone": [], "taught": []}
    images_per_second: list[float] = []
    for number in range(WARM_UP + rounds):
        subnets = [chosen.space.sample(rng) for _ in range(SUBNETS)]
        batch = chosen.batch()
        macs = sum(map(chosen.macs, subnets))
        work: dict[str, tuple[Callable[[], object], float]] = {
            "static": (
                partial(_several_steps, static, batch),
                SUBNETS * chosen.macs(middle),
            ),
            "alone": (
                partial(alone.step, StepPlan(subnets, "labels", RATE), batch),
                macs,
            ),
            "taught": (
                partial(taught.step, StepPlan(subnets, "teacher", RATE), batch),
                macs + chosen.macs(chosen.space.extreme(largest=True)) / 3,
            ),
        }
        names = list(work)
        rng.shuffle(names)
        speeds, times = {}, {}
        for name in names:
            times[name] = seconds(work[name][0], chosen.device)
            speeds[name] = work[name][1] / times[name]
        if number >= WARM_UP:
            for name, values in ratios.items():
                values.append(speeds[name] / speeds["static"])
            images_per_second.append(SUBNETS * chosen.batch_size / times["alone"])
    report(chosen, middle, ratios, images_per_second)


def report(
    chosen: Setting, middle: Subnet, ratios: dict[str, list[float]], images: list[float]
) -> None:
    summary = {
        name: {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (10, 50, 90)}
        for name, values in ratios.items()
    }
    results = {
        "space": f"compofa, width {chosen.space.width}",
        "resolution": chosen.resolution,
        "batch_size": chosen.batch_size,
        "static": chosen.space.key(middle),
        "rounds": len(images),
        "throughput_per_mac_relative_to_static": summary,
        "images_through_subnets_per_second": round(float(np.median(images)), 1),
    }
    print(save("training" if chosen.device.type == "cpu" else "training_cuda", results))
    for name, label in (("alone", "compound step"), ("taught", "compound step with teacher")):
        spread = summary[name]
        print(
            f"{label:28} {spread['p50']:.2f} of a static network's throughput per MAC "
            f"(10-90 %: {spread['p10']:.2f}-{spread['p90']:.2f})"
        )
    print(f"{results['images_through_subnets_per_second']} images through subnets a second")


if __name__ == "__main__":
    main()
