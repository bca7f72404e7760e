"""What came out: accuracies, costs and fronts, with intervals over seeds."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from reproduction.settings import RECIPES, Settings, Workshop

from compofa.profiler.results.table import read_table
from compofa.profiler.statistics.student import student_quantile
from compofa.supernet.evaluation.accuracy_file import read_accuracy_table

CONFIDENCE = 0.95

OWN_FRONT = "progressive, OFA's whole space"
"""Subnets that a search with OFA's own predictor chose out of all of OFA's."""

MEASURES = {
    "images_through_networks": "images through networks",
    "macs": "MACs",
    "cpu_seconds": "CPU seconds",
}
"""What a training costs, and what that is called."""

Result = dict[str, Any]


def summary(shop: Workshop, settings: Settings, limits: Sequence[float]) -> Result:
    """Everything that is reported, as plain values; accuracies are fractions of one."""
    seeds = range(settings.seeds)
    tested = {recipe: [mean_accuracy(shop, recipe, seed) for seed in seeds] for recipe in RECIPES}
    teaching = training_cost(shop, "teacher")
    costs = {
        recipe: average([training_cost(shop, f"{recipe}-{seed}") for seed in seeds])
        for recipe in RECIPES
    }
    return {
        "settings": dataclasses.asdict(settings),
        "confidence": CONFIDENCE,
        "test_top1_of_243_subnets": {
            recipe: {**spread(values), "seeds": values} for recipe, values in tested.items()
        },
        "test_top1_differences": {
            f"{second} - {first}": spread(np.subtract(tested[second], tested[first]))
            for first, second in combinations(RECIPES, 2)
        },
        "cost": {"teacher (not for deps)": teaching, **costs},
        "cost_relative_to_progressive": {
            recipe: {name: cost[name] / costs["progressive"][name] for name in cost}
            for recipe, cost in costs.items()
        },
        "latency": {base: about_latency(shop, base) for base in ("compofa", "ofa-mbv3")},
        "fronts": fronts(shop, settings, limits),
    }


def told(results: Result) -> list[str]:
    """The answer to the question, in a few lines."""
    lines = []
    for recipe, cost in results["cost_relative_to_progressive"].items():
        accuracy = _told(results["test_top1_of_243_subnets"][recipe], "%")
        shares = ", ".join(f"{share:.2f} {MEASURES[name]}" for name, share in cost.items())
        lines.append(f"{recipe}: {accuracy}; cost relative to progressive: {shares}")
    for name, difference in results["test_top1_differences"].items():
        lines.append(f"{name}: {_told(difference, 'points')}")
    return lines


def _told(found: Result, unit: str) -> str:
    """A mean and its interval, in hundredths."""
    mean, low, high = (found[name] for name in ("mean", "low", "high"))
    interval = "one seed" if low is None else f"{100 * low:.2f} to {100 * high:.2f}"
    return f"{100 * mean:.2f} {unit} ({interval})"


def spread(values: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    """The mean of several seeds, and Student's interval of it; one seed has none."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return {"mean": mean, "low": None, "high": None}
    quantile = float(student_quantile(0.5 + CONFIDENCE / 2, np.array([count - 1.0]))[0])
    reach = quantile * float(np.std(values, ddof=1)) / count**0.5
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def mean_accuracy(shop: Workshop, recipe: str, seed: int) -> float:
    """Over all compound subnets, on test images."""
    return float(np.mean(list(accuracies(shop, recipe, seed, "test").values())))


def accuracies(shop: Workshop, recipe: str, seed: int, split: str) -> dict[str, float]:
    """By the compound space's keys, whatever space the supernet is of."""
    space, compound = shop.space(RECIPES[recipe]), shop.space("compofa")
    _, rows = read_accuracy_table(shop.accuracy(recipe, seed, split))
    return {compound.key(space.parse(row.subnet)): row.top1 for row in rows}


def training_cost(shop: Workshop, name: str) -> dict[str, float]:
    """Of one training: images through networks, arithmetic, time.

    A backward pass takes twice the arithmetic of a forward pass; a teacher only runs forward.
    """
    phases = json.loads((shop.path / name / "run.json").read_text())["costs"]
    return {
        "images_through_networks": sum(each["passes"] + each["taught"] for each in phases),
        "macs": sum(3 * each["macs"] + each["teacher_macs"] for each in phases),
        "cpu_seconds": sum(each["cpu_seconds"] for each in phases),
    }


def average(costs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure."""
    return {name: float(np.mean([cost[name] for cost in costs])) for name in costs[0]}


def latencies(shop: Workshop) -> dict[str, float]:
    """Of the compound subnets, in ms."""
    rows = read_table(shop.latency("compofa")).rows
    return {row.cell.subnet: row.latency_ms for row in rows if row.latency_ms is not None}


def about_latency(shop: Workshop, base: str) -> Result:
    """How sure a latency table is."""
    rows = read_table(shop.latency(base)).rows
    measured = [row for row in rows if row.source == "measured"]
    about = json.loads(shop.latency(base).with_suffix(".meta.json").read_text())
    return {
        "cells": len(rows),
        "measured": len(measured),
        "of_these_unconverged": sum(row.status == "unconverged" for row in measured),
        "sessions": about["sessions"],
        "held_out_error": about["held_out_error"],
    }


def fronts(shop: Workshop, settings: Settings, limits: Sequence[float]) -> Result:
    """The test accuracy of what is chosen within each limit, a mean over seeds.

    A limit that a space's fastest subnet does not meet is missing.
    """
    seeds = range(settings.seeds)
    chosen = {
        recipe: [best_within(shop, recipe, seed, limits) for seed in seeds] for recipe in RECIPES
    }
    chosen[OWN_FRONT] = [found_within(shop, seed) for seed in seeds]
    return {
        name: [
            {"limit_ms": limit, **spread([each[limit] for each in of_seeds])}
            for limit in limits
            if all(limit in each for each in of_seeds)
        ]
        for name, of_seeds in chosen.items()
    }


def best_within(
    shop: Workshop, recipe: str, seed: int, limits: Sequence[float]
) -> dict[float, float]:
    """Test accuracy of the compound subnets that are best on held-out images, by limit."""
    latency = latencies(shop)
    heldout = accuracies(shop, recipe, seed, "heldout")
    test = accuracies(shop, recipe, seed, "test")
    within = {limit: [key for key in latency if latency[key] <= limit] for limit in limits}
    return {
        limit: test[max(keys, key=heldout.__getitem__)] for limit, keys in within.items() if keys
    }


def found_within(shop: Workshop, seed: int) -> dict[float, float]:
    """Test accuracy of what OFA's own search found, by limit."""
    _, rows = read_accuracy_table(shop.found_accuracy(seed))
    test = {row.subnet: row.top1 for row in rows}
    with shop.found(seed).open() as file:
        return {float(row["limit_ms"]): test[row["subnet"]] for row in csv.DictReader(file)}
