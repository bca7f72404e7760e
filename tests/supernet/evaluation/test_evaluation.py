"""Accuracy of many subnets at once: the same as one by one, and the supernet stays as it was."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.supernet.evaluation.bn_calibration import (
    calibrate_tree,
    extract_calibrated,
    placed,
    run_calibrated,
)
from compofa.supernet.evaluation.evaluation import Score, evaluate, evaluate_groups
from compofa.supernet.evaluation.prefix_tree import Node, prefix_tree, walk
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

SPACE = replace(SPACES["compofa"], name="small", width=0.25, classes=5, in_channels=1)
RESNET = replace(SPACES["compofa-resnet50"], name="small-resnet", width=0.25, classes=5)
SIZE = 48


def supernet_of(space: Space) -> Supernet:
    torch.manual_seed(0)
    return Supernet(space)


def labelled(space: Space, count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, space.in_channels, SIZE, SIZE, generator=generator)
    return images, torch.randint(0, space.classes, (count,), generator=generator)


def some_subnets(space: Space) -> list[Subnet]:
    rng = np.random.default_rng(0)
    return [space.extreme(True), *(space.sample(rng) for _ in range(9)), space.extreme(False)]


def scores(
    supernet: Supernet, subnets: Sequence[Subnet], count: int = 40, **options: int
) -> dict[Subnet, Score]:
    images, labels = labelled(supernet.space, count)
    batches = list(zip(torch.split(images, 16), torch.split(labels, 16), strict=True))
    calibration, _ = labelled(supernet.space, 24, seed=2)
    found = evaluate(supernet, subnets, [calibration], lambda: batches, **options)
    return {score.subnet: score for score in found}


@pytest.mark.parametrize("space", [SPACE, RESNET], ids=lambda space: space.name)
def test_logits_are_those_of_subnets_that_are_taken_out_and_calibrated_alone(
    space: Space,
) -> None:
    supernet, subnets = supernet_of(space), some_subnets(space)
    calibration, (images, _) = labelled(space, 24, seed=2)[0], labelled(space, 8)
    tree = prefix_tree(space, subnets, SIZE)
    statistics = calibrate_tree(supernet, tree, [calibration])

    def run(node: Node, x: Tensor) -> Tensor:
        return run_calibrated(supernet, node.blocks, x, statistics[node])

    with torch.no_grad():
        for leaf, logits in walk(tree, placed(images, supernet), run):
            (subnet,) = leaf.subnets
            expected = extract_calibrated(supernet, subnet, [calibration])(images)
            assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("group", [1, 3, 100])
def test_groups_of_any_size_give_the_scores_of_single_subnets(group: int) -> None:
    supernet, subnets = supernet_of(SPACE), some_subnets(SPACE)
    found = scores(supernet, subnets, group=group)
    images, labels = labelled(SPACE, 40)
    calibration, _ = labelled(SPACE, 24, seed=2)
    assert set(found) == set(subnets)
    for subnet, score in found.items():
        with torch.no_grad():
            logits = extract_calibrated(supernet, subnet, [calibration])(images)
        assert score == Score(subnet, int((logits.argmax(1) == labels).sum()), 40)


def test_the_whole_space_is_evaluated_once_each() -> None:
    found = scores(supernet_of(SPACE), SPACE.enumerate(), count=2)
    assert set(found) == set(SPACE.enumerate())


def test_top1_is_a_fraction_of_one() -> None:
    assert Score(SPACE.extreme(True), 30, 40).top1 == 0.75


def test_groups_come_as_they_are_done_and_progress_counts_images_times_subnets() -> None:
    told: list[int] = []
    images, labels = labelled(SPACE, 20)
    batches = [(images[:16], labels[:16]), (images[16:], labels[16:])]
    subnets = some_subnets(SPACE)[:3]
    found = evaluate_groups(
        supernet_of(SPACE), subnets, [images], lambda: batches, group=2, progress=told.append
    )
    assert (len(next(found)), told) == (2, [32, 8])
    assert (len(next(found)), told) == (1, [32, 8, 16, 4])
    assert list(found) == []


def test_a_last_batch_of_one_image_counts_like_any_other() -> None:
    supernet, subnets = supernet_of(SPACE), some_subnets(SPACE)[:2]
    images, labels = labelled(SPACE, 17)
    calibration, _ = labelled(SPACE, 24, seed=2)
    whole = evaluate(supernet, subnets, [calibration], lambda: [(images, labels)])
    cut = [(images[:16], labels[:16]), (images[16:], labels[16:]), (images[:0], labels[:0])]
    assert evaluate(supernet, subnets, [calibration], lambda: cut) == whole


@pytest.mark.parametrize("training", [True, False])
def test_the_supernet_stays_as_it_was(training: bool) -> None:
    supernet = supernet_of(SPACE).train(training)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    scores(supernet, some_subnets(SPACE))
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert all(module.training is training for module in supernet.modules())


def test_no_subnets_give_no_scores() -> None:
    assert scores(supernet_of(SPACE), []) == {}


def test_no_images_are_an_error() -> None:
    images, _ = labelled(SPACE, 4)
    with pytest.raises(UserError, match="no images to evaluate on"):
        evaluate(supernet_of(SPACE), [SPACE.extreme(True)], [images], list)


RANK = """
import sys
from pathlib import Path
import torch.distributed as dist
from tests_evaluation import described, scores, some_subnets, supernet_of, SPACE
dist.init_process_group("gloo")
found = scores(supernet_of(SPACE), some_subnets(SPACE), group=2)
Path(sys.argv[1], f"rank{dist.get_rank()}").write_text(described(found))
dist.destroy_process_group()
"""


def described(found: dict[Subnet, Score]) -> str:
    lines = [f"{SPACE.key(s.subnet)} {s.correct} {s.images}" for s in found.values()]
    return "\n".join(sorted(lines))


def test_ranks_share_the_groups_and_all_get_every_score(tmp_path: Path) -> None:
    (tmp_path / "tests_evaluation.py").write_text(Path(__file__).read_text())
    (tmp_path / "rank.py").write_text(RANK)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    ended = subprocess.run(
        [sys.executable, *launch, tmp_path / "rank.py", tmp_path],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    alone = described(scores(supernet_of(SPACE), some_subnets(SPACE), group=2))
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == [alone] * 2
