"""What is measured side by side: models in two versions, and how that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import CONFIDENCE, MIN_EFFECT_IN_TURNS

FILES = "files"
"""The space that model files belong to."""

SIDES = ("base", "new")


@dataclass(frozen=True)
class ModelPair:
    """One model in two versions, or the same one on two set-ups.

    Attributes:
        cell: by which reports name it.
        base, new: the files of the two sides.
    """

    cell: Cell
    base: ModelFile
    new: ModelFile

    @property
    def identical(self) -> bool:
        """Whether both sides are one file."""
        return self.base.sha256 == self.new.sha256

    def file(self, which: str) -> ModelFile:
        """That of a side."""
        return self.base if which == "base" else self.new

    def side(self, which: str) -> Cell:
        """As the journal names a side: by the file that it is, so that another one is another."""
        digest = self.file(which).sha256
        return replace(self.cell, subnet=f"{self.cell.subnet} {which} {digest[:12]}")

    @property
    def sides(self) -> tuple[Cell, Cell]:
        """Both of them."""
        return self.side("base"), self.side("new")


@dataclass(frozen=True)
class Unmeasured:
    """A side that cannot be measured, as it was found before anything was.

    Attributes:
        side: base or new; empty where the model is on one side only.
    """

    cell: Cell
    side: str
    reason: str


@dataclass(frozen=True)
class PairedModels:
    """All models of a comparison.

    Attributes:
        pairs: those that can be measured.
        unmeasured: of which a side cannot be read.
        only_base, only_new: without a counterpart.
    """

    pairs: tuple[ModelPair, ...]
    unmeasured: tuple[Unmeasured, ...] = ()
    only_base: tuple[Cell, ...] = ()
    only_new: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class SideBySideRequest:
    """How models are compared.

    Attributes:
        journals: where every run is kept: one file, or one of each set-up.
        names: of the two sides, for reports.
        min_effect: the smallest change that counts, as a fraction; 0 if any does.
        confidence: that nothing is falsely called slower or faster, over all pairs.
        max_time_s: of measuring, from now on.
        patience_s: the longest pause on a disturbed device, see `DeviceMonitor`.
        fresh: whether to discard an earlier journal instead of going on with it.
        force: whether to measure identical files as well.
    """

    journals: tuple[Path, ...]
    names: tuple[Path, Path]
    min_effect: float = MIN_EFFECT_IN_TURNS
    confidence: float = CONFIDENCE
    max_time_s: float = 600.0
    patience_s: float = PATIENCE_S
    fresh: bool = False
    force: bool = False
