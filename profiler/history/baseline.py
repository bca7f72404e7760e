"""The baseline of a history: the profile that the next one is to be compared with.

Confirmed changes move it, others do not. A change is confirmed once it is a lasting one, which
takes two profiles at the new level; what came before it no longer counts. Of the profiles since
then, the baseline is the one in the middle: a single profile that came out fast by luck must not
become the bar that every later one fails at, nor one that came out slow hide what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compofa.common.errors import UserError
from compofa.profiler.history.history_folder import Entry
from compofa.profiler.history.trend import Trend


@dataclass(frozen=True)
class Baseline:
    """The entry to compare with.

    Attributes:
        since: how many profiles are at the present level.
    """

    entry: Entry
    since: int


def find_baseline(trend: Trend) -> Baseline:
    """The entry in the middle of those since the last lasting change."""
    start = max((event.position for event in trend.events), default=0)
    count = len(trend.entries) - start
    logs = np.log(np.array([ms[start:] for ms in trend.latency_ms.values()]))
    with np.errstate(all="ignore"):
        beside = logs - np.nanmedian(logs, axis=1, keepdims=True)
        distance = np.array(
            [
                np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else np.inf
                for column in beside.T
            ]
        )
    # Of two that are as far from the middle, the one that is slower: the other may be luck.
    order = sorted(
        range(count), key=lambda k: (abs(round(float(distance[k]), 9)), -distance[k], -k)
    )
    return Baseline(trend.entries[start + order[0]], count)


def trend_of(trends: Sequence[Trend], device: str | None) -> Trend:
    """The trend of a device; the only one if none is named.

    Raises:
        UserError: there is no such trend, or several.
    """
    fitting = [each for each in trends if device is None or each.entries[0].setup.device == device]
    if len(fitting) == 1:
        return fitting[0]
    names = "; ".join(each.name for each in (fitting or trends))
    if not fitting:
        raise UserError(f"the history has no device {device}", hint=f"it has {names}")
    raise UserError(
        f"the history is of {len(fitting)} set-ups: {names}",
        hint="name one of its devices with --device NAME, or keep a history of each set-up",
    )
