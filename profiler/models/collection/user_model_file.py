"""A user's model for a device: its files, its inputs, and the outputs that it should compute."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compofa.profiler.agent.compofa_agent import CHECKED_OUTPUTS, FEWEST_CHECKED, summary
from compofa.profiler.models.model_store import ModelFile, UnusableModel
from compofa.profiler.models.user_files.model_inputs import ModelInputs
from compofa.profiler.models.user_files.user_model import UserModel
from compofa.profiler.transports.agent_client import Loaded, OutputSample
from compofa.supernet.export.dtype import Dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

DIFFERENT = 0.1
"""The share of whole numbers in an output that may differ. Indices of the largest of nearly equal
values do, for example."""

LONGEST_RUN_S = 20.0
"""A model whose runs take longer is not measured, because a session times dozens of runs."""

Stamp = tuple[int, int]
"""The size of a file, and the time of its last change in nanoseconds."""


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file, which changes when it is written; (-1, -1) if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, kw_only=True)
class UserModelFile(ModelFile):
    """A user's model at one batch size.

    Attributes:
        model: the description in its file.
        inputs: the inputs that it is run on.
        input_file: the file with these inputs on this computer.
        stamps: the stamps of the model's files when they were read.
        expected: the outputs that it should compute; None if they are not known.
    """

    model: UserModel
    inputs: ModelInputs
    input_file: Path
    stamps: tuple[Stamp, ...]
    expected: tuple[OutputSample, ...] | None

    @property
    def uploads(self) -> tuple[tuple[Path, str], ...]:
        """See `ModelFile.uploads`; the file that a runtime opens comes first."""
        parts = ((part.path, part.sha256) for part in self.model.parts)
        return (*parts, (self.input_file, self.inputs.sha256))

    @property
    def given(self) -> dict[str, Any]:
        """See `ModelFile.given`."""
        files = {part.name: part.sha256 for part in self.model.parts}
        return {"files": files, "inputs": self.inputs.to_request()}

    def check_unchanged(self) -> None:
        """See `ModelFile.check_unchanged`."""
        for part, before in zip(self.model.parts, self.stamps, strict=True):
            if stamp_of(part.path) != before:
                message = f"its file {part.path.name} was changed while it was being measured"
                raise UnusableModel(message)

    def complaint(self, loaded: Loaded, tolerance: float | None = None) -> str | None:
        """See `ModelFile.complaint`."""
        if loaded.first_ns > LONGEST_RUN_S * 1e9:
            seconds = loaded.first_ns * 1e-9
            return (
                f"a run takes {seconds:.0f} s, but only models that take at most "
                f"{LONGEST_RUN_S:.0f} s are measured"
            )
        for place, output in enumerate(loaded.outputs):
            if output.broken:
                name = self._output(place)
                return f"{output.broken:,} of the {output.size:,} values of {name} are not finite"
        if self.expected is None:
            return None
        allowed = self.dtype.tolerance if tolerance is None else tolerance
        if self._quantised:
            allowed = max(allowed, Dtype.INT8.tolerance)
        wrong = self._difference(loaded.outputs, allowed)
        return wrong and f"its outputs are not as expected: {wrong}"

    def _difference(self, outputs: Sequence[OutputSample], allowed: float) -> str | None:
        assert self.expected is not None
        if len(outputs) != len(self.expected):
            return f"it has {len(outputs)} outputs instead of {len(self.expected)}"
        for place, (seen, wanted) in enumerate(zip(outputs, self.expected, strict=True)):
            name = self._output(place)
            if seen.size != wanted.size or len(seen.values) != len(wanted.values):
                return f"{name} has {seen.size:,} values instead of {wanted.size:,}"
            by = deviation(seen, wanted, correlated=self._quantised)
            if by > allowed and not (seen.exact and unequal(seen, wanted) <= DIFFERENT):
                if self._quantised:
                    return f"{name} correlates by {1 - by:.2g}, less than {1 - allowed:g}"
                return f"{name} differs by {by:.2g} of its largest value, {allowed:g} is allowed"
        return None

    def _output(self, place: int) -> str:
        known = self.model.outputs
        return f"the output {known[place].name}" if place < len(known) else f"output {place + 1}"

    @property
    def _quantised(self) -> bool:
        return self.dtype.quantised or (self.model.dtype or "").startswith(("int", "uint"))


def deviation(seen: OutputSample, wanted: OutputSample, *, correlated: bool = False) -> float:
    """The largest difference of two samples, relative to the largest value of `wanted`.

    If `correlated`, it is one minus their correlation if that is smaller, because single values of
    quantised models may be far off.
    """
    if not seen.values:
        return 0.0
    pairs = list(zip(seen.values, wanted.values, strict=True))
    if any(not math.isfinite(value) for value in wanted.values):
        return math.inf
    largest = max(abs(a - b) for a, b in pairs)
    scale = max(map(abs, wanted.values))
    relative = largest / scale if scale else (math.inf if largest else 0.0)
    several = len({*seen.values}) > 1 < len({*wanted.values})
    if correlated and several and len(pairs) > 2:
        return min(relative, 1 - statistics.correlation(seen.values, wanted.values))
    return relative


def unequal(seen: OutputSample, wanted: OutputSample) -> float:
    """The share of the values of two samples that differ."""
    pairs = list(zip(seen.values, wanted.values, strict=True))
    return sum(a != b for a, b in pairs) / max(1, len(pairs))


def samples_of(arrays: Sequence[npt.NDArray[Any]]) -> tuple[OutputSample, ...]:
    """Samples of these outputs as an agent would return them."""
    most = max(FEWEST_CHECKED, CHECKED_OUTPUTS // max(1, len(arrays)))
    told = [summary(each, most) for each in arrays]
    return tuple(
        OutputSample(
            each["size"],
            tuple(math.nan if value is None else value for value in each["values"]),
            each["broken"],
            each["exact"],
        )
        for each in told
    )
