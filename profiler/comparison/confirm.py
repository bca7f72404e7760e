"""Suspects measured again, base and new in the same sessions.

Two profiles are hours or days apart. Within one session, whatever the device does happens to both
sides, so smaller changes of a few suspects can be told from noise than by two whole profiles. Only
the new measurements decide: a cell became a suspect because the old ones looked slow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from compofa.common.errors import UserError, file_error
from compofa.common.files import sha256
from compofa.profiler.comparison.changes import CellChange, Changes, Confirmation
from compofa.profiler.comparison.sides import Side, unalike
from compofa.profiler.measurement.device_access import TimeLimits, models_for, open_device
from compofa.profiler.measurement.progress import Listener
from compofa.profiler.measurement.sessions import Sessions
from compofa.profiler.models.model_store import ModelFile, Models, ModelStore
from compofa.profiler.results.analysis import Analysis
from compofa.profiler.results.journal import PlanLine, journal_path, utc_now
from compofa.profiler.results.table import Cell, Row
from compofa.profiler.settings import Protocol
from compofa.profiler.statistics.compare import Ratio, Verdict, compare_paired
from compofa.profiler.transports.device import Device
from compofa.supernet.space import Space

AT_ONCE = 12
"""How many cells are measured together; the next ones follow when these are settled."""

SAMPLE = 8
"""How many cells stand for all of them where the change of all together is in doubt."""

FEWEST_SESSIONS, MOST_SESSIONS = 8, 400
"""Sessions of a cell: a variance from fewer is too uncertain to stop by, and more do not help."""

NARROW = 1 / 3
"""A cell is settled once the half-width of its interval is this share of the smallest effect."""

SAME_FILE = Ratio(1.0, 1.0, 1.0, 0.0, Verdict.SAME)


@dataclass(frozen=True)
class ModelSources:
    """Where the model files of two tables come from.

    Attributes:
        space: of the tables' cells. A model that is in no folder is built anew, and used if its
            hash is the right one.
        folders: of model files that are named by their hash.
    """

    space: Space
    folders: Sequence[Path]


@dataclass(frozen=True)
class _Pair:
    """A cell as the journal names its two sides, each by its model file."""

    cell: Cell
    base: Cell
    new: Cell


class _BothSides(Models):
    """Model files of both sides, found in folders by their hash, or built here.

    Args:
        folders: as `compofa-profile --keep-models` fills them.
        store: builds what is in none of them.
    """

    def __init__(self, folders: Sequence[Path], store: ModelStore) -> None:
        self._folders, self._store = folders, store
        self._found: dict[Cell, Path] = {}
        self._built: dict[Cell, Cell] = {}

    def find(self, side: Side, row: Row) -> Cell:
        """Finds the model file that `row` was measured with; returns its name for the journal.

        Raises:
            UserError: it is in no folder, and this version builds another one.
        """
        known = row.model_sha256
        named = replace(row.cell, subnet=f"{row.cell.subnet} {known[:12]}")
        if named in self._found or named in self._built:
            return named
        # Rows of tables from elsewhere name no model; nothing can be confirmed of these.
        paths = [folder / known for folder in self._folders] if known else []
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            _check_content(path)
            self._found[named] = path
        elif known and self._store.model(row.cell).sha256 == known:
            self._built[named] = row.cell
        else:
            where = "no --models folder has" if self._folders else "there is no --models folder for"
            raise UserError(
                f"{where} the model of {row.cell.subnet} at {row.cell.resolution} that the table "
                "was measured with, and this version of compofa builds another",
                path=side.path,
                hint="profile with --keep-models DIR, and give that folder as --models DIR",
            )
        return named

    def model(self, cell: Cell) -> ModelFile:
        """See `Models.model`. What a found file computes was checked when it was profiled."""
        if cell in self._found:
            path = self._found[cell]
            return ModelFile(path, path.name, None, 0)
        return self._store.model(self._built.get(cell, cell))

    def close(self) -> None:
        """The store is closed by whoever made it."""


def confirm(
    changes: Changes,
    device: Device,
    sources: ModelSources,
    listener: Listener,
    *,
    limits: TimeLimits,
    protocol: Protocol | None = None,
) -> Changes:
    """Measures the suspects of both sides side by side; returns `changes` with the new results.

    The journal is written beside the new table, as NAME.confirm.journal.jsonl; the same call
    continues it.

    Args:
        changes: two tables of one set-up.
        device: the one that they were measured on.
        sources: where the models of both sides come from.
        listener: is told about the progress.
        limits: when to stop in any case, and the longest pause on a disturbed device.
        protocol: how cells are measured in a session.

    Raises:
        UserError: a model file cannot be found or built, or the device is not as it was.
        DeviceError: the device cannot be reached, or cannot measure.
    """
    if changes.differences:
        raise UserError(
            "--confirm runs both sides in one session, and they differ in "
            + ", ".join(changes.differences)
        )
    wanted, sample = _wanted(changes)
    if not wanted:
        return changes
    protocol = protocol or Protocol(tolerance=device.dtype.tolerance)
    with models_for(device, sources.space) as store:
        models = _BothSides(sources.folders, store)
        pairs, identical = _pairs(changes, models, wanted)
        ratios = dict.fromkeys(identical, SAME_FILE)
        sessions = 0
        if pairs:
            place = journal_path(changes.new.path.with_suffix(".confirm.csv"))
            with open_device(device, models, listener, limits=limits) as access:
                # Checked before the journal is opened, which would record the device's new state.
                told = access.header
                _check_device(changes.new, asdict(told.setup) | told.fingerprint)
                with Sessions.begin(access, protocol, place) as measuring:
                    measuring.journal.append(_plan(sources.space, pairs, protocol))
                    judge = _Judge(pairs, changes.min_effect, changes.confidence)
                    if time.monotonic() < limits.until:
                        measuring.run(judge.pending, 0)
                    ratios |= judge.compared(measuring.analysis())
                    sessions = judge.sessions(measuring.analysis())
    return _with(changes, ratios, identical, sample, sessions)


def _wanted(changes: Changes) -> tuple[list[CellChange], list[Cell]]:
    """The cells in doubt, those that seem slowest first; and which of them stand for all."""
    doubtful = {*changes.of(Verdict.SLOWER), *changes.suspects}
    sample: set[CellChange] = set()
    # A change that all cells share shows in a few of them as well as in all, and sooner.
    if changes.overall.verdict in (Verdict.SLOWER, Verdict.CANNOT_TELL):
        rng = np.random.default_rng(0)
        size = min(SAMPLE, len(changes.cells))
        chosen = rng.choice(len(changes.cells), size, replace=False)
        sample = {changes.cells[i] for i in chosen.tolist()}
    wanted = [each for each in changes.cells if each in doubtful or each in sample]
    return wanted, [each.cell for each in changes.cells if each in sample]


def _pairs(
    changes: Changes, models: _BothSides, wanted: Sequence[CellChange]
) -> tuple[list[_Pair], list[Cell]]:
    """Both sides of the cells `wanted`; and cells whose two sides are one file."""
    before, after = changes.base.measured(), changes.new.measured()
    pairs, identical = [], []
    for each in wanted:
        rows = before[each.cell], after[each.cell]
        # One file cannot be slower than itself: what differed was the device.
        if rows[0].model_sha256 and rows[0].model_sha256 == rows[1].model_sha256:
            identical.append(each.cell)
        else:
            base, new = models.find(changes.base, rows[0]), models.find(changes.new, rows[1])
            pairs.append(_Pair(each.cell, base, new))
    return pairs, identical


@dataclass(frozen=True)
class _Judge:
    """Says what the sessions so far amount to, and which cells need more."""

    pairs: Sequence[_Pair]
    min_effect: float
    confidence: float

    def pending(self, analysis: Analysis) -> list[Cell]:
        """Both sides of the first pairs that are not settled."""
        ratios = self.compared(analysis)
        open_ = [pair for pair in self.pairs if not self._settled(pair, analysis, ratios)]
        return [cell for pair in open_[:AT_ONCE] for cell in (pair.base, pair.new)]

    def compared(self, analysis: Analysis) -> dict[Cell, Ratio]:
        """Ratios of all cells that two sessions measured on both sides."""
        nothing: dict[int, float] = {}
        return compare_paired(
            {pair.cell: analysis.values.get(pair.base, nothing) for pair in self.pairs},
            {pair.cell: analysis.values.get(pair.new, nothing) for pair in self.pairs},
            confidence=self.confidence,
            min_effect=self.min_effect,
        )

    def sessions(self, analysis: Analysis) -> int:
        """The most that measured both sides of a cell."""
        return max(self._count(pair, analysis) for pair in self.pairs)

    def _settled(self, pair: _Pair, analysis: Analysis, ratios: Mapping[Cell, Ratio]) -> bool:
        results = [analysis.results.get(side) for side in (pair.base, pair.new)]
        # What fails once fails again: no session will settle it.
        if any(result is not None and result.failure is not None for result in results):
            return True
        count = self._count(pair, analysis)
        if count < FEWEST_SESSIONS or pair.cell not in ratios:
            return False
        ratio = ratios[pair.cell]
        half = math.log(ratio.high / ratio.low) / 2
        return half <= NARROW * math.log1p(self.min_effect) or count >= MOST_SESSIONS

    @staticmethod
    def _count(pair: _Pair, analysis: Analysis) -> int:
        """Sessions that measured both sides."""
        base, new = (analysis.values.get(side, {}) for side in (pair.base, pair.new))
        return len(base.keys() & new.keys())


def _with(
    changes: Changes,
    ratios: Mapping[Cell, Ratio],
    identical: Sequence[Cell],
    sample: Sequence[Cell],
    sessions: int,
) -> Changes:
    """`changes` with the ratios that were found, in the new table too."""
    cells = [
        replace(each, new_ms=each.base_ms * ratio.value, ratio=ratio) if ratio else each
        for each in changes.cells
        for ratio in [ratios.get(each.cell)]
    ]
    cells.sort(key=lambda each: -each.ratio.value)
    device = 1.0 if changes.device is None else changes.device.ratio
    before = changes.base.measured()
    rows = tuple(
        _row(row, before[row.cell], ratios[row.cell], device) if row.cell in ratios else row
        for row in changes.new.table.rows
    )
    measured = tuple(cell for cell in ratios if cell not in set(identical))
    return replace(
        changes,
        cells=tuple(cells),
        overall=_overall(changes, ratios, sample),
        new=replace(changes.new, table=replace(changes.new.table, rows=rows)),
        confirmation=Confirmation(measured, tuple(identical), sessions),
    )


def _overall(changes: Changes, ratios: Mapping[Cell, Ratio], sample: Sequence[Cell]) -> Ratio:
    """That of the cells that stand for all, once all of them are known."""
    if not sample or any(cell not in ratios for cell in sample):
        return changes.overall
    sampled = {number: ratios[cell].value for number, cell in enumerate(sample)}
    # Ratios that are all the same have no scatter to make an interval of.
    if len({*sampled.values()}) == 1:
        return ratios[sample[0]]
    # The cells take the place of sessions: what they scatter by is what the mean is unsure of.
    return compare_paired(
        {None: dict.fromkeys(sampled, 1.0)},
        {None: sampled},
        confidence=changes.confidence,
        min_effect=changes.min_effect,
        peeking=False,
    )[None]


def _row(row: Row, before: Row, ratio: Ratio, device: float) -> Row:
    """The new table's row, as it would be by what was confirmed."""
    scale = (before.latency_ms or math.nan) * device
    return replace(
        row,
        latency_ms=scale * ratio.value,
        ci_low_ms=scale * ratio.low,
        ci_high_ms=scale * ratio.high,
    )


def _plan(space: Space, pairs: Sequence[_Pair], protocol: Protocol) -> PlanLine:
    cells = tuple(cell for pair in pairs for cell in (pair.base, pair.new))
    indices = tuple(range(len(cells)))
    return PlanLine(space.name, "confirm", 0, cells, indices, (), asdict(protocol), utc_now())


def _check_device(new: Side, facts: Mapping[str, object]) -> None:
    """Raises UserError where the device is not as it was when the new side was measured."""
    wrong = unalike(new.facts, facts)
    if wrong:
        named = [f"{name} was {then!r} and is {now!r}" for name, (then, now) in wrong.items()]
        raise UserError(
            f"the device is not as it was when the table was measured: {'; '.join(named)}",
            path=new.path,
            hint="profile both sides again",
        )


def _check_content(path: Path) -> None:
    """Raises UserError where a model file is not what its name says."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise file_error(error, path, "cannot read the model") from None
    if sha256(content) != path.name:
        raise UserError(
            "the model file is damaged: its content has another hash than its name says",
            path=path,
            hint="delete it, and profile with --keep-models again",
        )
