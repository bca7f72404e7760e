"""Fills an accuracy table, measuring each cell once however often the work is interrupted."""

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
    """The conditions under which subnets are measured.

    Attributes:
        calibration: the training images from which batch norm statistics are computed.
        images: the images to classify.
        loading: how batches are made.
        batch_size: the number of images that are processed together.
        source: where the figures come from, as text for people.
        remarks: all that the figures depend on. Rows are only added to a table with the same
            remarks.
    """

    calibration: Part
    images: Part
    loading: Loading
    batch_size: int
    source: str
    remarks: tuple[str, ...]

    def calibration_images(self, resolution: int) -> Iterator[Tensor]:
        """Batches of the calibration images, each [n, channels, resolution, resolution]."""
        batches = PlainBatches(self.loading, self.calibration, resolution, self.batch_size)
        return (batch.images for batch in batches)


class AccuracyRun:
    """Fills the table in a file, which only the first rank reads and writes."""

    def __init__(
        self, path: Path, supernet: Supernet, conditions: Conditions, ranks: Ranks, fresh: bool
    ) -> None:
        """Reads the rows that the table already has.

        Args:
            path: the file of the table.
            supernet: the weights, on the device of `ranks`.
            conditions: the conditions of the measurement.
            ranks: the processes that work together.
            fresh: whether to discard the rows that the table already has.

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
        """Measures those of the subnets at the resolutions that the table lacks.

        Returns:
            All rows of the table; on other ranks than the first, only those measured now.

        Raises:
            UserError: the table cannot be written, or an error of `evaluate_groups`.
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
        """The rows so far, in the order of the table: by resolution, then by key."""
        return [self._rows[cell] for cell in sorted(self._rows, key=lambda cell: cell[::-1])]

    def _missing(self, subnets: Sequence[Subnet], size: int) -> list[Subnet]:
        """The subnets without a row at that resolution, according to the first rank's table."""
        unique, space = list(dict.fromkeys(subnets)), self._supernet.space
        there = [(space.key(subnet), size) in self._rows for subnet in unique]
        # Only the first rank has read the table. The sum tells the others which rows it has.
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
    """Raises an error that says how they differ if a table's remarks are not as expected."""
    if list(expected) == list(actual):
        return
    now = [remark for remark in expected if remark not in actual]
    was = [remark for remark in actual if remark not in expected]
    message = "the table was made under other conditions: "
    message += f"{was[0]!r}" if was else "it does not state them all"
    message += f", now {now[0]!r}" if now else ""
    hint = "choose another table with --out, or discard this one with --fresh"
    raise UserError(message, path=path, hint=hint)
