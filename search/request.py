"""What a search is asked to look at, and the candidates that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.common.errors import UserError
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.candidates import Candidates, common_space, join, load_latencies
from compofa.supernet.space import ENUMERABLE, Space
from compofa.supernet.spaces import get_space

if TYPE_CHECKING:
    from compofa.search.answer import Limits
    from compofa.search.large.latency_sources import LatencySource
    from compofa.search.measures import Bound


@dataclass(frozen=True)
class SearchRequest:
    """What to search.

    Attributes:
        tables: table files, or folders of block tables.
        accuracy: a file of accuracies or of a predictor; the shipped ones where None.
        space: its name or file; the tables' own where None.
        like: tables of other devices, from which the cells that `tables` lack are predicted.
        predict: whether a table's measured cells stand for the whole space, by a latency model.
        questions, constraints, risk, seed: only a space too large to list needs to know them.
    """

    tables: Sequence[Path]
    accuracy: Path | None = None
    space: str | None = None
    batch_size: int | None = None
    resolutions: Sequence[int] | None = None
    like: Sequence[Path] = ()
    predict: bool = False
    questions: Sequence[Limits] = ()
    constraints: Sequence[Bound] = ()
    risk: float | None = None
    seed: int = 0


def find_candidates(request: SearchRequest) -> Candidates:
    """Reads what the request names, and finds the cells that can answer it.

    Cells of tables, and of folders of block tables where the space can be listed, are all taken.
    Else a search finds the cells that matter to the questions.

    Raises:
        UserError: a file is wrong, or the request does not fit together.
    """
    space = None if request.space is None else get_space(request.space)
    folders = any(path.is_dir() for path in request.tables)
    if request.predict or (folders and space is not None and space.size > ENUMERABLE):
        return _searched(request, space)
    latencies = [load_latencies(path, space, request.resolutions) for path in request.tables]
    common = common_space(latencies, space)
    accuracy = load_accuracy(request.accuracy, common)
    notes: list[str] = []
    if request.like:
        from compofa.search.transfer import complete

        others = [load_latencies(path, space, request.resolutions) for path in request.like]
        completed = [complete(each, others, common) for each in latencies]
        latencies, notes = [each for each, _ in completed], [told for _, told in completed]
    found = join(latencies, common, accuracy, request.batch_size, request.resolutions)
    return replace(found, notes=(*notes, *found.notes))


def _searched(request: SearchRequest, space: Space | None) -> Candidates:
    from compofa.search.large.large_search import search_large

    if space is None:
        files = [load_latencies(path, None) for path in request.tables]
        space = common_space(files, None)
    return search_large(
        [_device(path, space, request.batch_size) for path in request.tables],
        space,
        load_accuracy(request.accuracy, space),
        request.questions,
        resolutions=request.resolutions,
        constraints=request.constraints,
        risk=request.risk,
        seed=request.seed,
    )


def _device(path: Path, space: Space, batch_size: int | None) -> LatencySource:
    from compofa.profiler.block_tables.block_table import read_block_table
    from compofa.profiler.results.table import read_table
    from compofa.search.large.latency_sources import BlockDevice, ModelDevice

    if not path.is_dir():
        return ModelDevice.fit(path, read_table(path), space, batch_size)
    if batch_size not in (None, 1):
        message = f"a block table is of batch size 1, not {batch_size}"
        raise UserError(message, path=path)
    return BlockDevice(read_block_table(path))
