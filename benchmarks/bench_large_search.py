"""How well, and how fast, spaces too large to list are searched.

    python benchmarks/bench_large_search.py [REFERENCE [SEEDS]]

REFERENCE holds `note10_lut` and `acc_predictor.pth` as published; left out, it is
../shared/reference, and nothing is done where that is not there. Three parts: OFA's whole space
(width 1.2) at eight limits, seed by seed, beside what the reference's evolutionary search finds;
parts of that space small enough to list, where the search is held against the optimum; and the
compound space likewise. Writes benchmarks/results/large_search.json.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import save

from compofa.profiler.block_tables.block_table import BlockTable, read_block_table
from compofa.search.accuracy.released_predictor import Predictor, read_predictor
from compofa.search.answer import ask
from compofa.search.large.beam import explore
from compofa.search.large.genomes import Genomes, unit_table
from compofa.search.large.large_search import search_large
from compofa.search.large.latency_sources import BlockDevice
from compofa.search.large.pool import Problem
from compofa.supernet.spaces import SPACES

SPACE = SPACES["ofa-mbv3-w1.2"]
LIMITS = (15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0)
EVOLUTION = (0.7857, 0.8042, 0.8204, 0.8270, 0.8327, 0.8356, 0.8420, 0.8452)
PARTS = 10
CHOICES = 8


def whole_space(blocks: BlockTable, predictor: Predictor, seeds: int) -> dict[str, object]:
    questions = [(limit,) for limit in LIMITS]
    runs: list[dict[str, Any]] = []
    for seed in range(seeds):
        wall, cpu = time.perf_counter(), time.process_time()
        found = search_large([BlockDevice(blocks)], SPACE, predictor, questions, seed=seed)
        top1 = [each.top1 for each in ask(found, questions, top=1).results]
        runs.append(
            {
                "seed": seed,
                "top1": [round(each, 5) for each in top1],
                "all_reached": all(a >= b for a, b in zip(top1, EVOLUTION, strict=True)),
                "looked_at": found.compared,
                "wall_s": round(time.perf_counter() - wall, 2),
                "cpu_s": round(time.process_time() - cpu, 2),
            }
        )
        print(runs[-1], file=sys.stderr)
    best = np.max([run["top1"] for run in runs], axis=0)
    gaps = best - np.array([run["top1"] for run in runs])
    return {
        "limits_ms": LIMITS,
        "evolution": EVOLUTION,
        "runs": runs,
        "best_of_all_seeds": best.tolist(),
        "mean_gap_to_it": round(float(gaps.mean()), 5),
        "largest_gap_to_it": round(float(gaps.max()), 5),
    }


def parts(blocks: BlockTable, predictor: Predictor) -> dict[str, object]:
    """Parts with a few choices per unit: how often, and by how much, the optimum is missed."""
    whole = Genomes.of(SPACE, SPACE.resolutions)
    gaps = []
    for seed in range(PARTS):
        rng = np.random.default_rng(seed)
        units = [
            unit_table(unit, [each.choices[i] for i in rng.choice(len(each), CHOICES, False)])
            for unit, each in zip(SPACE.units, whole.units, strict=True)
        ]
        genomes = Genomes(SPACE, SPACE.resolutions, tuple(units))
        problem = Problem(genomes, predictor, [BlockDevice(blocks).cost(genomes, None)])
        everything = np.array(list(itertools.product(*map(range, genomes.sizes))))
        top1, cost = problem.top1(everything), problem.costs[0].of(everything)
        limits = np.quantile(cost, [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
        pool = explore(problem, limits[:, None], seed)
        for limit in limits:
            found = pool.top1[pool.costs[:, 0] <= limit].max()
            gaps.append(float(top1[cost <= limit].max() - found))
    return {
        "parts": PARTS,
        "cells_each": CHOICES**5 * len(SPACE.resolutions),
        "questions": len(gaps),
        "optimum_found": sum(gap < 1e-6 for gap in gaps),
        "largest_gap": round(max(gaps), 6),
    }


def compound(blocks: BlockTable, predictor: Predictor) -> dict[str, object]:
    space = SPACES["compofa-w1.2"]
    genomes = Genomes.of(space, space.resolutions)
    problem = Problem(genomes, predictor, [BlockDevice(blocks).cost(genomes, None)])
    everything = np.array(list(itertools.product(*map(range, genomes.sizes))))
    top1, cost = problem.top1(everything), problem.costs[0].of(everything)
    limits = np.linspace(10.5, 60, 100)
    pool = explore(problem, limits[:, None], 0)
    best = [top1[cost <= limit].max() for limit in limits]
    found = [pool.top1[pool.costs[:, 0] <= limit].max() for limit in limits]
    equal = np.isclose(best, found, atol=1e-6)
    return {"questions": len(limits), "optimum_found": int(equal.sum())}


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "shared" / "reference"
    reference = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if not reference.is_dir():
        print(f"skipped: the published block tables are not in {reference}")
        return
    blocks = read_block_table(reference / "note10_lut")
    predictor = read_predictor(reference / "acc_predictor.pth")
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    found = {
        "whole_space": whole_space(blocks, predictor, seeds),
        "parts": parts(blocks, predictor),
        "compound": compound(blocks, predictor),
    }
    save("large_search", found)


if __name__ == "__main__":
    main()
