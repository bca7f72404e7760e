"""Whether whole networks are sums of terms of their units."""

from __future__ import annotations

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.latency_model import Workload, additivity
from compofa.supernet.graph import graph_blocks
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
CELLS: list[Workload] = [(subnet, r, 1) for subnet in SPACE.enumerate() for r in SPACE.resolutions]


def sums(cells: list[Workload]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sums of latencies of blocks, each drawn by its key."""
    drawn: dict[str, float] = {}
    rng = np.random.default_rng(0)
    return np.array(
        [
            sum(
                drawn.setdefault(block.key, rng.uniform(0.1, 1))
                for block in graph_blocks(SPACE, subnet, resolution)
            )
            for subnet, resolution, _ in cells
        ]
    )


def test_sums_of_block_latencies_are_found_additive_with_eleven_terms_a_resolution() -> None:
    found = additivity(SPACE, CELLS, sums(CELLS))
    assert found is not None
    assert found.per_resolution
    assert (found.n, found.terms) == (1215, 55)
    assert found.residual_sd_percent == pytest.approx(0, abs=1e-6)
    assert found.bias_percent == pytest.approx(0, abs=1e-6)


def test_latency_that_bends_shows_as_bias_of_small_and_large_networks() -> None:
    found = additivity(SPACE, CELLS, sums(CELLS) ** 1.5)
    assert found is not None
    assert found.small_bias_percent < found.bias_percent - 0.1
    assert found.large_bias_percent < found.bias_percent - 0.1


def test_noise_shows_as_residual_sd() -> None:
    noise = np.exp(0.02 * np.random.default_rng(1).standard_normal(len(CELLS)))
    found = additivity(SPACE, CELLS, sums(CELLS) * noise)
    assert found is not None
    assert found.residual_sd_percent == pytest.approx(2, rel=0.15)


def test_few_networks_share_terms_over_resolutions() -> None:
    rows = np.random.default_rng(0).permutation(len(CELLS))[:60]
    cells = [CELLS[i] for i in rows]
    latency = np.array([1 + sum(s.depths) * (r / 224) ** 2 for s, r, _ in cells])
    found = additivity(SPACE, cells, latency)
    assert found is not None
    assert not found.per_resolution
    assert found.residual_sd_percent == pytest.approx(0, abs=1e-6)


def test_errors_are_those_of_fits_without_the_network() -> None:
    """Each network by least squares of relative errors over all others: term by term."""
    rows = np.random.default_rng(2).permutation(len(CELLS))[:60]
    cells = [CELLS[i] for i in rows]
    latency = sums(cells) ** 1.5
    found = additivity(SPACE, cells, latency)
    kinds: dict[object, int] = {}
    counts = np.zeros((len(cells), 100))
    for row, (subnet, _, _) in enumerate(cells):
        counts[row, 0] = 1
        for u, choice in enumerate(SPACE.unit_choices(subnet)):
            for b, (e, k) in enumerate(zip(choice.expands, choice.kernels, strict=True)):
                kind = (u, b == 0, choice.width, e, k)
                counts[row, kinds.setdefault(kind, len(kinds) + 1)] += 1
    pixels = np.array([resolution**2 for _, resolution, _ in cells])[:, None]
    design = np.hstack([counts, counts * pixels / pixels.max()]) / latency[:, None]
    errors = []
    for row in range(len(cells)):
        others = np.arange(len(cells)) != row
        terms = np.linalg.lstsq(design[others], np.ones(len(cells) - 1), rcond=1e-9)[0]
        errors.append(100 * (design[row] @ terms - 1))
    assert found is not None
    assert found.n == 60
    assert found.bias_percent == pytest.approx(np.mean(errors), rel=1e-4)
    assert found.residual_sd_percent == pytest.approx(np.std(errors), rel=1e-4)


def test_a_network_that_alone_has_a_term_is_not_judged() -> None:
    """It is fitted exactly, whatever it takes."""
    first = [cell for cell in CELLS if cell[0].depths[0] == 2 and cell[1] == 160][:60]
    alone = next(cell for cell in CELLS if cell[0].depths[0] == 4 and cell[1] == 160)
    latency = sums([*first, alone])
    latency[-1] *= 10
    found = additivity(SPACE, [*first, alone], latency)
    assert found is not None
    assert found.n == 60
    assert found.residual_sd_percent == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_too_few_networks_say_nothing(n: int) -> None:
    rows = np.random.default_rng(0).permutation(len(CELLS))[:n]
    assert additivity(SPACE, [CELLS[i] for i in rows], np.ones(n)) is None


def test_several_batch_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="one batch size"):
        additivity(SPACE, [CELLS[0], (CELLS[0][0], 224, 64)], [1.0, 2.0])


def test_latencies_that_are_no_times_are_refused() -> None:
    with pytest.raises(UserError, match="not positive"):
        additivity(SPACE, CELLS[:2], [1.0, 0.0])
