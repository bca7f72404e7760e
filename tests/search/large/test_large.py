"""Search of spaces too large to list: against enumeration where both can run, and at full size."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from compofa.common.arrays import FloatArray, IntArray
from compofa.common.errors import UserError
from compofa.profiler.block_tables.block_table import BlockTable, read_block_table
from compofa.profiler.results.table import Cell, Row, SetUp, Table
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.released_predictor import Predictor, read_predictor
from compofa.search.accuracy.sources import ArrayAccuracy
from compofa.search.answer import ask
from compofa.search.candidates import Latencies, join
from compofa.search.large.beam import _by_linear_models, explore
from compofa.search.large.costs import SubnetCost, UnitCost, block_cost
from compofa.search.large.genomes import Genomes, _find, unit_table
from compofa.search.large.large_search import SearchBounds, search_large
from compofa.search.large.latency_sources import BlockDevice, ModelDevice
from compofa.search.large.pool import Problem, SubnetPool
from compofa.search.measures import MEASURES, Bound, ColumnMeasure, within_bound
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import SubnetArrays

SPACE = SPACES["ofa-mbv3-w1.2"]
LIMITS = (15, 20, 25, 30, 35, 40, 45, 50)
EVOLUTION = (0.7857, 0.8042, 0.8204, 0.8270, 0.8327, 0.8356, 0.8420, 0.8452)
"""What the reference's evolutionary search finds within `LIMITS`, in 110 s."""


@pytest.fixture(scope="module")
def predictor(reference: Path) -> Predictor:
    return read_predictor(reference / "acc_predictor.pth")


@pytest.fixture(scope="module")
def note10(reference: Path) -> BlockTable:
    return read_block_table(reference / "note10_lut")


def latency(blocks: BlockTable, genomes: Genomes) -> SubnetCost:
    return BlockDevice(blocks).cost(genomes, None)


def best_within(pool: SubnetPool, limit: float) -> float:
    return float(pool.top1[pool.costs[:, 0] <= limit].max())


@pytest.mark.parametrize("seed", range(3))
def test_the_full_space_is_searched_better_than_by_evolution(
    note10: BlockTable, predictor: Predictor, seed: int
) -> None:
    questions = [(float(limit),) for limit in LIMITS]
    found = search_large([BlockDevice(note10)], SPACE, predictor, questions, seed=seed)
    results = ask(found, questions, top=1).results
    assert [each.limit_ms for each in results] == questions
    for each, goal in zip(results, EVOLUTION, strict=True):
        assert each.top1 >= goal
        subnet = SPACE.parse(each.subnet)
        again = note10.latency(SPACE, subnet, each.resolution)
        assert each.latency_ms[0] == pytest.approx(again, rel=1e-12)
        assert each.limit_ms is not None
        assert each.limit_ms[0] is not None
        assert each.latency_ms[0] <= each.limit_ms[0]


def test_the_same_seed_gives_the_same_answer(note10: BlockTable, predictor: Predictor) -> None:
    def search() -> list[tuple[str, float]]:
        found = search_large([BlockDevice(note10)], SPACE, predictor, [(20.0,)], seed=3)
        return [(each.subnet, each.top1) for each in ask(found, [(20.0,)], top=5).results]

    assert search() == search()


def test_the_compound_space_is_answered_exactly(note10: BlockTable, predictor: Predictor) -> None:
    space, device = SPACES["compofa-w1.2"], BlockDevice(note10)
    questions = [(limit,) for limit in np.linspace(10.5, 60, 25).tolist()]
    subnets = {size: space.enumerate() for size in space.resolutions}
    whole = join([Latencies(device.path, device.table(space, subnets))], space, predictor)
    found = search_large([device], space, predictor, questions)
    exact = [(each.subnet, each.resolution) for each in ask(whole, questions, top=1).results]
    assert [(each.subnet, each.resolution) for each in ask(found, questions, 1).results] == exact


@pytest.mark.parametrize("seed", range(2))
def test_a_part_of_the_full_space_is_searched_as_well_as_by_listing_it(
    note10: BlockTable, predictor: Predictor, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole = Genomes.of(SPACE, (160, 192))
    units = [
        unit_table(unit, [table.choices[i] for i in rng.choice(len(table), 6, replace=False)])
        for unit, table in zip(SPACE.units, whole.units, strict=True)
    ]
    genomes = Genomes(SPACE, (160, 192), tuple(units))
    problem = Problem(genomes, predictor, [latency(note10, genomes)])
    everything = np.array(list(itertools.product(*map(range, genomes.sizes))))
    top1, cost = problem.top1(everything), problem.costs[0].of(everything)
    limits = np.quantile(cost, [0.05, 0.2, 0.4, 0.6, 0.8, 1])
    pool = explore(problem, limits[:, None], seed)
    for limit in limits:
        assert best_within(pool, limit) == pytest.approx(top1[cost <= limit].max(), abs=1e-6)


@pytest.mark.parametrize("name", ["ofa-mbv3", "compofa-elastic", "ofa-proxyless-w1.3"])
def test_costs_of_genomes_are_those_of_their_graphs(name: str) -> None:
    _check_macs(SPACES[name])


def test_costs_of_residual_networks_are_those_of_their_graphs() -> None:
    _check_macs(SPACES["ofa-resnet50"])


def _check_macs(space: Space) -> None:
    genomes = Genomes.of(space, (160, 224))
    rows = genomes.random(12, np.random.default_rng(0))
    macs = block_cost(genomes, lambda block: block.macs).of(rows)
    for row, size, found in zip(rows, genomes.pixels(rows), macs, strict=True):
        assert found == build_graph(space, genomes.subnet(row), int(size)).macs


@pytest.mark.parametrize("name", ["ofa-mbv3", "compofa-elastic", "ofa-resnet50"])
def test_every_genome_is_a_subnet_and_a_step_changes_one_unit(name: str) -> None:
    space = SPACES[name]
    genomes = Genomes.of(space, (160, 224))
    (start,) = genomes.random(1, np.random.default_rng(1))
    steps, changed = genomes.steps(start)
    assert len(np.unique(steps, axis=0)) == len(steps)
    for row, number in zip(steps, changed, strict=True):
        assert np.flatnonzero(row != start).tolist() == [number]
        assert genomes.subnet(row) in space


def test_in_a_large_unit_a_step_changes_one_block() -> None:
    genomes = Genomes.of(SPACE, (160,))
    (start,) = genomes.random(1, np.random.default_rng(1))
    before = genomes.subnet(start)
    for row in genomes.steps(start)[0]:
        after = genomes.subnet(row)
        pairs = zip(before.expands, before.kernels, after.expands, after.kernels, strict=True)
        assert sum((e, k) != (f, m) for e, k, f, m in pairs) == 1


def test_the_least_of_an_additive_cost_is_the_least(note10: BlockTable) -> None:
    genomes = Genomes.of(SPACES["compofa-w1.2"], (160, 192))
    cost = latency(note10, genomes)
    assert isinstance(cost, UnitCost)
    everything = np.array(list(itertools.product(*map(range, genomes.sizes))))
    least = cost.least()
    assert least is not None
    assert cost.of(least[None])[0] == cost.of(everything).min()


def test_a_limit_that_nothing_meets_names_the_fastest(
    note10: BlockTable, predictor: Predictor
) -> None:
    found = search_large([BlockDevice(note10)], SPACE, predictor, [(5.0,), (20.0,)])
    answer = ask(found, [(5.0,), (20.0,)], top=1)
    assert len(answer.results) == 1
    (infeasible,) = answer.infeasible
    genomes = Genomes.of(SPACE, SPACE.resolutions)
    cost = latency(note10, genomes)
    least = cost.least()
    assert least is not None
    assert infeasible.nearest.latency_ms[0] == pytest.approx(cost.of(least[None])[0])


def test_a_search_that_nothing_can_meet_ends_at_once(
    note10: BlockTable, predictor: Predictor
) -> None:
    found = search_large([BlockDevice(note10)], SPACE, predictor, [(5.0,), (6.0,)])
    assert found.seen == 1
    assert not found.notes
    assert len(ask(found, [(5.0,), (6.0,)], top=1).infeasible) == 2


@pytest.mark.parametrize(("name", "most"), [("macs", 200e6), ("memory", 3e6)])
def test_upper_bounds_hold(
    note10: BlockTable, predictor: Predictor, name: str, most: float
) -> None:
    bound = Bound(MEASURES[name], most)
    found = search_large(
        [BlockDevice(note10)], SPACE, predictor, [(25.0,)], SearchBounds(constraints=[bound])
    )
    good, reason = within_bound(found, bound)
    assert reason is None
    assert ask(good, [(25.0,)], top=1).results[0].top1 > 0.80
    free = search_large([BlockDevice(note10)], SPACE, predictor, [(25.0,)])
    assert bound.measure.of(free)[free.top1.argmax()] > most


def test_a_column_cannot_bound_a_space_too_large_to_list(
    note10: BlockTable, predictor: Predictor
) -> None:
    bound = Bound(ColumnMeasure("energy_mj"), 5.0)
    with pytest.raises(UserError, match="energy_mj is not known for all"):
        search_large(
            [BlockDevice(note10)],
            SPACE,
            predictor,
            [(25.0,)],
            SearchBounds(constraints=[bound]),
        )


def test_several_devices_are_searched_together(note10: BlockTable, predictor: Predictor) -> None:
    devices = [BlockDevice(note10), BlockDevice(note10)]
    found = search_large(devices, SPACE, predictor, [(30.0, 20.0)])
    best = ask(found, [(30.0, 20.0)], top=1).results[0]
    assert best.latency_ms[1] <= 20
    assert best.top1 >= EVOLUTION[1]


def test_without_limits_the_front_spans_the_space(note10: BlockTable, predictor: Predictor) -> None:
    found = search_large([BlockDevice(note10)], SPACES["compofa-w1.2"], predictor, [])
    members = ask(found, []).results
    latencies = [each.latency_ms[0] for each in members]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[-1] < 12
    assert latencies[0] > 50


@dataclass(frozen=True)
class Expands:
    """An accuracy that grows with expand ratios, for spaces that the predictor does not know."""

    description = "made up"

    def top1_of(self, space: Space, subnets: SubnetArrays, sizes: IntArray, /) -> FloatArray:
        top1: FloatArray = 0.5 + subnets.expands.sum(axis=1) / 1000 + sizes / 10_000
        return top1


def test_a_residual_space_can_be_searched_by_its_macs() -> None:
    genomes = Genomes.of(SPACES["ofa-resnet50"], (160, 224))
    accuracy: ArrayAccuracy = Expands()
    small = Genomes(
        genomes.space,
        genomes.resolutions,
        tuple(
            unit_table(unit, table.choices[:: max(1, len(table) // 3)][:3])
            for unit, table in zip(genomes.space.units, genomes.units, strict=True)
        ),
    )
    problem = Problem(small, accuracy, [block_cost(small, lambda block: block.macs)])
    everything = np.array(list(itertools.product(*map(range, small.sizes))))
    top1, cost = problem.top1(everything), problem.costs[0].of(everything)
    limit = float(np.median(cost))
    pool = explore(problem, np.array([[limit]]), 0)
    assert best_within(pool, limit) == top1[cost <= limit].max()


def test_what_another_pool_has_looked_at_is_taken_in_once() -> None:
    genomes = Genomes.of(SPACES["compofa"], (160, 224))
    problem = Problem(genomes, Expands(), [block_cost(genomes, lambda block: block.macs)])
    rng = np.random.default_rng(0)
    rows = genomes.random(300, rng)
    pool, other = SubnetPool(problem, rng), SubnetPool(problem, rng)
    pool.look(rows[:200])
    other.look(rows[100:])
    pool.take_in(other)
    assert len(pool) == len(np.unique(rows, axis=0))
    assert (pool.genomes[pool.look(rows)] == rows).all()
    assert len(pool) == len(np.unique(rows, axis=0))
    assert (pool.top1 == problem.top1(pool.genomes)).all()
    assert (pool.costs[:, 0] == problem.costs[0].of(pool.genomes)).all()


def test_a_model_of_measured_cells_stands_for_the_whole_space(
    note10: BlockTable, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compofa.search.large.beam.SAMPLE", 200)
    monkeypatch.setattr("compofa.search.large.beam.BEAM", 1)
    monkeypatch.setattr("compofa.search.large.beam.MOST_ROUNDS", 2)
    space = SPACES["compofa-w1.2"]
    rng = np.random.default_rng(0)
    rows = []
    for key in rng.choice([space.key(each) for each in space.enumerate()], 30, replace=False):
        value = note10.latency(space, space.parse(str(key)), 176)
        cell = Cell(space.name, str(key), 176, 1)
        rows.append(Row(cell, value, None, None, 0.95, None, "measured", "ok", 5, 50, "", ""))
    table = Table(SetUp("note10", "x", "", "cpu", 1, "float32"), tuple(rows))
    device = ModelDevice.fit(Path("t.csv"), table, space, None)
    found = search_large([device], space, predictor, [(25.0,)], SearchBounds([176]))
    best = ask(found, [(25.0,)], top=1).results[0]
    truth = note10.latency(space, space.parse(best.subnet), 176)
    assert best.latency_ms[0] == pytest.approx(truth, rel=0.05)
    assert best.source == ("predicted",)
    assert best.joint_probability is not None


def test_a_table_of_listed_accuracies_cannot_serve_a_large_space(note10: BlockTable) -> None:
    listed = load_accuracy(None, SPACES["compofa"])
    with pytest.raises(UserError, match="an accuracy table lists only some"):
        search_large([BlockDevice(note10)], SPACE, listed, [(20.0,)])


def test_blocks_of_another_width_are_refused_by_name(
    note10: BlockTable, predictor: Predictor
) -> None:
    with pytest.raises(UserError, match="space ofa-mbv3 needs block"):
        search_large([BlockDevice(note10)], SPACES["ofa-mbv3"], predictor, [(20.0,)])


def test_a_resolution_that_is_not_known_is_refused(
    note10: BlockTable, predictor: Predictor
) -> None:
    for size, who in ((164, "the accuracies have"), (128, "the accuracies have")):
        with pytest.raises(UserError, match=f"resolution {size} is not known: {who}"):
            search_large([BlockDevice(note10)], SPACE, predictor, [(20.0,)], SearchBounds([size]))


def test_block_tables_cannot_say_how_sure_they_are(
    note10: BlockTable, predictor: Predictor
) -> None:
    with pytest.raises(UserError, match="--risk needs latencies with intervals"):
        search_large([BlockDevice(note10)], SPACE, predictor, [(20.0,)], SearchBounds(risk=0.05))


def test_a_choice_is_found_by_its_codes_or_not_at_all() -> None:
    table = np.array([[0, 2], [1, 0], [0, 1]])
    codes = np.array([[0, 1], [0, 2], [1, 0], [0, 0], [1, 1], [2, 2]])
    assert _find(table, codes).tolist() == [2, 0, 1, -1, -1, -1]


def test_linear_models_propose_only_subnets_that_nothing_beats() -> None:
    """Accuracies that add up over units, as MACs do: no other is better in both."""
    genomes = Genomes.of(SPACES["compofa"], (160,))
    problem = Problem(genomes, Expands(), [block_cost(genomes, lambda block: block.macs)])
    every = np.array(list(itertools.product(*map(range, genomes.sizes))))
    pool = SubnetPool(problem, np.random.default_rng(0))
    pool.look(every)
    proposed = _by_linear_models(pool, np.array([[float(np.median(pool.costs))]]))
    top1, cost = problem.top1(proposed), problem.costs[0].of(proposed)
    for accuracy, price in zip(top1, cost, strict=True):
        assert not ((pool.top1 > accuracy + 1e-9) & (pool.costs[:, 0] <= price)).any()
    assert top1.max() == pool.top1.max()
    assert cost.min() < np.median(pool.costs)
