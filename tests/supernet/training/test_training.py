"""Whole trainings in this process: every recipe on every kind of space, and what stops them."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compofa.common.errors import UserError
from compofa.supernet.checkpoints.checkpoint import load_checkpoint
from compofa.supernet.data.batches.loading import Batch, Loading, PlainBatches
from compofa.supernet.data.batches.order import BatchRequest
from compofa.supernet.data.dataset import DataSet
from compofa.supernet.data.images import Images
from compofa.supernet.data.split import split_data
from compofa.supernet.evaluation.bn_calibration import extract_calibrated
from compofa.supernet.evaluation.evaluation_options import CALIBRATION_IMAGES
from compofa.supernet.ranks import Ranks
from compofa.supernet.space import Space
from compofa.supernet.training.launch import teaching_network, train
from compofa.supernet.training.recipes.recipe import COMPOUND, DEPS, PROGRESSIVE, TEACHER, Recipe
from compofa.supernet.training.run_files.run_folder import RunFolder
from compofa.supernet.training.run_files.state import State
from compofa.supernet.training.start import load_teacher
from compofa.supernet.training.trainer import Launch, Pace
from compofa.supernet.training.training import PUBLISHED_RESOLUTIONS, Training

ALONE = Ranks(0, 1, torch.device("cpu"))
OFTEN = Pace(save_seconds=0, validate_epochs=100)

Make = Callable[..., Training]
Small = Callable[[str], Space]
Trained = Callable[[str], Path]


def go(training: Training, path: Path, **changes: Any) -> State:
    return train(training, Launch(RunFolder(path), OFTEN, **changes), ALONE)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def trained_teacher(
    training_of: Make, small: Small, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives the checkpoint of a teacher of a space, trained for two steps."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(f"teacher-{name}")
            go(training_of(TEACHER.scaled(0.002), small(name)), folder)
            made[name] = folder / "supernet.pt"
        return made[name]

    return get


CASES = [
    (TEACHER, "compofa", None),
    (TEACHER, "compofa-proxyless-w1.3", None),
    (TEACHER, "ofa-resnet50", None),
    (COMPOUND, "compofa", "ofa-mbv3"),
    (COMPOUND, "compofa-elastic", "ofa-mbv3"),
    (COMPOUND, "compofa-proxyless-w1.3", "ofa-proxyless-w1.3"),
    (COMPOUND, "compofa-resnet50", "ofa-resnet50"),
    (PROGRESSIVE, "ofa-mbv3", "ofa-mbv3"),
    (PROGRESSIVE, "ofa-proxyless-w1.3", "ofa-proxyless-w1.3"),
    (PROGRESSIVE, "ofa-resnet50", "ofa-resnet50"),
    (DEPS, "compofa", None),
    (DEPS, "compofa-elastic", None),
    (DEPS, "compofa-proxyless-w1.3", None),
    (DEPS, "ofa-resnet50", None),
]


@pytest.mark.parametrize(
    ("recipe", "name", "teacher"), CASES, ids=[f"{r.name}-{n}" for r, n, _ in CASES]
)
def test_every_recipe_ends_with_a_checkpoint(
    training_of: Make,
    small: Small,
    trained_teacher: Trained,
    data: DataSet,
    tmp_path: Path,
    recipe: Recipe,
    name: str,
    teacher: str | None,
) -> None:
    space = small(name)
    found = (
        None if teacher is None else load_teacher(trained_teacher(teacher), space, split_data(data))
    )
    short = recipe.scaled(0.002)
    state = go(training_of(short, space, teacher=found), tmp_path)
    loaded = load_checkpoint(tmp_path / "supernet.pt")
    assert loaded.supernet.space == space
    assert loaded.metadata["recipe"] == recipe.name
    steps = rows(tmp_path / "steps.csv")
    assert {row["phase"] for row in steps} == {str(n + 1) for n in range(len(recipe.phases))}
    assert {row["resolution"] for row in steps} <= {"12", "16"}
    assert len(state.costs) == len(recipe.phases)
    for number, (phase, cost) in enumerate(zip(short.phases, state.costs, strict=True), 1):
        done = [row for row in steps if row["phase"] == str(number)]
        assert cost.images == 10 * len(done)
        assert cost.passes == cost.images * phase.subnets
        assert cost.taught == (cost.images if phase.targets == "teacher" else 0)
        assert all(len(row["subnets"].split()) == phase.subnets for row in done)
    validated = rows(tmp_path / "validation.csv")
    assert {row["phase"] for row in validated} == {row["phase"] for row in steps}


def test_validation_uses_held_out_images_and_leaves_the_training_alone(
    training_of: Make, small: Small, tmp_path: Path
) -> None:
    training = training_of(TEACHER.scaled(0.004), small("compofa"))
    launches = [
        Launch(RunFolder(tmp_path / str(every)), Pace(300, every)) for every in (0.4, 100.0)
    ]
    for launch in launches:
        train(training, launch, ALONE)
    often, seldom = (launch.folder for launch in launches)
    assert often.steps.read_text() == seldom.steps.read_text()
    found = rows(often.validation)
    assert len(found) > len(rows(seldom.validation)) == 1
    assert {row["images"] for row in found} == {str(len(training.split.heldout))}


def test_a_supernet_that_teaches_does_so_with_statistics_of_its_largest_subnet(
    training_of: Make, small: Small, data: DataSet, tmp_path: Path
) -> None:
    space = small("compofa")
    go(training_of(DEPS.scaled(0.02), space), tmp_path / "deps")
    teacher = load_teacher(tmp_path / "deps" / "supernet.pt", space, split_data(data))
    assert teacher.mixed
    training = training_of(COMPOUND.scaled(0.002), space, teacher=teacher)
    network = teaching_network(training, ALONE)
    assert network is not None
    images = PlainBatches(training.loading, training.split.train, 16, 10)
    part = training.split.train.sample(CALIBRATION_IMAGES)
    calibration = (batch.images for batch in PlainBatches(training.loading, part, 16, 10))
    expected = extract_calibrated(teacher.supernet, teacher.subnet, calibration)
    (first, *_) = images
    with torch.no_grad():
        assert torch.allclose(network(first.images), expected(first.images), atol=1e-5)
        own = teacher.supernet.extract(teacher.subnet).eval()
        assert not torch.allclose(network(first.images), own(first.images), atol=1e-2)


def test_a_teacher_that_was_trained_alone_keeps_its_statistics(
    training_of: Make, small: Small, trained_teacher: Trained, data: DataSet
) -> None:
    space = small("compofa")
    teacher = load_teacher(trained_teacher("compofa"), space, split_data(data))
    assert not teacher.mixed


def test_the_first_weights_are_the_teachers(
    training_of: Make, small: Small, trained_teacher: Trained, data: DataSet, tmp_path: Path
) -> None:
    space = small("compofa")
    teacher = load_teacher(trained_teacher("compofa"), space, split_data(data))
    still = replace(COMPOUND.scaled(0.002, 1e-30), weight_decay=0.0)
    go(training_of(still, space, teacher=teacher), tmp_path)
    supernet = load_checkpoint(tmp_path / "supernet.pt").supernet
    ours, theirs = supernet.get_parameter("stem.conv.weight"), teacher.supernet.state_dict()
    assert torch.equal(ours, theirs["stem.conv.weight"])


MISFITS = {
    "fixed kernels": ("compofa", "compofa-elastic", "no kernels of 7"),
    "another family": ("compofa", "compofa-resnet50", "its family is mbv3, not resnet50"),
}


@pytest.mark.parametrize(("theirs", "ours", "reason"), MISFITS.values(), ids=MISFITS.keys())
def test_a_teacher_that_does_not_fit_is_refused(
    small: Small, trained_teacher: Trained, data: DataSet, theirs: str, ours: str, reason: str
) -> None:
    with pytest.raises(UserError, match=reason) as raised:
        load_teacher(trained_teacher(theirs), small(ours), split_data(data))
    assert f"compofa-train teacher --space small-{ours}" in str(raised.value)


def test_a_teacher_that_has_seen_held_out_images_is_refused(
    small: Small, trained_teacher: Trained, data: DataSet
) -> None:
    other = split_data(data, heldout=9)
    with pytest.raises(UserError, match="trained on images that are held out here.*--heldout"):
        load_teacher(trained_teacher("ofa-mbv3"), small("compofa"), other)


def test_a_teacher_of_other_classes_is_refused(
    small: Small, trained_teacher: Trained, data: DataSet
) -> None:
    with pytest.raises(UserError, match="its classes is 3, not 10"):
        load_teacher(
            trained_teacher("compofa"), replace(small("compofa"), classes=10), split_data(data)
        )


def test_named_spaces_train_at_the_published_resolutions(training_of: Make, small: Small) -> None:
    space = replace(small("compofa"), resolutions=(160, 176, 192, 208, 224))
    assert training_of(TEACHER, space).resolutions == PUBLISHED_RESOLUTIONS
    assert len(PUBLISHED_RESOLUTIONS) == 25
    assert training_of(TEACHER, small("compofa")).resolutions == (12, 16)


class Poisoned(Loading):
    """Batches whose images are not numbers from the third on."""

    def batches(self, images: Images, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        for number, batch in enumerate(super().batches(images, requests)):
            yield batch if number < 2 else Batch(batch.images * torch.nan, batch.labels)


def test_a_loss_that_is_not_finite_stops_with_step_and_subnets(
    training_of: Make, small: Small, tmp_path: Path
) -> None:
    training = training_of(DEPS.scaled(0.01), small("compofa"), loading=Poisoned(1))
    with pytest.raises(UserError, match="diverged at step 3 of phase largest.*d44444.*--clip"):
        go(training, tmp_path)
    assert [row["step"] for row in rows(tmp_path / "steps.csv")] == ["1", "2"]
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    assert kept["step"] == 2
    assert all(bool(tensor.isfinite().all()) for tensor in kept["weights"].values())


class Halved(Loading):
    """Only one image of each batch can be read."""

    def batches(self, images: Images, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        for batch in super().batches(images, requests):
            yield Batch(batch.images[:1], batch.labels[:1])


def test_a_batch_with_one_readable_image_is_an_error(
    training_of: Make, small: Small, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="step 1 has 1 readable images"):
        go(training_of(TEACHER.scaled(0.01), small("compofa"), loading=Halved(1)), tmp_path)


def test_batches_must_be_shared_evenly(training_of: Make, small: Small) -> None:
    training = training_of(TEACHER, small("compofa"))
    training.check_ranks(5)
    with pytest.raises(UserError, match="10 images cannot be divided evenly among 3"):
        training.check_ranks(3)
    with pytest.raises(UserError, match="has only 1 for each of 10"):
        training.check_ranks(10)


def test_another_training_in_the_folder_is_named(
    training_of: Make, small: Small, tmp_path: Path
) -> None:
    training = training_of(TEACHER.scaled(0.002), small("compofa"))
    go(training, tmp_path)
    with pytest.raises(UserError, match="batch_size: 12, was 10; seed: 4, was 0"):
        go(replace(training, batch_size=12, seed=4), tmp_path)
    go(replace(training, batch_size=12), tmp_path, fresh=True)
    assert len(rows(tmp_path / "steps.csv")) == 2


def test_a_finished_training_stays_as_it_is(
    training_of: Make, small: Small, tmp_path: Path
) -> None:
    training = training_of(TEACHER.scaled(0.002), small("compofa"))
    go(training, tmp_path)
    before = (tmp_path / "steps.csv").read_text()
    (tmp_path / "supernet.pt").unlink()
    go(training, tmp_path)
    assert (tmp_path / "steps.csv").read_text() == before
    assert (tmp_path / "supernet.pt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step_and_the_training_goes_on(
    training_of: Make, small: Small, tmp_path: Path, number: signal.Signals
) -> None:
    training = training_of(DEPS.scaled(0.004), small("compofa"))
    go(training, tmp_path / "whole")
    part = tmp_path / "part"
    steps = part / "steps.csv"

    def send() -> None:
        while not (steps.exists() and steps.read_text().count("\n") > 1):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        go(training, part)
    thread.join()
    done = len(rows(steps))
    assert 1 <= done < len(rows(tmp_path / "whole" / "steps.csv"))
    go(training, part)
    assert steps.read_text() == (tmp_path / "whole" / "steps.csv").read_text()


def test_tensorboard_curves_are_written_where_asked_for(
    training_of: Make, small: Small, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    go(training_of(TEACHER.scaled(0.005), small("compofa")), tmp_path, curves=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("training/loss")] == [1, 2, 3, 4, 5]
    assert events.Scalars("top1/d44444")[-1].step == 5
