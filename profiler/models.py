"""Model files for the device: built from a cell, named by their hash, kept while a profile runs."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compofa.profiler.agent.compofa_agent import CHECKED_OUTPUTS, OnnxRuntime, random_input
from compofa.profiler.closing import Closing
from compofa.profiler.table import Cell
from compofa.supernet.errors import UserError, file_error
from compofa.supernet.files import sha256
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space

WEIGHTS_SEED = 0
"""One seed for all models: a cell's model is the same file in every session and on every host."""

CAPACITY = 2_000_000_000
"""Bytes of model files that are kept; a default plan needs half of it, a full one ten times."""


@dataclass(frozen=True)
class Model:
    """A model file, and what it computes on the host.

    Attributes:
        output: a sample of its output for the input of seed 0, as the agent takes it.
        output_size: how many numbers the whole output has.
    """

    path: Path
    sha256: str
    output: tuple[float, ...]
    output_size: int

    def deviation(self, output: Sequence[float], output_size: int) -> float:
        """Largest difference between `output` and this one's, relative to this one's largest value.

        Infinite where the two cannot be compared: other sizes, or values that are not numbers.
        """
        if output_size != self.output_size or len(output) != len(self.output):
            return math.inf
        if not all(map(math.isfinite, output)):
            return math.inf
        scale = max(map(abs, self.output)) or 1.0
        return max(abs(a - b) for a, b in zip(output, self.output, strict=True)) / scale


class ModelStore(Closing):
    """Builds models on demand, in a private folder that goes when the store is closed.

    At most `capacity` bytes are kept; what was dropped is built again when it is asked for. What a
    model computes here is found out once.

    Weights are random: what a network weighs does not change how long it takes, as long as its
    activations stay ordinary numbers, which the scale of the weights sees to.
    """

    def __init__(self, spaces: Iterable[Space], capacity: int = CAPACITY) -> None:
        self._spaces = {space.name: space for space in spaces}
        self._capacity = capacity
        self._models: dict[Cell, Model] = {}
        self._kept: dict[Path, int] = {}
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="compofa-models-"))
        except OSError as error:
            raise file_error(error, tempfile.gettempdir(), "cannot keep models") from None

    def model(self, cell: Cell) -> Model:
        """The model of `cell`, built the first time; its space is one of the store's.

        Raises:
            UserError: the cell is not of the space, or the disk is full.
        """
        known = self._models.get(cell)
        if known is not None and known.path in self._kept:
            self._kept[known.path] = self._kept.pop(known.path)
            return known
        content = self._content(cell)
        self._make_room(len(content))
        path = self._folder / sha256(content)
        try:
            path.write_bytes(content)
        except OSError as error:
            raise file_error(error, path, "cannot keep the model") from None
        self._kept[path] = len(content)
        if known is None:
            known = self._models[cell] = _computed(path, cell)
        return known

    def _content(self, cell: Cell) -> bytes:
        from compofa.supernet.export.onnx import write_onnx
        from compofa.supernet.weights import random_weights

        space = self._spaces[cell.space]
        graph = build_graph(space, space.parse(cell.subnet), cell.resolution)
        weights = random_weights(graph, WEIGHTS_SEED)
        return write_onnx(graph, weights, batch_size=cell.batch_size)

    def _make_room(self, size: int) -> None:
        """Deletes the files used longest ago until `size` bytes more fit."""
        while self._kept and sum(self._kept.values()) + size > self._capacity:
            oldest = next(iter(self._kept))
            oldest.unlink(missing_ok=True)
            del self._kept[oldest]

    def close(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _computed(path: Path, cell: Cell) -> Model:
    """The model in `path`, with what it computes here."""
    host = OnnxRuntime(str(path), {"threads": 1})
    output = host.prepare(random_input(host.shape, 0))().reshape(-1)
    if not all(map(math.isfinite, output.tolist())):
        raise UserError(f"{cell.subnet} computes no finite numbers with random weights")
    sample = output[:: -(-output.size // CHECKED_OUTPUTS)]
    return Model(path, path.name, tuple(map(float, sample)), int(output.size))
