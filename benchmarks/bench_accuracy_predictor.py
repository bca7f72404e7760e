"""How well accuracy predictors learn a space from few measured subnets.

    python benchmarks/bench_accuracy_predictor.py [REFERENCE]

The truth is what OFA's released predictor says of random subnets (it was fitted to 16,000). Models
see it with the noise of counting right answers on 10,000 images, and are compared with it without
noise on 1,000 other subnets. REFERENCE is the folder with acc_predictor.pth, ../shared/reference
unless given; nothing is done where that is not there. Writes
benchmarks/results/accuracy_predictor.json.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import save
from scipy.stats import spearmanr

from compofa.common.arrays import FloatArray
from compofa.search.accuracy.released_predictor import read_predictor
from compofa.supernet.accuracy_predictor.choices import Choices, choices_of
from compofa.supernet.accuracy_predictor.gaussian import GaussianProcess
from compofa.supernet.accuracy_predictor.perceptron import fit_perceptron
from compofa.supernet.accuracy_predictor.predictor import AccuracyModel
from compofa.supernet.accuracy_predictor.released_layout import LAYOUT
from compofa.supernet.space import SEARCHED_RESOLUTIONS
from compofa.supernet.spaces import SPACES

SPACE_NAMES = ("ofa-mbv3", "compofa-elastic")
COUNTS = (100, 300, 1000)
TESTED = 1000
IMAGES = 10_000


def fit(name: str, choices: Choices, top1: FloatArray) -> AccuracyModel:
    if name == "gp":
        return GaussianProcess.fit(choices, top1)
    return fit_perceptron(choices, top1, LAYOUT)


def measure(reference: Path, space_name: str) -> list[dict[str, Any]]:
    space, rng = SPACES[space_name], np.random.default_rng(0)
    total = max(COUNTS) + TESTED
    subnets = [space.sample(rng) for _ in range(total)]
    sizes = rng.choice(SEARCHED_RESOLUTIONS, total)
    oracle = read_predictor(reference / "acc_predictor.pth")
    truth = oracle.top1_of(space, space.arrays(subnets), sizes)
    seen = rng.binomial(IMAGES, truth) / IMAGES
    choices = choices_of(space, subnets, sizes.tolist())
    tested = slice(max(COUNTS), None)
    rows = []
    for count in COUNTS:
        for name in ("gp", "mlp"):
            start = time.perf_counter()
            model = fit(name, choices.rows(slice(count)), seen[:count])
            seconds = time.perf_counter() - start
            error = model.predict(choices.rows(tested)) - truth[tested]
            rank = spearmanr(error + truth[tested], truth[tested]).statistic
            rows.append(
                {
                    "space": space_name,
                    "measured_subnets": count,
                    "model": name,
                    "rmse_points": round(100 * float(np.sqrt(np.mean(error**2))), 3),
                    "rank_correlation": round(float(rank), 4),
                    "seconds": round(seconds, 2),
                }
            )
    return rows


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "shared" / "reference"
    reference = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if not reference.is_dir():
        print(f"skipped: the released predictor is not in {reference}")
        return
    torch.set_num_threads(1)
    rows = [row for name in SPACE_NAMES for row in measure(reference, name)]
    for row in rows:
        print("  ".join(f"{value!s:>16}" for value in row.values()))
    print(save("accuracy_predictor", {"accuracy_predictor": rows}))


if __name__ == "__main__":
    main()
