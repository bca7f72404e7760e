"""Filling an accuracy table: every cell is measured once, however often the work is interrupted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.common.progress_meter import Meter
from compofa.supernet.data.batches.loading import Loading, PlainBatches
from compofa.supernet.data.images import Part
from compofa.supernet.evaluation.accuracy_file import (
    AccuracyRow,
    read_accuracy_table,
    wilson,
    write_accuracy_table,
)
from compofa.supernet.evaluation.evaluation import Score, evaluate_groups
from compofa.supernet.ranks import Ranks
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

SizedSubnet = tuple[str, int]
"""A subnet's key and a resolution."""


@dataclass(frozen=True)
class Conditions:
    """On what subnets are measured.

    Attributes:
        calibration: images for batch norm statistics, of the training part.
        images: those to classify.
        batch_size: images at once.
        source: where figures come from, for people.
        remarks: all that they depend on; a table is only added to under the same remarks.
    """

    calibration: Part
    images: Part
    loading: Loading
    batch_size: int
    source: str
    remarks: tuple[str, ...]

    def calibration_images(self, resolution: int) -> Iterator[Tensor]:
        """Batches of the images for batch norm."""
        batches = PlainBatches(self.loading, self.calibration, resolution, self.batch_size)
        return (batch.images for batch in batches)


class AccuracyRun:
    """The table in `path` as it fills; only the first rank reads and writes it."""

    def __init__(
        self, path: Path, supernet: Supernet, conditions: Conditions, ranks: Ranks, fresh: bool
    ) -> None:
        """Takes up what the table has.

        Args:
            path: the table.
            supernet: the weights, on the device of `ranks`.
            conditions: on what it is measured.
            ranks: the processes that work together.
            fresh: discards what the table has.

        Raises:
            UserError: the table cannot be read, or was measured under other conditions.
        """
        self._path, self._supernet, self._conditions = path, supernet, conditions
        self._ranks, self._rows = ranks, dict[SizedSubnet, AccuracyRow]()
        if ranks.first and not fresh and path.is_file():
            remarks, rows = read_accuracy_table(path)
            _check_remarks(path, conditions.remarks, remarks)
            self._rows = {(row.subnet, row.resolution): row for row in rows}

    def fill(self, subnets: Sequence[Subnet], resolutions: Iterable[int]) -> list[AccuracyRow]:
        """Measures what the table lacks of these cells.

        Returns:
            All rows of the table (on the first rank).

        Raises:
            UserError: it cannot be written, or what `evaluate` raises.
        """
        missing = {size: self._missing(subnets, size) for size in resolutions}
        pairs = len(self._conditions.images) * sum(map(len, missing.values()))
        share = -(-pairs // self._ranks.count)
        meter = Meter("evaluating", "images", share, silent=not self._ranks.first)
        try:
            for size, some in missing.items():
                self._measure(some, size, meter)
        finally:
            meter.end()
        return self.rows

    @property
    def rows(self) -> list[AccuracyRow]:
        """What is known so far, in the order of the table."""
        return [self._rows[cell] for cell in sorted(self._rows, key=lambda cell: cell[::-1])]

    def _missing(self, subnets: Sequence[Subnet], size: int) -> list[Subnet]:
        """Those that have no row at that resolution, on all ranks as the first one knows it."""
        unique, space = list(dict.fromkeys(subnets)), self._supernet.space
        there = [(space.key(subnet), size) in self._rows for subnet in unique]
        known = torch.tensor(there, dtype=torch.int64, device=self._ranks.device)
        self._ranks.sum(known)
        return [s for s, measured in zip(unique, known.tolist(), strict=True) if not measured]

    def _measure(self, subnets: Sequence[Subnet], size: int, meter: Meter) -> None:
        here = self._conditions
        images = PlainBatches(here.loading, here.images, size, here.batch_size)
        for scores in evaluate_groups(
            self._supernet,
            subnets,
            here.calibration_images(size),
            lambda: images,
            progress=meter.advance,
        ):
            rows = [self._row(score, size) for score in scores]
            self._rows |= {(row.subnet, size): row for row in rows}
            if self._ranks.first:
                self._write()

    def _row(self, score: Score, size: int) -> AccuracyRow:
        space = self._supernet.space
        low, high = wilson(score.correct, score.images)
        key, source = space.key(score.subnet), self._conditions.source
        return AccuracyRow(space.name, key, size, score.top1, source, low, high)

    def _write(self) -> None:
        write_accuracy_table(self._path, self._conditions.remarks, self.rows)


def _check_remarks(path: Path, expected: Sequence[str], actual: Sequence[str]) -> None:
    """Raises UserError unless a table's remarks are as expected; says where they differ."""
    if list(expected) == list(actual):
        return
    now = [remark for remark in expected if remark not in actual]
    was = [remark for remark in actual if remark not in expected]
    message = "the table was made under other conditions: "
    message += f"{was[0]!r}" if was else "it says less of itself"
    message += f", now {now[0]!r}" if now else ""
    raise UserError(message, path=path, hint="--out names another table, --fresh discards this one")
