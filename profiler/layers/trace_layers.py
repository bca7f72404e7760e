"""Where the time of a run goes: what each operator takes, by the runtime's own tracing.

A pass of its own, because tracing takes time: in each session, a fresh process, every network is
timed without tracing and then run with it. Operators are named by the runtime; those of a subnet
are found again in its blocks, because model files name them after the layers.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.measurement.stopwatch import INPUT_SEED
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import CONFIDENCE
from compofa.profiler.statistics.student import student_quantile
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Traced, TracedOperator
from compofa.supernet.blocks import OUTPUT, Block

SESSIONS = 5
RUNS = 40
WARMUP_RUNS = 20
RUN_DEADLINE_S = 300.0


@dataclass(frozen=True)
class TracedNetwork:
    """A network to trace.

    Attributes:
        name: as it is shown.
        blocks: of a subnet; empty for a model file, whose operators belong to no blocks.
    """

    name: str
    cell: Cell
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class TimedPart:
    """An operator, a block or a unit, and what it took.

    Attributes:
        kind: of an operator, as the runtime calls it; of blocks and units empty.
        block: which block an operator belongs to; empty where that is not known.
        session_ms: in each session, the median over its runs.
    """

    name: str
    kind: str
    block: str
    session_ms: tuple[float, ...]

    @property
    def ms(self) -> float:
        """The median over sessions."""
        return statistics.median(self.session_ms)


@dataclass(frozen=True)
class Layers:
    """Where the time of a network goes.

    Attributes:
        untraced_ms, traced_ms: of a whole run in each session, without and with tracing.
        operators: in the order in which they ran.
    """

    name: str
    untraced_ms: tuple[float, ...]
    traced_ms: tuple[float, ...]
    operators: tuple[TimedPart, ...]

    @property
    def blocks(self) -> tuple[TimedPart, ...]:
        """Sums over the operators of each block; none where blocks are not known."""
        return _sums([(part.block, part) for part in self.operators if part.block])

    @property
    def units(self) -> tuple[TimedPart, ...]:
        """Sums over the blocks of each unit; a block outside units is one of its own."""
        return _sums([(unit_of(part.name), part) for part in self.blocks])

    @property
    def sum_ms(self) -> float:
        """What all operators take."""
        return statistics.median(
            map(sum, zip(*(p.session_ms for p in self.operators), strict=True))
        )

    @property
    def tracing_share(self) -> float:
        """By which share tracing makes a run longer."""
        pairs = zip(self.traced_ms, self.untraced_ms, strict=True)
        return statistics.median(traced / untraced for traced, untraced in pairs) - 1


@dataclass(frozen=True)
class PartChange:
    """A block, or where there are none an operator, of two networks.

    Attributes:
        ms: how much longer it takes in the second one.
        low, high: the confidence interval of that, over sessions.
    """

    name: str
    ms: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether it surely changed."""
        return self.low > 0 or self.high < 0


def trace_layers(
    access: DeviceAccess,
    networks: Sequence[TracedNetwork],
    sessions: int = SESSIONS,
    runs: int = RUNS,
) -> tuple[Layers, ...]:
    """Traces some networks, all of them in the same sessions.

    Raises:
        UserError: the runtime does not tell what its operators take.
        DeviceError: a network cannot be run there, or a trace is incomplete.
    """
    models = [access.models.model(network.cell) for network in networks]
    for model in models:
        for path, digest in model.uploads:
            access.transport.put(path, digest)
    told: list[list[tuple[float, Traced]]] = [[] for _ in networks]
    rng = np.random.default_rng(0)
    for number in range(1, sessions + 1):
        access.listener.session(number, sessions - number + 1, len(networks), "tracing session")
        with access.transport.start_agent() as channel:
            link = AgentLink(channel)
            access.lease.hello(link)
            for i in rng.permutation(len(networks)):
                access.listener.cell(networks[i].cell, None)
                told[i].append(_trace(access, link, models[i], runs))
            link.quit()
    return tuple(map(_layers, networks, told))


def _trace(
    access: DeviceAccess, link: AgentLink, model: ModelFile, runs: int
) -> tuple[float, Traced]:
    """Milliseconds of a run without tracing, and what tracing tells."""
    device, name = access.device, model.uploads[0][1]
    loaded = link.load(name, device.runtime, device.load_options(), given=model.given)
    link.run(loaded.handle, WARMUP_RUNS, INPUT_SEED, RUN_DEADLINE_S)
    untraced = link.run(loaded.handle, runs, INPUT_SEED, RUN_DEADLINE_S)[0]
    link.unload(loaded.handle)
    try:
        traced = link.trace(name, device.runtime, device.load_options(), runs, model.given)
    except AgentError as error:
        if error.kind in ("counter", "request"):
            raise UserError(
                f"{device.name}: {error.message}",
                hint="onnxruntime, openvino and torch tell it, with the Python agent",
            ) from None
        raise
    return statistics.median(untraced) / 1e6, traced


def _layers(network: TracedNetwork, told: Sequence[tuple[float, Traced]]) -> Layers:
    """What all sessions told of a network."""
    first = told[0][1].operators
    names = _unique(first)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _, traced in told:
        for name, operator in zip(_unique(traced.operators), traced.operators, strict=True):
            if name in times:
                times[name].append(operator.ns / 1e6)
    # A runtime may fuse differently in another process: only what all sessions have can be told.
    kept = [i for i, name in enumerate(names) if len(times[name]) == len(told)]
    blocks = blocks_of([first[i].name for i in kept], network.blocks)
    return Layers(
        name=network.name,
        untraced_ms=tuple(untraced for untraced, _ in told),
        traced_ms=tuple(statistics.median(traced.ns) / 1e6 for _, traced in told),
        operators=tuple(
            TimedPart(names[i], first[i].kind, block, tuple(times[names[i]]))
            for i, block in zip(kept, blocks, strict=True)
        ),
    )


def _unique(operators: Sequence[TracedOperator]) -> list[str]:
    """Names of operators, those that occur again with a number."""
    seen: dict[str, int] = {}
    names = []
    for operator in operators:
        seen[operator.name] = seen.get(operator.name, 0) + 1
        count = seen[operator.name]
        names.append(operator.name if count == 1 else f"{operator.name} ({count})")
    return names


def blocks_of(operators: Sequence[str], blocks: Sequence[Block]) -> list[str]:
    """The block that each operator belongs to, by the names of layers in the operators' names.

    Operators that a runtime adds, to turn one layout of a tensor into another, are named after no
    layer: they belong to the block of the operator that follows, for whose sake they are there.
    """
    layers = {layer.name: block_name(block) for block in blocks for layer in block.layers}
    if not layers:
        return [""] * len(operators)
    # Model files call the last layer after the network's output.
    layers[OUTPUT] = block_name(blocks[-1])
    # The longest first: unit names are the beginnings of their layers' names.
    choices = "|".join(map(re.escape, sorted(layers, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![a-zA-Z0-9.])({choices})(?![a-zA-Z0-9.])")
    found = [pattern.search(name) for name in operators]
    known = [layers[match[1]] if match else "" for match in found]
    following = ""
    for i in reversed(range(len(known))):
        known[i] = following = known[i] or following
    last = next((name for name in reversed(known) if name), "")
    return [name or last for name in known]


def block_name(block: Block) -> str:
    """What its layers' names have in common: units.0.1, stem."""
    parts = [layer.name.split(".") for layer in block.layers]
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common) or block.layers[0].name


def unit_of(block: str) -> str:
    """The unit of a block: units.0 of units.0.1; a block outside units by itself."""
    match = re.fullmatch(r"(units\.\d+)\.\d+", block)
    return match[1] if match else block


def _sums(named: Sequence[tuple[str, TimedPart]]) -> tuple[TimedPart, ...]:
    """Sums over the parts of each name, session by session, in the order of the names."""
    groups: dict[str, list[tuple[float, ...]]] = {}
    for name, part in named:
        groups.setdefault(name, []).append(part.session_ms)
    return tuple(
        TimedPart(name, "", name, tuple(map(sum, zip(*times, strict=True))))
        for name, times in groups.items()
    )


def compare_layers(
    base: Layers, new: Layers, confidence: float = CONFIDENCE
) -> tuple[PartChange, ...]:
    """What became of each block, or each operator where there are no blocks; the longest first.

    Both were traced in the same sessions: Student's interval of the differences within each, by
    Bonferroni's inequality wide enough to hold for all parts at once. What one of the two does not
    have takes no time there.
    """
    sides = [_parts(base), _parts(new)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    count = len(base.untraced_ms)
    probability = 1 - (1 - confidence) / 2 / max(len(names), 1)
    reach = float(student_quantile(probability, np.array([max(count - 1.0, 1.0)]))[0])
    changes = []
    for name in names:
        before, after = (np.array(side.get(name, (0.0,) * count)) for side in sides)
        difference = after - before
        error = float(difference.std(ddof=1)) / count**0.5 if count > 1 else np.inf
        mean = float(difference.mean())
        changes.append(PartChange(name, mean, mean - reach * error, mean + reach * error))
    return tuple(sorted(changes, key=lambda each: -abs(each.ms)))


def _parts(layers: Layers) -> Mapping[str, tuple[float, ...]]:
    return {part.name: part.session_ms for part in layers.blocks or layers.operators}
