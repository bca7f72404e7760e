"""Model files for the device: built from a cell, named by their hash, kept while a profile runs."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from compofa.profiler.agent.compofa_agent import CHECKED_OUTPUTS, OnnxRuntime, random_input
from compofa.profiler.table import Cell
from compofa.supernet.errors import UserError, file_error
from compofa.supernet.files import sha256
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space

WEIGHTS_SEED = 0
"""One seed for all models: a cell's model is the same file in every session and on every host."""


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


class ModelStore:
    """Builds models on demand, in a private folder that goes when the store is closed.

    Weights are random: what a network weighs does not change how long it takes, as long as its
    activations stay ordinary numbers, which the scale of the weights sees to.
    """

    def __init__(self, spaces: Iterable[Space]) -> None:
        self._spaces = {space.name: space for space in spaces}
        self._models: dict[Cell, Model] = {}
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="compofa-models-"))
        except OSError as error:
            raise file_error(error, tempfile.gettempdir(), "cannot keep models") from None

    def model(self, cell: Cell) -> Model:
        """The model of `cell`, built the first time; its space is one of the store's.

        Raises:
            UserError: the cell is not of the space, or the disk is full.
        """
        if cell not in self._models:
            self._models[cell] = self._build(cell)
        return self._models[cell]

    def _build(self, cell: Cell) -> Model:
        from compofa.supernet.export.onnx import write_onnx
        from compofa.supernet.weights import random_weights

        space = self._spaces[cell.space]
        graph = build_graph(space, space.parse(cell.subnet), cell.resolution)
        weights = random_weights(graph, WEIGHTS_SEED)
        content = write_onnx(graph, weights, batch_size=cell.batch_size)
        digest = sha256(content)
        path = self._folder / digest
        try:
            path.write_bytes(content)
        except OSError as error:
            raise file_error(error, path, "cannot keep the model") from None
        host = OnnxRuntime(str(path), {"threads": 1})
        output = host.prepare(random_input(host.shape, 0))().reshape(-1)
        if not all(map(math.isfinite, output.tolist())):
            raise UserError(f"{cell.subnet} computes no finite numbers with random weights")
        sample = output[:: -(-output.size // CHECKED_OUTPUTS)]
        return Model(path, digest, tuple(map(float, sample)), int(output.size))

    def close(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
