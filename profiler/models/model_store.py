"""Model files for the device: built from a cell, named by their hash, kept while a profile runs."""

from __future__ import annotations

import math
import statistics
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compofa.common.closing import Closing
from compofa.common.errors import UserError, file_error
from compofa.common.files import sha256, write_atomically
from compofa.common.scratch import Scratch
from compofa.profiler.agent.compofa_agent import CHECKED_OUTPUTS, OnnxRuntime, random_input
from compofa.profiler.models.subnet_models import model_file
from compofa.profiler.results.table import Cell
from compofa.profiler.runtimes.runtime_registry import find_runtime
from compofa.profiler.transports.agent_client import Loaded
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.formats import ONNX
from compofa.supernet.export.model_format import ModelContent
from compofa.supernet.export.weights import random_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space

WEIGHTS_SEED = 0
"""One seed for all models: a cell's model is the same file in every session and on every host."""

CAPACITY = 2_000_000_000
"""Bytes of model files that are kept. A default plan needs half of that, a full one ten times."""


@dataclass(frozen=True)
class ModelFile:
    """A model file, and what the same network computes on the host in float32.

    Attributes:
        output: a sample of its output for the input of seed 0, as the agent samples it; None where
            it is not known.
        output_size: how many numbers the whole output has.
        dtype: the number type in which the device computes the network.
    """

    path: Path
    sha256: str
    output: tuple[float, ...] | None
    output_size: int
    dtype: Dtype = Dtype.FLOAT32

    @property
    def uploads(self) -> tuple[tuple[Path, str], ...]:
        """The files that have to be on the device to load it, each with its hash."""
        return ((self.path, self.sha256),)

    @property
    def given(self) -> dict[str, Any]:
        """What the request to load it says besides; nothing of a model that was built here."""
        return {}

    def check_unchanged(self) -> None:
        """Returns if its files are still what they were; those that were built here are.

        Raises:
            UnusableModel: they have changed.
        """

    def complaint(self, loaded: Loaded, tolerance: float | None = None) -> str | None:
        """Why a device that has loaded it must not be timed on it; None if all is well.

        Args:
            loaded: what the device said of it.
            tolerance: see `mismatch`.
        """
        wrong = self.mismatch(loaded.output, loaded.output_size, tolerance)
        return wrong and f"its output is not what the host computes: {wrong}"

    def mismatch(
        self, output: Sequence[float], output_size: int, tolerance: float | None = None
    ) -> str | None:
        """Why `output` cannot be this network's; None if it can, or if its own is not known.

        Args:
            output: a sample, as the agent samples it.
            output_size: of the whole output.
            tolerance: of the deviation; that of the dtype if left out.
        """
        if self.output is None:
            return None
        allowed = self.dtype.tolerance if tolerance is None else tolerance
        deviation = self.deviation(output, output_size)
        if deviation <= allowed:
            return None
        if self.dtype.quantised:
            return f"the correlation is {1 - deviation:.2g} and must be {1 - allowed:g} at least"
        return f"they differ by {deviation:.2g} of the largest value; {allowed:g} is allowed"

    def deviation(self, output: Sequence[float], output_size: int) -> float:
        """Largest difference between `output` and this one's, relative to this one's largest value.

        Of a quantised model, whose single values may be far off, one minus the correlation.
        Infinite where the two cannot be compared: other sizes, or values that are not numbers.
        """
        if self.output is None or output_size != self.output_size:
            return math.inf
        if len(output) != len(self.output):
            return math.inf
        if not all(map(math.isfinite, output)):
            return math.inf
        if self.dtype.quantised:
            return 1 - _correlation(output, self.output)
        scale = max(map(abs, self.output)) or 1.0
        return max(abs(a - b) for a, b in zip(output, self.output, strict=True)) / scale


class UnusableModel(UserError):
    """A model that cannot be measured; others can, and its row says why this one was not."""


class Models(Closing):
    """Where models come from."""

    @abstractmethod
    def model(self, cell: Cell) -> ModelFile:
        """The model of `cell`, in a file of this computer.

        Raises:
            MissingExtra: a package that writes models for this runtime is not installed.
            UnusableModel: this one cannot be measured.
            UserError: the cell is not of the space, or the disk is full.
        """


class ModelStore(Models):
    """Builds models on demand, in a private folder that is deleted when the store is closed.

    At most `capacity` bytes are kept; a model that was deleted is built again when it is asked for.
    What a network computes here, by onnxruntime and in float32, is computed once.

    Weights are random: their values do not change how long a network takes, as long as its
    activations stay ordinary numbers, which the scale of the weights takes care of.

    Args:
        spaces: of the cells that will be asked for.
        runtime, dtype: that the files are for.
        capacity: bytes.
        keep: a folder where each model stays when the store is closed, named by its hash.
    """

    def __init__(
        self,
        spaces: Iterable[Space],
        runtime: str = "onnxruntime",
        dtype: Dtype = Dtype.FLOAT32,
        capacity: int = CAPACITY,
        keep: Path | None = None,
    ) -> None:
        self._spaces = {space.name: space for space in spaces}
        self._runtime, self._dtype, self._capacity = find_runtime(runtime), dtype, capacity
        self._keep_in = keep
        self._models: dict[Cell, ModelFile] = {}
        self._kept: dict[Path, int] = {}
        if keep is not None:
            try:
                keep.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise file_error(error, keep, "cannot keep models") from None
        self._scratch = Scratch()

    def model(self, cell: Cell) -> ModelFile:
        """See `Models.model`; built the first time, its space is one of the store's."""
        known = self._models.get(cell)
        if known is not None and known.path in self._kept:
            # Put last: what was used longest ago is deleted first.
            self._kept[known.path] = self._kept.pop(known.path)
            return known
        space = self._spaces[cell.space]
        graph = build_graph(space, space.parse(cell.subnet), cell.resolution)
        weights = random_weights(graph, WEIGHTS_SEED)
        content = model_file(self._runtime, self._dtype, graph, weights, cell.batch_size)
        path = self._keep(content)
        if known is None:
            written = self._runtime.file_dtype(self._dtype)
            if self._runtime.format is not ONNX or written != Dtype.FLOAT32:
                content = ONNX.write(ModelContent(graph, weights, batch_size=cell.batch_size))
            known = self._models[cell] = self._computed(cell, path, content)
        return known

    def _keep(self, content: bytes) -> Path:
        """Writes a model file, and makes room for it before."""
        self._make_room(len(content))
        path = self._scratch.path / sha256(content)
        self._put(path, content)
        self._kept[path] = len(content)
        if self._keep_in is not None and not (self._keep_in / path.name).exists():
            write_atomically(self._keep_in / path.name, content, "the model")
        return path

    @staticmethod
    def _put(path: Path, content: bytes) -> None:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise file_error(error, path, "cannot keep the model") from None

    def _computed(self, cell: Cell, path: Path, onnx: bytes) -> ModelFile:
        """The model in `path`, with what `onnx`, the same network in float32, computes here."""
        here = self._scratch.path / "computed.onnx"
        self._put(here, onnx)
        host = OnnxRuntime(str(here), {"threads": 1})
        here.unlink()
        output = host.array(host.prepare(random_input(host.shape, 0))()).reshape(-1)
        if not all(map(math.isfinite, output.tolist())):
            raise UserError(
                f"the output of {cell.subnet} holds infinities or NaN with random weights, so it "
                "cannot be checked on a device"
            )
        sample = tuple(map(float, output[:: -(-output.size // CHECKED_OUTPUTS)]))
        return ModelFile(path, path.name, sample, int(output.size), self._dtype)

    def _make_room(self, size: int) -> None:
        """Deletes the files used longest ago until `size` bytes more fit."""
        while self._kept and sum(self._kept.values()) + size > self._capacity:
            oldest = next(iter(self._kept))
            oldest.unlink(missing_ok=True)
            del self._kept[oldest]

    def close(self) -> None:
        """Deletes the folder."""
        self._scratch.close()


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's, of two samples of one size; 0 where one of them is constant."""
    return statistics.correlation(a, b) if len({*a}) > 1 < len({*b}) else 0.0
