"""What the reference model says of a device that two sets of sessions were measured on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from compofa.common.arrays import FloatArray
from compofa.profiler.statistics.device_change import (
    LARGEST_SLOPE_SD,
    STEEPEST,
    DeviceChange,
    device_change,
)
from compofa.profiler.statistics.two_way import TwoWay, fit_two_way


def changed(
    base: Sequence[float], new: Sequence[float], slopes: FloatArray, moved: FloatArray
) -> DeviceChange:
    """Cells that follow the reference, of these log latencies by session, without any noise.

    Args:
        slopes: of each cell.
        moved: by how much each cell changed beside, as a log ratio.
    """

    def side(reference: Sequence[float], shift: FloatArray) -> TwoWay[int]:
        return fit_two_way(
            {
                cell: {s: math.exp(slope * x + by) for s, x in enumerate(reference)}
                for cell, (slope, by) in enumerate(zip(slopes, shift, strict=True))
            }
        )

    references = [{s: math.exp(x) for s, x in enumerate(each)} for each in (base, new)]
    fits = side(base, np.zeros_like(moved)), side(new, moved)
    return device_change(fits, (references[0], references[1]))


CALM = np.zeros(9)


def test_two_sessions_a_side_show_the_slope() -> None:
    found = changed([0.0, 0.1], [0.05, 0.2], CALM + 0.5, CALM)
    assert found.slope == pytest.approx(0.5)
    assert found.doubt == pytest.approx(0)
    assert found.log_ratio == pytest.approx(0.075)


def test_sessions_that_show_nothing_leave_any_slope() -> None:
    found = changed([0.1, 0.1], [0.1, 0.1], CALM + 0.5, CALM)
    assert found.slope == STEEPEST / 2


def test_cells_of_one_slope_scatter_little_however_differently_they_changed() -> None:
    base, new = [0.0, 0.1, 0.2, 0.05], [0.05, 0.15, 0.3, 0.2]
    alike = changed(base, new, CALM + 0.5, np.linspace(-0.5, 0.5, 9))
    assert alike.scatter == pytest.approx(0, abs=1e-9)
    apart = changed(base, new, np.linspace(0.3, 0.7, 9), np.linspace(-0.5, 0.5, 9))
    assert 0 < apart.scatter <= alike.log_ratio**2 * LARGEST_SLOPE_SD**2


def test_where_no_session_shows_slopes_the_ratios_of_cells_bound_their_scatter() -> None:
    """Twice their deviation from the middle, roughly: their median is off by chance."""
    moved = np.linspace(-0.02, 0.02, 9)
    found = changed([0.0, 0.0], [1.0, 1.0], CALM, moved)
    deviation = 1.4826 * 0.01
    limit = (deviation * (1 + 1.645 * 1.166 / 3)) ** 2
    assert found.scatter == pytest.approx(limit)
