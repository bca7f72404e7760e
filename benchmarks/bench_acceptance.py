"""How often a verified winner is over its limit, on simulated devices whose latencies are known.

    python benchmarks/bench_acceptance.py [--devices 200]

Every device is asked for ten limits spread over its range. Its table predicts latencies with an
error of 3 %, fifty measured cells excepted; a session of a cell errs by 1, 3 or 5 %. Winners are
accepted by the bound that holds at all looks together and, for comparison, by one that holds at a
single look. Takes three minutes and writes benchmarks/results/acceptance.json.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from machine import save

from compofa.common.normal_interval import quantile
from compofa.profiler.results.table import Cell, Row, SetUp, Table
from compofa.profiler.statistics.interval import Estimate
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.answer import Limits, ask
from compofa.search.candidates import Candidates, Latencies, join
from compofa.search.verification import acceptance
from compofa.search.verification.measure_finalists import MOST_SESSIONS
from compofa.search.verification.verify import Finalists, verify
from compofa.supernet.graph import graph_blocks
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
RESOLUTIONS = (160, 176, 192, 208, 224)
PREDICTION_ERROR = 0.03
MEASURED = 50
"""Cells of the table before it is verified, in `SESSIONS` sessions each."""
SESSIONS = 7
LIMITS = 10


def true_latencies() -> dict[Cell, float]:
    """Milliseconds of all cells: 30 billion multiply-accumulates a second, 0.05 ms a block."""
    found = {}
    for subnet in SPACE.enumerate():
        for size in RESOLUTIONS:
            blocks = graph_blocks(SPACE, subnet, size)
            cell = Cell(SPACE.name, SPACE.key(subnet), size, 1)
            found[cell] = sum(block.macs for block in blocks) / 3e7 + 0.05 * len(blocks)
    return found


class SimulatedDevice:
    """Its sessions err by `noise`, independently, and it knows by how much.

    Attributes:
        sessions: how many have measured each cell.
    """

    def __init__(self, true: dict[Cell, float], noise: float, seed: int) -> None:
        self.true, self.noise = true, noise
        self.sessions: defaultdict[Cell, int] = defaultdict(int)
        self._rng = np.random.default_rng(seed)
        self._sums: defaultdict[Cell, float] = defaultdict(float)
        self._rows = {cell: self._predicted(cell) for cell in true}
        cells = list(true)
        for i in self._rng.choice(len(cells), MEASURED, replace=False):
            for _ in range(SESSIONS):
                self._session(cells[i])
            self._rows[cells[i]] = self._measured(cells[i])

    def candidates(self) -> Candidates:
        """What the table says so far."""
        table = Table(SetUp("simulated", "", "", "cpu", 1, "float32"), tuple(self._rows.values()))
        return join([Latencies(Path("t.csv"), table)], SPACE, load_accuracy(None, SPACE))

    def measure(self, _: Candidates, wanted: Finalists) -> Candidates:
        """As `search.measuring.Measuring` does."""
        for cell, questions in wanted.items():
            for _session in range(MOST_SESSIONS):
                self._session(cell)
                if acceptance.decided(self.estimate(cell), [limit for (limit,) in questions]):
                    break
            self._rows[cell] = self._measured(cell)
        return self.candidates()

    def estimate(self, cell: Cell) -> Estimate:
        """Of a measured cell, with a 95 % interval."""
        count = self.sessions[cell]
        mean, half = self._sums[cell] / count, 1.96 * self.noise / count**0.5
        low, value, high = np.exp([mean - half, mean, mean + half]).tolist()
        return Estimate(value, low, high, 0.95, count)

    def _session(self, cell: Cell) -> None:
        self.sessions[cell] += 1
        self._sums[cell] += np.log(self.true[cell]) + self.noise * self._rng.standard_normal()

    def _predicted(self, cell: Cell) -> Row:
        mean = np.log(self.true[cell]) + PREDICTION_ERROR * self._rng.standard_normal()
        half = 1.645 * PREDICTION_ERROR
        low, ms, high = np.exp([mean - half, mean, mean + half]).tolist()
        return Row(cell, ms, low, high, 0.9, None, "predicted", "ok", 0, 0, "", "")

    def _measured(self, cell: Cell) -> Row:
        known = self.estimate(cell)
        return replace(
            self._rows[cell],
            latency_ms=known.value,
            ci_low_ms=known.low,
            ci_high_ms=known.high,
            confidence=known.confidence,
            source="measured",
            n_sessions=known.n_sessions,
        )


@dataclass(frozen=True)
class Outcome:
    """What became of all questions to some devices.

    Attributes:
        winners: of all questions.
        over: winners that exceed their limit by more than the tolerance.
        devices_over: devices of which any winner does.
        sure: winners that were called so.
        mean_below_limit: of the winners, a share of the limit.
        top1_lost: on average, compared with the best cells within the limits; below 0 where
            winners were within the tolerance over theirs.
        sessions_of_cells: on average per device.
    """

    winners: int
    over: int
    devices_over: int
    sure: int
    mean_below_limit: float
    top1_lost: float
    sessions_of_cells: float


def outcome(true: dict[Cell, float], noise: float, devices: int) -> Outcome:
    """Verifies all limits on each of some devices."""
    ends = min(true.values()), max(true.values())
    limits: list[Limits] = [(float(ms),) for ms in np.geomspace(*ends, LIMITS + 2)[1:-1]]
    exact = SimulatedDevice(true, 0.0, 0)
    ideal = ask(exact.measure(exact.candidates(), dict.fromkeys(true, ())), limits, top=1).results
    excess, lost, sure, spent = [], [], 0, []
    for seed in range(devices):
        device = SimulatedDevice(true, noise, seed)
        questions = verify(device.candidates(), limits, device.measure).questions
        winners = [each.after for each in questions if each.after is not None]
        assert len(winners) == LIMITS
        excess.append(
            [device.true[w.cell] / limit - 1 for w, (limit,) in zip(winners, limits, strict=True)]
        )
        lost += [best.top1 - w.top1 for best, w in zip(ideal, winners, strict=True)]
        sure += sum(each.sure for each in questions)
        spent.append(sum(device.sessions.values()) - MEASURED * SESSIONS)
    over = np.array(excess) > acceptance.TOLERANCE
    return Outcome(
        winners=over.size,
        over=int(over.sum()),
        devices_over=int(over.any(axis=1).sum()),
        sure=sure,
        mean_below_limit=round(-float(np.mean(excess)), 4),
        top1_lost=round(float(np.mean(lost)), 5),
        sessions_of_cells=round(float(np.mean(spent)), 1),
    )


@contextmanager
def looking_once() -> Iterator[None]:
    """Accepts by a bound that misses as seldom, but at a single look."""
    with mock.patch.object(acceptance, "anytime_reach", _one_look):
        yield


def _one_look(_n_sessions: int, miss: float) -> float:
    return quantile(1 - miss)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=200)
    devices = parser.parse_args().devices
    true = true_latencies()
    found = {}
    for noise in (0.01, 0.03, 0.05):
        row = {"all_looks": asdict(outcome(true, noise, devices))}
        with looking_once():
            row["one_look"] = asdict(outcome(true, noise, devices))
        found[f"noise {noise}"] = row
        print(noise, row)
    save("acceptance", {"devices": devices, "limits": LIMITS, **found})


if __name__ == "__main__":
    main()
