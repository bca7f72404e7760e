"""A request to a search, and the candidates that can answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.models.collection.collection import Collection
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.metric import TOP1, Metric
from compofa.search.accuracy.sources import AccuracySource
from compofa.search.answer import Limits, costs_at
from compofa.search.candidates import Candidates, Latencies, common_space, join, load_latencies
from compofa.search.measures import (
    Bound,
    LatencyMeasure,
    Measure,
    accurate_enough,
    within_bound,
)
from compofa.supernet.space import ENUMERABLE, Space
from compofa.supernet.spaces import get_space

if TYPE_CHECKING:
    from compofa.search.large.latency_sources import LatencySource


@dataclass(frozen=True)
class SearchRequest:
    """What to search, and for what.

    Attributes:
        tables: latency tables, or folders of block tables.
        accuracy: an accuracy table or a predictor; None for the accuracies that ship with the
            package.
        space: the name or the file of the space; None for that of the tables.
        metric: what the accuracies are.
        collection: where the model files are that the tables are about, to measure them again.
        batch_size: that of the cells to search; needed only if a table has several.
        resolutions: those of the cells to search, in pixels; None for all.
        like: tables of other devices, from which the cells that `tables` lack are predicted.
        predict: whether to search the whole space, with latencies that a model of the measured
            cells predicts.
        questions, risk, minimise, min_top1: as in `answer.ask`.
        constraints: upper bounds on costs of a subnet other than latency.
        seed: the random seed of the search of a space that is too large to list.
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
    minimise: Sequence[Measure] = ()
    min_top1: float | None = None
    seed: int = 0
    metric: Metric = TOP1
    collection: Collection | None = None


def find_candidates(request: SearchRequest) -> Candidates:
    """Reads the files of a request, and finds the cells that can answer it.

    All cells of tables are candidates, and so are all subnets of a space that can be listed. Of a
    larger space, a search finds the candidates that matter to the questions.

    Raises:
        UserError: a file is wrong, or parts of the request cannot be combined.
    """
    space = None if request.space is None else get_space(request.space)
    folders = any(path.is_dir() for path in request.tables)
    if request.predict or (folders and space is not None and space.size > ENUMERABLE):
        return _searched(request, space)
    latencies = [load_latencies(path, space, request.resolutions) for path in request.tables]
    common = common_space(latencies, space)
    if request.collection is not None:
        if not isinstance(common, Collection):
            raise UserError(f"--models names model files, but the tables are of {common.name}")
        common = replace(request.collection, name=common.name)
    accuracy = _accuracy(request, latencies, common)
    notes: list[str] = []
    if request.like:
        if isinstance(common, Collection):
            raise UserError("--like predicts subnets of a space, and these are model files")
        from compofa.search.transfer import complete, learn

        others = [load_latencies(path, space, request.resolutions) for path in request.like]
        _check_batch_sizes(latencies, others)
        known = learn(others, common)
        completed = [complete(each, others, common, known) for each in latencies]
        latencies = [each for each, _ in completed]
        notes = [told for _, each in completed for told in each]
    joined = join(latencies, common, accuracy, request.batch_size, request.resolutions)
    return replace(joined, notes=(*notes, *joined.notes), metric=request.metric)


def _accuracy(
    request: SearchRequest, tables: Sequence[Latencies], space: Space | Collection
) -> AccuracySource:
    """Where accuracies come from: the file that is named, the tables' own column, or ours."""
    asked = isinstance(space, Collection) or not request.metric.is_share
    if request.accuracy is None and asked:
        from compofa.search.accuracy.column_accuracy import column_accuracy

        own = column_accuracy([each.table for each in tables], request.metric)
        if own is not None:
            return own
    return load_accuracy(request.accuracy, space, request.metric)


def _check_batch_sizes(tables: Sequence[Latencies], others: Sequence[Latencies]) -> None:
    """Raises UserError if a table has no batch size in common with one to learn from."""
    for each in tables:
        own = {row.cell.batch_size for row in each.table.rows}
        for other in others:
            theirs = {row.cell.batch_size for row in other.table.rows}
            if own and theirs and not own & theirs:
                raise UserError(
                    f"the table is of batch size {_listed(own)}, but {other.path} of "
                    f"{_listed(theirs)}",
                    path=each.path,
                    hint="measure one of the devices again, with compofa-profile --batch-size",
                )


def _listed(sizes: set[int]) -> str:
    return ", ".join(map(str, sorted(sizes)))


def find_within_bounds(request: SearchRequest) -> tuple[Candidates, str | None]:
    """Finds the candidates that keep within all bounds of a request.

    The notes of the candidates name bounds that exclude no cell, since these are seldom intended.
    They also say if `min_top1` was compared with predicted accuracies.

    Returns:
        The candidates and None; or, if none keeps within a bound, some candidates and a message.

    Raises:
        UserError: as `find_candidates`, or a bound is on a column that no table has.
    """
    candidates = find_candidates(request)
    notes = list(candidates.notes)
    for bound in request.constraints:
        before = len(candidates)
        candidates, reason = within_bound(candidates, bound)
        if reason is not None:
            return candidates, reason
        if len(candidates) == before:
            notes.append(f"every cell has at most {bound}: that bound excludes none")
    if request.min_top1 is not None:
        before = len(candidates)
        candidates, reason = accurate_enough(candidates, request.min_top1)
        metric = request.metric
        least = f"{100 * request.min_top1 if metric.is_share else request.min_top1:g}{metric.unit}"
        if candidates.predicted:
            notes.append(
                f"{least} is compared with predicted accuracies ({candidates.accuracy}); those of "
                "trained weights may differ"
            )
        if reason is not None:
            return replace(candidates, notes=tuple(notes)), reason
        if len(candidates) == before:
            notes.append(f"every cell reaches {least}: that bound excludes none")
    # A search of a large space keeps only good cells, so that all of them may meet a limit.
    if candidates.seen is None:
        notes += _idle_limits(candidates, request)
    return replace(candidates, notes=tuple(notes)), None


def _idle_limits(candidates: Candidates, request: SearchRequest) -> list[str]:
    """Says which latency limits every candidate meets, with one sentence per table."""
    if not request.questions:
        return []
    slowest = costs_at(candidates, request.risk).max(axis=0)
    sentences = []
    for t, table in enumerate(candidates.tables):
        asked = {limits[t] for limits in request.questions if np.isfinite(limits[t])}
        idle = sorted(limit for limit in asked if slowest[t] <= limit)
        if len(idle) == 1:
            limit = f"every cell meets {idle[0]:g} ms on {table.device}"
            sentences.append(f"{limit}: that limit excludes none")
        elif idle:
            limit = f"every cell meets limits from {idle[0]:g} ms up on {table.device}"
            sentences.append(f"{limit}: they exclude none")
    return sentences


def _searched(request: SearchRequest, space: Space | None) -> Candidates:
    from compofa.search.large.large_search import SearchBounds, search_large

    others = [each.name for each in request.minimise if not isinstance(each, LatencyMeasure)]
    if others:
        # The search maximises accuracy within limits. It would not find the least of a cost.
        hint = "bound it instead, for example with --max-macs or --max-memory"
        raise UserError(f"--minimise {others[0]} cannot be used in a large space", hint=hint)

    if space is None:
        files = [load_latencies(path, None) for path in request.tables]
        found = common_space(files, None)
        if isinstance(found, Collection):
            raise UserError("--predict predicts subnets of a space, and these are model files")
        space = found
    return search_large(
        [_device(path, space, request.batch_size) for path in request.tables],
        space,
        load_accuracy(request.accuracy, space),
        request.questions,
        SearchBounds(request.resolutions, request.constraints, request.risk),
        request.seed,
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
