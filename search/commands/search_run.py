"""Runs compofa-search once its options are parsed: it searches, measures, writes and prints.

This is apart from the command itself, whose help and errors about options then need no NumPy.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from compofa.common.console import leave, note, print_json, printable
from compofa.common.errors import ExitCode, UserError
from compofa.common.files import check_suffix
from compofa.profiler.models.collection.collection import Collection
from compofa.search.answer import Answer, Result, ask, wants_front
from compofa.search.candidates import Candidates
from compofa.search.commands.search_help import DEFAULT_TOP
from compofa.search.commands.search_options import check_plot
from compofa.search.output import (
    Column,
    as_json,
    columns,
    infeasible_line,
    more_line,
    show,
    title,
    write_results,
)
from compofa.search.request import SearchRequest, find_within_bounds

if TYPE_CHECKING:
    from compofa.search.export import Deployment

__all__ = ["Outputs", "Search", "SearchRequest", "VerifyOptions"]


@dataclass(frozen=True)
class VerifyOptions:
    """How --verify measures.

    Attributes:
        inventory: the file that describes the devices.
        seconds: the most time to spend; infinite without --max-time.
        pause: whether to wait while a device is busy or hot.
    """

    inventory: Path
    seconds: float
    pause: bool


@dataclass(frozen=True)
class Outputs:
    """What the command writes.

    Attributes:
        plot: the file of --plot.
        out: the file of --out.
        deployment: what --export writes.
        json: whether JSON is printed instead of text.
    """

    plot: Path | None
    out: Path | None
    deployment: Deployment | None
    json: bool


@dataclass(frozen=True)
class _Told:
    """An answer and how to show it.

    Attributes:
        candidates: those from which the answer was chosen.
        answer: the answer.
        heading: the line above the columns.
        columns: the columns of the text for people.
        extra: what the JSON object has besides the answer.
        unanswered: messages about the questions that have no answer.
        exit_code: the exit code if every question has an answer.
    """

    candidates: Candidates
    answer: Answer
    heading: str
    columns: Sequence[Column]
    extra: Mapping[str, object]
    unanswered: Sequence[str]
    exit_code: ExitCode = ExitCode.DONE


@dataclass(frozen=True)
class Search:
    """One call of the command.

    Attributes:
        request: what to search.
        top: the most results per question; None for the default.
        family: the number of subnets that serve all questions together; None without --family.
        verify: how to measure the finalists; None without --verify.
        outputs: what to write.
    """

    request: SearchRequest
    top: int | None
    family: int | None
    verify: VerifyOptions | None
    outputs: Outputs

    def _check(self) -> None:
        """Raises UserError if options were given that cannot be combined."""
        request = self.request
        if self.outputs.plot is not None:
            check_plot(self.outputs.plot)
        if self.outputs.out is not None:
            check_suffix(self.outputs.out, ".csv")
        if request.minimise and (request.predict or self.family is not None):
            raise UserError("--minimise cannot be combined with --predict or --family")
        others = self.family is not None or request.like or request.minimise
        if self.verify is not None and (not request.questions or others):
            raise UserError(
                "--verify needs --latency and cannot be combined with --family, --like or "
                "--minimise"
            )
        if request.predict and request.like:
            raise UserError(
                "--predict and --like cannot be combined",
                hint="--predict searches the whole space, --like the cells of the other tables",
            )

    def run(self) -> None:
        """Searches, shows and writes the answer, and exits.

        Raises:
            UserError: options do not go together, or a file is wrong.
        """
        self._check()
        candidates, reason = find_within_bounds(self.request)
        for message in candidates.notes:
            note(f"note: {message}")
        if reason is not None:
            self._say_no(candidates, Answer((), ()), [reason], {})
        if self.verify is not None:
            told = _verified(candidates, self.request, self.verify)
        elif self.family is not None:
            told = _family(candidates, self.request, self.family)
        else:
            told = self._asked(candidates)
        self._tell(told)

    def _asked(self, candidates: Candidates) -> _Told:
        request, top = self.request, self.top
        asked = request.questions, request.minimise, request.min_top1
        if top is None and not wants_front(len(candidates.tables), *asked):
            top = DEFAULT_TOP if len(request.questions) <= 1 else 1
        answer = ask(
            candidates, request.questions, top, request.risk, request.minimise, request.min_top1
        )
        if candidates.seen is not None:
            # Of a large space only the best cells are kept, so how many more fit is not known.
            answer = replace(answer, more=())
        heading = title(candidates, *asked)
        shown = columns(candidates, answer, request.minimise)
        return _Told(candidates, answer, heading, shown, {}, _infeasible(candidates, answer))

    def _tell(self, told: _Told) -> None:
        """Writes the files, prints the answer, and exits with the code that it calls for."""
        answer, outputs = told.answer, self.outputs
        written: list[Path] = []
        if answer.results:
            written = self._write(told.candidates, answer)
            if not outputs.json:
                _show(told, written)
        if told.unanswered:
            self._say_no(told.candidates, answer, told.unanswered, told.extra, told.exit_code)
        if outputs.json:
            files = {"written": [str(path) for path in written]} if outputs.deployment else {}
            print_json(as_json(told.candidates, answer) | dict(told.extra) | files)
        raise typer.Exit(told.exit_code)

    def _write(self, candidates: Candidates, answer: Answer) -> list[Path]:
        outputs = self.outputs
        if outputs.out is not None:
            write_results(outputs.out, candidates, answer)
        if outputs.plot is not None:
            from compofa.search.plot.plot import write_plot

            write_plot(outputs.plot, candidates, answer)
        written = [path for path in (outputs.out, outputs.plot) if path is not None]
        if outputs.deployment is not None:
            if isinstance(candidates.space, Collection):
                raise UserError("--export writes subnets, and these are model files already")
            written += outputs.deployment.write(_winners(answer), candidates.space)
        return written

    def _say_no(
        self,
        candidates: Candidates,
        answer: Answer,
        reasons: Sequence[str],
        extra: Mapping[str, object],
        code: ExitCode = ExitCode.DONE,
    ) -> NoReturn:
        """Prints JSON if asked for, then the reasons, and exits with `code`, or 1 if that is 0."""
        if self.outputs.json:
            print_json(as_json(candidates, answer) | dict(extra))
        leave(printable("; ".join(reasons)), code or ExitCode.NO)


def _winners(answer: Answer) -> list[Result]:
    """The best result of each question, or all members of a front or family."""
    best: dict[tuple[float | None, ...], Result] = {}
    for each in answer.results:
        if each.limit_ms is not None:
            best.setdefault(each.limit_ms, each)
    return list(best.values()) or list(answer.results)


def _infeasible(candidates: Candidates, answer: Answer) -> list[str]:
    return [infeasible_line(candidates, each) for each in answer.infeasible]


def _verified(candidates: Candidates, request: SearchRequest, options: VerifyOptions) -> _Told:
    """Measures the finalists and answers from that."""
    from compofa.profiler.measurement.device_monitor import PATIENCE_S
    from compofa.search.verification.measure_finalists import FinalistMeasurement, devices_of
    from compofa.search.verification.verification_output import (
        before_column,
        undecided_lines,
        verification_json,
        verification_sentence,
    )
    from compofa.search.verification.verify import verify

    until = time.monotonic() + options.seconds
    measuring = FinalistMeasurement(
        devices_of(candidates, options.inventory),
        [table.path for table in candidates.tables],
        lambda: find_within_bounds(request)[0],
        until,
        PATIENCE_S if options.pause else 0.0,
    )
    done = verify(candidates, request.questions, measuring, request.risk)
    out_of_time = time.monotonic() >= until and not all(each.sure for each in done.questions)
    open_ = any(not each.decided for each in done.questions)
    code = ExitCode.PARTIAL if open_ else ExitCode.DONE
    note(verification_sentence(done))
    answer, after = done.answer, done.candidates
    return _Told(
        after,
        answer,
        title(after, request.questions, (), request.min_top1),
        [*columns(after, answer), before_column(done)],
        {"verification": verification_json(done)},
        [*undecided_lines(done), *_infeasible(after, answer)],
        ExitCode.OUT_OF_TIME if out_of_time else code,
    )


def _family(candidates: Candidates, request: SearchRequest, count: int) -> _Told:
    from compofa.search.family.family import find_family
    from compofa.search.family.family_output import (
        family_answer,
        family_columns,
        family_json,
        family_title,
    )

    family = find_family(candidates, request.questions, count, request.risk)
    answer = family_answer(candidates, family)
    shown = [*columns(candidates, answer), *family_columns(candidates, family)]
    extra = {"family": family_json(candidates, family)}
    heading = family_title(candidates, family)
    return _Told(candidates, answer, heading, shown, extra, _infeasible(candidates, answer))


def _show(told: _Told, written: Sequence[Path]) -> None:
    show(told.heading, told.columns)
    more = more_line(told.answer)
    if more is not None:
        print(more)
    print(printable(f"accuracy: {told.candidates.accuracy}"))
    for path in written:
        print(printable(f"written: {path}"))
