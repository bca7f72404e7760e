"""Starts a training, or continues the one in its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from compofa.common.errors import UserError
from compofa.supernet.checkpoints.torch_files import difference, shapes_of
from compofa.supernet.data.batches.loading import PlainBatches
from compofa.supernet.data.split import write_split
from compofa.supernet.evaluation.bn_calibration import calibrate
from compofa.supernet.evaluation.evaluation_options import CALIBRATION_IMAGES
from compofa.supernet.ranks import Ranks
from compofa.supernet.training.run_files.curves import Curves
from compofa.supernet.training.run_files.run_folder import RunFolder, differences
from compofa.supernet.training.run_files.state import (
    State,
    read_state,
    restore_optimiser_,
    write_state,
)
from compofa.supernet.training.start import first_supernet
from compofa.supernet.training.steps.step import Classifier, Stepper, new_optimiser
from compofa.supernet.training.stopping import heeding_signals
from compofa.supernet.training.trainer import Launch, Trainer
from compofa.supernet.training.training import Training
from compofa.supernet.training.training_monitor import TrainingMonitor


def train(training: Training, launch: Launch, ranks: Ranks) -> State:
    """Trains to the end, from the state in the folder if there is one.

    Raises:
        UserError: the folder has another training, or its state is missing or damaged; or an error
            of `Trainer.run`.
        KeyboardInterrupt: the training was interrupted.
    """
    training.check_ranks(ranks.count)
    with _prepared(training, launch, ranks) as (state, monitor), heeding_signals() as stop_request:
        supernet = first_supernet(training.space, training.teacher, training.seed)
        wrong = difference(shapes_of(supernet.state_dict()), shapes_of(state.weights))
        if wrong is not None:
            message = f"its weights are not those of space {training.space.name}: {wrong}"
            raise UserError(message, path=launch.folder.state)
        supernet.load_state_dict(state.weights)
        stepper = Stepper(
            supernet.to(ranks.device), training.recipe, ranks, teaching_network(training, ranks),
            training.options,
        )  # fmt: skip
        restore_optimiser_(stepper.optimiser, state.optimiser, launch.folder.state)
        Trainer(training, stepper, state, launch, monitor, stop_request).run()
    return state


@contextmanager
def _prepared(
    training: Training, launch: Launch, ranks: Ranks
) -> Iterator[tuple[State, TrainingMonitor]]:
    """Prepares the folder on the first rank; then all ranks read its state."""
    folder = launch.folder
    with ExitStack() as stack:
        if ranks.first:
            stack.enter_context(folder.held())
            # After a failure, torchrun runs the same command again. It must not discard the
            # training then.
            if launch.fresh and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
                folder.clear()
            if not folder.begun:
                _begin(training, folder)
        ranks.wait()
        state = read_state(folder.state)
        changed = differences(training.describe(), state.run)
        if changed:
            hint = "choose another folder with --out, or discard this one with --fresh"
            message = f"the folder has another training: {'; '.join(changed[:3])}"
            raise UserError(message, path=folder.path, hint=hint)
        curves = Curves(folder.tensorboard) if launch.curves and ranks.first else None
        monitor = stack.enter_context(
            TrainingMonitor(folder, silent=not ranks.first, curves=curves)
        )
        training.loading.unreadable.tell = monitor.note
        yield state, monitor


def _begin(training: Training, folder: RunFolder) -> None:
    """Writes the first files of a training.

    The state is written first, so that there is always one if there are any other files.
    """
    supernet = first_supernet(training.space, training.teacher, training.seed)
    optimiser = new_optimiser(supernet, training.recipe)
    state = State(training.describe(), supernet.state_dict(), optimiser.state_dict())
    write_state(folder.state, state)
    folder.describe(state.run)
    write_split(folder.split, training.split)


def teaching_network(training: Training, ranks: Ranks) -> Classifier | None:
    """The teacher as an ordinary network without gradients; None if there is no teacher."""
    teacher = training.teacher
    if teacher is None:
        return None
    network: nn.Module = teacher.supernet.extract(teacher.subnet)
    if teacher.mixed:
        # The statistics in a supernet fit none of its subnets. With them, even the largest one is
        # hardly better than chance.
        part = training.split.train.sample(CALIBRATION_IMAGES)
        size = max(training.resolutions)
        images = PlainBatches(training.loading, part, size, training.batch_size)
        supernet = teacher.supernet.to(ranks.device)
        statistics = calibrate(supernet, teacher.subnet, (batch.images for batch in images))
        network.load_state_dict(dict(statistics), strict=False)
    return network.to(ranks.device).eval().requires_grad_(False)
