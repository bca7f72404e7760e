"""What can be wrong with a virtual device: warm-up, two speeds, throttling, wander, clocks."""

from __future__ import annotations

import math
import zlib

import numpy as np

from rigs.virtual_device import Disturbance, Floats, Jump, Moment


def warming(start: float, e_folding: float) -> Disturbance:
    """A model's runs begin slower by `start`, which decays over its own runs."""
    return lambda moment: 1 + start * np.exp(-moment.model_runs / e_folding)


def stepping(start: float, runs: int) -> Disturbance:
    """A model's first `runs` runs are slower by `start`."""
    return lambda moment: np.where(moment.model_runs < runs, 1 + start, 1.0)


def process_step(start: float, runs: int) -> Disturbance:
    """A process's first `runs` runs, of whatever model, are slower by `start`."""
    return lambda moment: np.where(moment.process_runs < runs, 1 + start, 1.0)


def process_warming(start: float, e_folding: float) -> Disturbance:
    """A process begins slower by `start`, which decays over its runs of whatever model."""
    return lambda moment: 1 + start * np.exp(-moment.process_runs / e_folding)


def _drawn(moment: Moment, salt: int) -> np.random.Generator:
    return np.random.default_rng((salt, moment.process))


def two_speeds(slower: float, share: float = 0.5, salt: int = 0) -> Disturbance:
    """A share of processes is slower by `slower`, from beginning to end."""

    def factor(moment: Moment) -> float:
        return 1 + slower if _drawn(moment, salt).random() < share else 1.0

    return factor


def two_speeds_by_load(slower: float, share: float = 0.5) -> Disturbance:
    """A share of loads of a model is slower: another placement in memory."""

    def factor(moment: Moment) -> float:
        seed = zlib.crc32(f"{moment.cell.subnet}@{moment.cell.resolution}".encode())
        slow = np.random.default_rng((seed, moment.process)).random() < share
        return 1 + slower if slow and not moment.reference else 1.0

    return factor


def two_speeds_of_runs(slower: float, share: float = 0.4, length: int = 5) -> Disturbance:
    """Stretches of runs on a slower core."""

    def factor(moment: Moment) -> Floats:
        stretches = moment.rng.random(moment.model_runs.size // length + 1) < share
        return np.where(np.repeat(stretches, length)[: moment.model_runs.size], 1 + slower, 1.0)

    return factor


def throttling(slower: float, process: int, *, reference: bool = True) -> Disturbance:
    """From one process on the device is slower, perhaps for all models but the reference."""

    def factor(moment: Moment) -> float:
        return (
            1 + slower if moment.process >= process and (reference or not moment.reference) else 1.0
        )

    return factor


class Wander:
    """The device's speed wanders, autoregressive in time with standard deviation `sd`."""

    def __init__(self, sd: float, seconds: float, seed: int = 0) -> None:
        self._sd, self._seconds = sd, seconds
        self._rng = np.random.default_rng(seed)
        self._level, self._at = sd * self._rng.standard_normal(), 0.0

    def __call__(self, moment: Moment) -> Floats:
        """Factors of the runs."""
        found = np.empty(moment.seconds.size)
        for i, at in enumerate(moment.seconds):
            memory = math.exp(-max(at - self._at, 0.0) / self._seconds)
            step = self._sd * math.sqrt(1 - memory**2) * self._rng.standard_normal()
            self._level, self._at = memory * self._level + step, at
            found[i] = math.exp(self._level)
        return found


def jumping(seconds: float, one_in: int, *, reference_only: bool = False) -> Jump:
    """The clock jumps by `seconds` in one of so many runs."""

    def jump(moment: Moment) -> Floats:
        hit = moment.rng.random(moment.model_runs.size) < 1 / one_in
        return np.where(hit & (moment.reference or not reference_only), seconds, 0.0)

    return jump
