"""What comparing two models and comparing two set-ups have in common: time, and loading."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from compofa.common.errors import DeviceError
from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.models.collection.user_model_file import deviation
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.results.journal import Failure, Journal, PlanLine, of_kind, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.side_by_side.findings import DIFFERENCE, PairEvidence
from compofa.profiler.side_by_side.model_pairs import FILES, ModelPair, SideBySideRequest
from compofa.profiler.side_by_side.paired_processes import PLAN
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Loaded, OutputSample
from compofa.profiler.transports.base import LinkLost

LARGEST_DIFFERENCE = 1e9
"""Of outputs; an infinite one cannot be written to a journal."""


@dataclass
class SideLoader:
    """Loads models on a device, and keeps what each computed to compare both sides.

    Attributes:
        files: the model of each side, by its cell.
        opposite: the other side of each, where this device measures both.
    """

    access: DeviceAccess
    files: Mapping[Cell, ModelFile]
    opposite: Mapping[Cell, Cell]
    _outputs: dict[Cell, tuple[OutputSample, ...]] = field(default_factory=dict, init=False)

    def __call__(self, link: AgentLink, cell: Cell, padding: int) -> Loaded:
        """Loads the model of a side; its settings say how far its outputs are from the other's.

        Raises:
            UnusableModel: its file has changed.
            AgentError, DeviceError: it cannot be loaded, or computes what it must not.
        """
        device, file = self.access.device, self.files[cell]
        self._put(file)
        loaded = link.load(
            file.uploads[0][1],
            device.runtime,
            device.load_options(),
            padding=padding,
            given=file.given,
        )
        told = loaded.outputs or _as_sample(loaded)
        # A program that is called may not tell what a model computes.
        wrong = file.complaint(loaded) if told or not device.spec.invoked else None
        if wrong is not None:
            link.unload(loaded.handle)
            raise AgentError("model", wrong)
        self._outputs[cell] = told
        opposite = self.opposite.get(cell)
        other = None if opposite is None else self._outputs.get(opposite)
        if not told or not other:
            return loaded
        difference = min(outputs_differ(told, other), LARGEST_DIFFERENCE)
        return replace(loaded, settings={**loaded.settings, DIFFERENCE: difference})

    def _put(self, file: ModelFile) -> None:
        """Puts all files of a model on the device."""
        file.check_unchanged()
        for path, digest in file.uploads:
            try:
                self.access.transport.put(path, digest)
            except LinkLost:
                raise
            except DeviceError:
                file.check_unchanged()  # if it has changed, that is why it arrived as another
                raise


def _as_sample(loaded: Loaded) -> tuple[OutputSample, ...]:
    """The output of a model that the toolkit built."""
    return (OutputSample(loaded.output_size, loaded.output),) if loaded.output else ()


def outputs_differ(seen: Sequence[OutputSample], other: Sequence[OutputSample]) -> float:
    """The largest difference of any output, as a share of its largest value; may be infinite."""
    if len(seen) != len(other):
        return math.inf
    found = 0.0
    for ours, theirs in zip(seen, other, strict=True):
        if ours.size != theirs.size or len(ours.values) != len(theirs.values):
            return math.inf
        found = max(found, deviation(ours, theirs))
    return found if math.isfinite(found) else math.inf


def set_time_aside(
    evidence: PairEvidence,
    journals: Sequence[Journal],
    sides: Sequence[Sequence[Cell]],
    request: SideBySideRequest,
) -> None:
    """Writes into each journal that it is measured for so long from now on, unless it says so.

    Args:
        evidence: by the journals.
        journals: one, or that of each set-up.
        sides: the cells of each journal.
        request: says how long.
    """
    seconds = request.max_time_s
    if not evidence.out_of_time and evidence.budgets[-1].seconds == seconds:
        return
    for journal, cells in zip(journals, sides, strict=True):
        protocol = asdict(Protocol(max_time_s=seconds))
        fit = tuple(range(len(cells)))
        line = PlanLine(FILES, PLAN, 0, tuple(cells), fit, (), protocol, utc_now())
        journal.append(line)


def seconds_left(evidence: PairEvidence) -> float:
    """Of the last time that was set aside."""
    budget = evidence.budgets[-1]
    return budget.seconds - max(evidence.measured_s - budget.begun_s, 0.0)


def undecided(
    pairs: Sequence[ModelPair], evidence: PairEvidence, journals: Sequence[Journal]
) -> list[ModelPair]:
    """The pairs that more processes could tell more of."""
    failed = {line.cell for each in journals for line in of_kind(each.lines, Failure) if line.final}
    return [pair for pair in pairs if failed.isdisjoint(pair.sides) and not evidence.decided(pair)]
