"""What TFLite's benchmark_model prints, read strictly.

The formats are those of LiteRT's tflite/tools/benchmark/benchmark_model.cc and
benchmark_tflite_model.cc (commits 7d88950 and 01d971c), and of the same files of TensorFlow before
them, which lack the percentiles and the "INFO: " in front. Until TensorFlow 2.0 the summary has
other words and no time of the first inference, and of delegates it says little or nothing; 2.2 says
"Applied" where later versions say "Explicitly applied". A line of statistics is

    count=50 first=1196 curr=1152 min=1118 max=1196 avg=1152.4 std=13 p5=1121 median=1153 p95=1166

in microseconds, once for the warm-up and once for the timed runs. No version prints single runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_US = 3600e6
"""An hour: no single inference is longer."""

# The numbers of a stream of C++: 1152.4, 1.14039e+07. Longer ones are none of its.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?(?:e[+-]?[0-9]{1,2})?"
_STATISTICS = re.compile(
    rf"count=(?P<count>[0-9]{{1,12}})"
    rf"(?: first=(?P<first>{_NUMBER}))? curr=(?P<curr>{_NUMBER})"
    rf"(?: ?\(all same\)| min=(?P<min>{_NUMBER}) max=(?P<max>{_NUMBER})"
    rf" avg=(?P<avg>{_NUMBER}) std=(?P<std>{_NUMBER}|-?nan))?"
    rf"(?: p5=(?P<p5>{_NUMBER}) median=(?P<median>{_NUMBER}) p95=(?P<p95>{_NUMBER}))?"
)
_SUMMARIES = (
    re.compile(
        rf"Inference timings in us: Init: (?P<init>{_NUMBER}), "
        rf"First inference: (?P<first>{_NUMBER}), "
        rf"Warmup \(avg\): (?P<warmup>{_NUMBER}), Inference \(avg\): (?P<mean>{_NUMBER})"
    ),
    re.compile(
        rf"Average inference timings in us: Warmup: (?P<warmup>{_NUMBER}), "
        rf"Init: (?P<init>{_NUMBER}), (?:Inference|no stats): (?P<mean>{_NUMBER})"
    ),
)
_MEMORY = re.compile(
    rf"(?:Memory footprint delta from the start of the tool|Peak memory footprint) \(MB\): "
    rf"init={_NUMBER} overall=(?P<overall>{_NUMBER})"
)
_DELEGATED = re.compile(
    r"(?:(?:Explicitly applied|Applied) (?P<name>\S+) delegate"
    r"(?:, and the model graph will be (?P<how>\S+) executed (?:by|w/|with) the delegate)?"
    r"|Though (?P<unused>\S+) delegate is (?:explicitly )?applied)"
)


class UnreadableOutput(ValueError):
    """The output is not that of a benchmark that ran to its end."""


@dataclass(frozen=True)
class ProgramStatistics:
    """The statistics of one line, in microseconds; the median is None in older versions."""

    count: int
    smallest: float
    largest: float
    mean: float
    median: float | None

    @property
    def typical(self) -> float:
        """The median, where it was printed; else the mean."""
        return self.mean if self.median is None else self.median


@dataclass(frozen=True)
class Benchmark:
    """One invocation.

    Attributes:
        init_us: loading the model and preparing it, delegates included.
        first_us: the first inference; None where the version does not say.
        added_mb: by how much its memory has grown at the highest since it started, in units of
            2^20 bytes; None where the version or the system does not tell.
        delegates: name of each delegate that was applied, and whether it took the whole network;
            None where this version does not say how much of it.
        unknown_flags: whether flags were passed that this version does not know.
    """

    init_us: float
    first_us: float | None
    added_mb: float | None
    warmup: ProgramStatistics
    runs: ProgramStatistics
    delegates: dict[str, bool | None]
    unknown_flags: bool


def parse_benchmark(text: str) -> Benchmark:
    """Reads the output of one invocation.

    Raises:
        UnreadableOutput: it is not complete, or its numbers contradict each other.
    """
    lines = [line.strip().removeprefix("INFO: ") for line in text.splitlines()]
    statistics = [_statistics(line) for line in lines if line.startswith("count=")]
    if len(statistics) != 2:
        raise UnreadableOutput(f"{len(statistics)} lines of statistics instead of 2")
    summaries = [match for line in lines for form in _SUMMARIES if (match := form.fullmatch(line))]
    if len(summaries) != 1:
        raise UnreadableOutput("no summary at its end")
    warmup, runs = statistics
    for name, printed in (("warmup", warmup), ("mean", runs)):
        told = float(summaries[0][name])
        # Six digits are printed of a mean.
        if abs(told - printed.mean) > 1e-4 * printed.mean:
            raise UnreadableOutput(
                f"a mean of {told:g} us in its summary and {printed.mean:g} above"
            )
    return Benchmark(
        init_us=float(summaries[0]["init"]),
        first_us=_first(summaries[0]),
        added_mb=_added(lines),
        warmup=warmup,
        runs=runs,
        delegates=_delegates(lines),
        unknown_flags="Unconsumed cmdline flags" in text,
    )


def _statistics(line: str) -> ProgramStatistics:
    match = _STATISTICS.fullmatch(line)
    if match is None:
        raise UnreadableOutput(f"a line of statistics that makes no sense: {line[:80]!r}")
    numbers = {
        name: float(text)
        for name, text in match.groupdict().items()
        if text is not None and "nan" not in text
    }
    newest = numbers["curr"]
    read = ProgramStatistics(
        count=int(match["count"]),
        smallest=numbers.get("min", newest),
        largest=numbers.get("max", newest),
        mean=numbers.get("avg", newest),
        median=numbers.get("median"),
    )
    inner = [numbers.get("first", newest), newest, read.typical]
    if read.count < 1 or not 0 < read.smallest <= read.largest < LONGEST_US:
        raise UnreadableOutput(f"statistics of nothing: {line[:80]!r}")
    if not all(read.smallest <= value <= read.largest for value in inner):
        raise UnreadableOutput(f"statistics that contradict each other: {line[:80]!r}")
    return read


def _first(summary: re.Match[str]) -> float | None:
    """Older versions say nothing of the first inference."""
    told = summary.groupdict().get("first")
    return None if told is None else float(told)


def _added(lines: list[str]) -> float | None:
    """None for 0 too: where the system does not count, that is what is printed."""
    told = [float(match["overall"]) for line in lines if (match := _MEMORY.fullmatch(line))]
    return told[-1] if told and told[-1] > 0 else None


def _delegates(lines: list[str]) -> dict[str, bool | None]:
    whole: dict[str, bool | None] = {}
    for line in lines:
        match = _DELEGATED.match(line)
        if match is None:
            continue
        if match["unused"]:
            whole[match["unused"]] = False
        else:
            whole[match["name"]] = None if match["how"] is None else match["how"] == "completely"
    return whole
