"""Is a compound supernet as good as OFA's at half the cost? On Fashion-MNIST, with the toolkit.

    python benchmarks/reproduce.py --work DIR [--images 60000] [--epochs-scale 0.05] [--seeds 3]

Trains a teacher, and from it supernets by OFA's five phases (`progressive`), by CompOFA's two
(`compound`), and one by DepS's recipe (`deps`, which needs no teacher), once for each seed, all at
width 0.35 and on the same images. Then it measures the accuracy of all 243 compound subnets in
each, fits OFA's own accuracy predictor, measures latencies on this computer, searches, and
compares. Subnets are chosen by held-out images; what is reported is measured on test images.

Stop it whenever you like: the same command goes on. Writes benchmarks/results/reproduction.json and
.png (`--name` says otherwise), and prints the answer. On one core, the defaults would take some
fifteen hours by the speed of the small form,

    python benchmarks/reproduce.py --small --work DIR

which takes about a quarter of an hour for each seed. Run it on a quiet computer: latencies are
measured as well.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import RESULTS, save
from reproduction.commands import PARTIAL, run
from reproduction.images import write_first
from reproduction.picture import write_picture
from reproduction.settings import RECIPES, Settings, Workshop
from reproduction.summary import latencies, summary, told

from compofa.common.console import run_command

LIMITS = 8
"""Latencies at which fronts are compared, spread over those of the compound space."""

FULL = Settings(
    images=60_000, test_images=10_000, heldout=6_000, scale=0.05, lr_scale=1, batch_size=128,
    seeds=3, calibration=1000, sample=500, profile_seconds=600,
)  # fmt: skip

SMALL = Settings(
    images=6_000, test_images=1_000, heldout=600, scale=0.02, lr_scale=1, batch_size=64,
    seeds=3, calibration=256, sample=60, profile_seconds=90,
)  # fmt: skip


def main() -> None:
    options = arguments()
    usual = SMALL if options.small else FULL
    given = {
        "images": options.images, "scale": options.epochs_scale, "lr_scale": options.lr_scale,
        "seeds": options.seeds,
    }  # fmt: skip
    settings = replace(usual, **{name: each for name, each in given.items() if each is not None})
    shop = Workshop(options.work)
    shop.prepare(settings)
    write_first(options.data, shop.data, settings.images, settings.test_images)
    measure_latencies(shop, settings)
    limits = spread_limits(shop)
    train_teacher(shop, settings)
    for seed in range(settings.seeds):
        for recipe in RECIPES:
            train(shop, settings, recipe, seed)
            evaluate(shop, settings, recipe, seed)
        search_own_space(shop, settings, seed, limits)
    results = summary(shop, settings, limits)
    print(save(options.name, results))
    write_picture(RESULTS / f"{options.name}.png", results)
    print("\n".join(told(results)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of all that is made")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--small", action="store_true", help="a tenth of the images, and so on")
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs-scale", type=float, help="share of the published epochs")
    parser.add_argument("--lr-scale", type=float)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--name", default="reproduction", help="of the results")
    return parser.parse_args()


def measure_latencies(shop: Workshop, settings: Settings) -> None:
    for base in ("compofa", "ofa-mbv3"):
        while not shop.profiled(base):
            run(
                "compofa-profile", "--device", "local", "--inventory", shop.inventory,
                "--space", shop.space_file(base), "--max-time", f"{settings.profile_seconds}s",
                "--no-pause", "--out", shop.latency(base), accepted=(0, *PARTIAL),
            )  # fmt: skip


def spread_limits(shop: Workshop) -> list[float]:
    """Latencies in even ratios from near the fastest compound subnet to the slowest, in ms."""
    known = list(latencies(shop).values())
    spread = np.geomspace(min(known), max(known), LIMITS + 1)[1:]
    return [round(float(each), 4) for each in spread]


def train_teacher(shop: Workshop, settings: Settings) -> None:
    _train(shop, settings, "teacher", "ofa-mbv3", shop.teacher)


def train(shop: Workshop, settings: Settings, recipe: str, seed: int) -> None:
    taught = () if recipe == "deps" else ("--teacher", shop.teacher / "supernet.pt")
    folder = shop.training(recipe, seed)
    _train(shop, settings, recipe, RECIPES[recipe], folder, "--seed", seed, *taught)


def _train(
    shop: Workshop, settings: Settings, recipe: str, base: str, folder: Path, *more: object
) -> None:
    if (folder / "supernet.pt").exists():
        return
    run(
        "compofa-train", recipe, "--space", shop.space_file(base), "--data", shop.data,
        "--heldout", settings.heldout, "--batch-size", settings.batch_size,
        "--scale", settings.scale, "--lr-scale", settings.lr_scale, "--device", "cpu",
        "--validate-every", 1e6, "--save-every", 1, "--out", folder, *more,
    )  # fmt: skip


def evaluate(shop: Workshop, settings: Settings, recipe: str, seed: int) -> None:
    """All compound subnets, whatever space they are cut out of."""
    space = shop.space(RECIPES[recipe])
    keys = [space.key(subnet) for subnet in shop.space("compofa").enumerate()]
    for split in ("heldout", "test"):
        table = shop.accuracy(recipe, seed, split)
        _evaluate(shop, settings, shop.training(recipe, seed), keys, split, table)


def _evaluate(
    shop: Workshop, settings: Settings, folder: Path, keys: list[str], split: str, table: Path
) -> None:
    named = [word for key in keys for word in ("--subnet", key)]
    run(
        "compofa-train", "evaluate", "--checkpoint", folder / "supernet.pt", "--data", shop.data,
        "--split", split, "--calibration-images", settings.calibration, "--device", "cpu",
        "--out", table, *named,
    )  # fmt: skip


def search_own_space(shop: Workshop, settings: Settings, seed: int, limits: list[float]) -> None:
    """The best of OFA's whole space at each latency, by a predictor of that supernet's own."""
    folder, predictor = shop.training("progressive", seed), shop.predictor(seed)
    if not predictor.exists():
        run(
            "compofa-train", "predictor", "--checkpoint", folder / "supernet.pt",
            "--data", shop.data, "--sample", settings.sample,
            "--calibration-images", settings.calibration, "--device", "cpu", "--out", predictor,
        )  # fmt: skip
    run(
        "compofa-search", "--table", shop.latency("ofa-mbv3"), "--predict",
        "--space", shop.space_file("ofa-mbv3"), "--accuracy", predictor,
        "--latency", ",".join(map(str, limits)), "--seed", seed, "--out", shop.found(seed),
        accepted=(0, 1),
    )  # fmt: skip
    with shop.found(seed).open() as file:
        keys = list(dict.fromkeys(row["subnet"] for row in csv.DictReader(file)))
    _evaluate(shop, settings, folder, keys, "test", shop.found_accuracy(seed))


if __name__ == "__main__":
    run_command(main)
