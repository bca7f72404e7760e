"""What the figures of a table mean, in plain words: how good they are, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from compofa.profiler.latency_model import Additivity, HeldOutError
from compofa.profiler.report.judgement import Judgement
from compofa.profiler.results.table import Table
from compofa.profiler.statistics.compare import smallest_change
from compofa.profiler.statistics.variance_components import VarianceComponents

Grade = Literal["good", "fair", "poor"]

ERROR_LIMITS = (3.0, 6.0)
"""Mean held-out error in percent up to which predictions are good, and fair."""

DRIFT_LIMITS = (2.0, 10.0)
"""Percent of drift up to which a device was steady, and up to which correcting it is safe."""

NOISE_LIMITS = (2.0, 5.0)
"""Percent of noise of one session up to which a set-up is quiet, and up to which it will do."""

FAIR_SHARE = 0.8
"""Share of measured cells that reached their target, from which a table is fair."""

ADDITIVE = 2.0
"""Percent of scatter about sums of unit terms up to which sums can stand for networks."""

UNLIKELY = 0.05
"""Intervals are called too short where so few cells inside them had less than this probability."""


@dataclass(frozen=True)
class Remark:
    """One property of a table: its figure, how good that is, and what it means."""

    title: str
    figure: str
    grade: Grade
    text: str


def percent(value: float) -> str:
    """`value` percent with the digits that matter, such as 2.1 %."""
    size = abs(value)
    digits = 0 if size >= 10 else 1 if size >= 0.1 or size == 0 else 2
    return f"{value:.{digits}f} %"


def signed(value: float) -> str:
    """`value` percent with its sign, and none where it rounds to zero."""
    rounded = round(value, 1)
    return f"{rounded:+.1f} %" if rounded else "0.0 %"


def count(n: int, what: str) -> str:
    """`n` of something that takes a plural s."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def on_predictions(error: HeldOutError) -> Remark:
    """How good predictions are, by the error on cells that the model had not seen."""
    mean = error.mean_absolute_percent
    text = (
        f"On {count(error.n, 'cell')} that the model had not seen, predictions are off by "
        f"{percent(mean)} on average ({_bias(error.bias_percent)}). Predictions can be used to "
        f"rank subnets that differ by more than {percent(separable(mean))}: those come out in the "
        f"right order 9 times in 10. {on_coverage(error)}"
    )
    return Remark("Predictions", f"{percent(mean)} off", _grade(mean, ERROR_LIMITS), text)


def separable(mean_absolute_percent: float) -> float:
    """The difference in percent that two predictions need to be in the right order 9 times in 10.

    For normal errors of mean size m the standard deviation is m sqrt(pi / 2), that of a difference
    sqrt(2) times as much, and the 90 % quantile of a normal is 1.2816.
    """
    return 1.2816 * math.sqrt(math.pi) * mean_absolute_percent


def on_coverage(error: HeldOutError) -> str:
    """Whether as many cells lie in their prediction intervals as were to, within what luck does."""
    hits, p = round(error.coverage * error.n), error.confidence
    # The binomial probability of so few hits or fewer, if the intervals are right.
    luck = sum(math.comb(error.n, k) * p**k * (1 - p) ** (error.n - k) for k in range(hits + 1))
    verdict = "too few: the intervals are too short" if luck < UNLIKELY else "as promised"
    return (
        f"{hits} of {error.n} measurements lie inside their {100 * p:.0f} % intervals, {verdict}."
    )


def on_drift(drift: float) -> Remark:
    """How steady the device was; `drift` is a fraction."""
    grade = _grade(100 * drift, DRIFT_LIMITS)
    meaning = {
        "good": "Beyond its noise, the reference model was steady.",
        "fair": "The device changed its speed, and latencies are corrected for it.",
        "poor": "The device was disturbed. Latencies are corrected for it, but so large a "
        "correction is itself uncertain: find out what disturbs the device (compofa-profile "
        "check), and measure again when it is quiet.",
    }[grade]
    text = f"Latencies were corrected by up to {percent(100 * drift)} for drift. {meaning}"
    return Remark("Drift", percent(100 * drift), grade, text)


def on_noise(noise: VarianceComponents, sessions: int, cells: int) -> Remark:
    """The noise floor: what one session scatters by, and the change that can be seen through it.

    Args:
        noise: of the set-up.
        sessions: of a typical cell.
        cells: measured.
    """
    one = 100 * noise.one_session
    text = f"One session's value of a cell scatters by {percent(one)} (standard deviation)."
    if sessions >= 2 and cells and one > 0:
        change = 100 * smallest_change(noise, sessions, cells)
        text += (
            f" Comparing two such tables ({count(cells, 'cell')}, {sessions} sessions each) finds "
            f"a slow-down of {percent(change)} of a single cell 9 times in 10."
        )
    return Remark("Noise of a session", percent(one), _grade(one, NOISE_LIMITS), text)


def on_precision(table: Table) -> Remark | None:
    """How many measured cells are as precise as was asked for; None where none was measured."""
    measured = [row for row in table.rows if row.source == "measured"]
    if not measured:
        return None
    done = sum(row.status == "ok" for row in measured)
    failed = sum(row.status == "failed" for row in measured)
    share = done / len(measured)
    grade: Grade = "good" if share == 1 else "fair" if share >= FAIR_SHARE else "poor"
    text = f"{done:,} of {count(len(measured), 'measured cell')} are as precise as was asked for."
    if len(measured) - done - failed:
        text += (
            f" {len(measured) - done - failed} are not, after all their sessions: their intervals "
            "are wider, or missing after a single session."
        )
    if failed:
        text += f" {failed} failed and have no latency."
    return Remark("Precision reached", f"{done:,} of {len(measured):,}", grade, text)


def on_additivity(additivity: Additivity, noise_percent: float = 0.0) -> str:
    """Whether a network's latency is the sum of terms of its units.

    Args:
        additivity: how sums compare with measured networks.
        noise_percent: standard error of a measured network; 0 where it is not known.
    """
    scatter, bias = percent(additivity.residual_sd_percent), percent(abs(additivity.bias_percent))
    side = "slow" if additivity.bias_percent > 0 else "fast"
    verdict = "so a table of blocks would mislead on this set-up"
    if additivity.residual_sd_percent <= ADDITIVE:
        verdict = "so a table of blocks would do on this set-up"
    elif noise_percent > additivity.residual_sd_percent / 2:
        verdict = "but the measurements are too noisy to tell whether units add up"
    return (
        f"Sums of {additivity.terms} unit terms were compared with "
        f"{count(additivity.n, 'network')}: they scatter by {scatter} and are {bias} too {side} "
        "on average "
        f"({signed(additivity.small_bias_percent)} for the fastest quarter, "
        f"{signed(additivity.large_bias_percent)} for the slowest), {verdict}."
    )


def on_judgement(judgement: Judgement) -> str:
    """Which cells a judgement rests on."""
    fitted = count(judgement.fitted_on, "cell")
    if judgement.planned:
        return f"The model was fitted on {fitted}, and these were held out at random before."
    return (
        f"No plan held cells out: for this page the model was fitted on {fitted} drawn from the "
        "measured ones and tested on others."
    )


def _bias(value: float) -> str:
    if abs(value) < 0.05:
        return "no bias"
    return f"{percent(abs(value))} too {'slow' if value > 0 else 'fast'} on balance"


def _grade(value: float, limits: tuple[float, float]) -> Grade:
    return "good" if value <= limits[0] else "fair" if value <= limits[1] else "poor"
