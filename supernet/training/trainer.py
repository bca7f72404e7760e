"""Runs a training from its state to the end, and saves the state again and again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from compofa.common.errors import UserError
from compofa.supernet.checkpoints.checkpoint import save_checkpoint
from compofa.supernet.data.batches.loading import Batch
from compofa.supernet.data.split import DIGESTS
from compofa.supernet.training.cost import TrainingCost, subnet_macs
from compofa.supernet.training.phase_run import COLUMNS, PhaseRun, StepRecord
from compofa.supernet.training.run_files.rows import RowFile
from compofa.supernet.training.run_files.run_folder import RunFolder
from compofa.supernet.training.run_files.state import State, write_state
from compofa.supernet.training.steps.importance import sort_channels_
from compofa.supernet.training.steps.step import Stepper, StepPlan
from compofa.supernet.training.stopping import StopRequest
from compofa.supernet.training.training import Training
from compofa.supernet.training.training_monitor import TrainingMonitor
from compofa.supernet.training.validation import Validation

STEPS_AHEAD = 16
"""How many steps a GPU is given before their losses are read, so that it never waits. A CPU
computes each step before the next one is started."""

VALIDATION_COLUMNS = ("epoch", "subnet", "resolution", "top1", "images")


@dataclass(frozen=True)
class Pace:
    """How often the state is saved and subnets are validated.

    Attributes:
        save_seconds: the time between two saved states. The state is also saved after every
            validation.
        validate_epochs: the number of epochs between two validations.
    """

    save_seconds: float = 300.0
    validate_epochs: float = 1.0


@dataclass(frozen=True)
class Launch:
    """Settings of a run that have no influence on the weights.

    Attributes:
        folder: the folder of the training.
        pace: how often the state is saved and subnets are validated.
        fresh: whether to discard an earlier training in the folder.
        curves: whether to write curves for TensorBoard.
    """

    folder: RunFolder
    pace: Pace = field(default_factory=Pace)
    fresh: bool = False
    curves: bool = False


class Trainer:
    """Trains the phases that are left."""

    def __init__(
        self,
        training: Training,
        stepper: Stepper,
        state: State,
        launch: Launch,
        monitor: TrainingMonitor,
        stop_request: StopRequest,
    ) -> None:
        self._training = training
        self._stepper = stepper
        self._state = state
        self._folder = launch.folder
        self._pace = launch.pace
        self._ranks = stepper.ranks
        self._monitor = monitor
        self._stop_request = stop_request
        self._pending: list[StepRecord] = []
        self._ahead = 1 if self._ranks.device.type == "cpu" else STEPS_AHEAD
        self._saved = time.monotonic()
        if self._ranks.first:
            self._rows = RowFile(self._folder.steps, COLUMNS)
            self._validations = RowFile(self._folder.validation, VALIDATION_COLUMNS)
            for rows in (self._rows, self._validations):
                rows.cut(state.phase + 1, state.step)

    def run(self) -> None:
        """Trains until all phases are done, and writes the checkpoint.

        Raises:
            KeyboardInterrupt: the training was asked to stop; its state has been saved.
            UserError: the training diverged, the data is damaged, or a file cannot be written.
        """
        while self._state.phase < len(self._training.recipe.phases):
            self._phase(self._training.phase_run(self._state.phase))
            self._stepper.forget_momentum()
            self._state.phase += 1
            self._state.step = 0
            self._save()
        if self._ranks.first:
            self._finish()

    def _phase(self, run: PhaseRun) -> None:
        # In a phase that is continued, channels are sorted already and the costs go on.
        if self._state.step == 0:
            self._state.costs[run.number - 1 :] = [TrainingCost()]
            if run.phase.sort_channels:
                sort_channels_(self._stepper.supernet)
        before = sum(self._training.phase_run(i).steps for i in range(self._state.phase))
        self._monitor.phase(run, self._state.costs[-1], before)
        steps = range(self._state.step, run.steps)
        requests = run.order.requests(steps, self._ranks.rank, self._ranks.count)
        batches = self._training.loading.batches(run.order.part.images, requests)
        cost = self._state.costs[-1]
        while self._state.step < run.steps:
            validating = run.validation_due(self._state.step + 1, self._pace.validate_epochs)
            with cost.timed():
                self._step(run, next(batches))
                settling = validating or len(self._pending) >= self._ahead
                if settling:
                    self._pending[-1].wait()
            stop = settling and self._settle()
            if validating:
                self._validate(run)
            if settling:
                self._save_if_due(force=validating or stop)
            if stop:
                raise KeyboardInterrupt

    def _step(self, run: PhaseRun, batch: Batch) -> None:
        step = self._state.step
        # Batch norm cannot compute a variance from one image at 1x1 pixels.
        if len(batch.labels) < 2:
            raise UserError(
                f"step {step + 1} has {len(batch.labels)} readable images, but needs at least 2"
            )
        plan = run.plan(step)
        torch.manual_seed(run.dropout_seed(step, self._ranks.rank))
        result = self._stepper.step(plan, batch, stop=self._stop_request.stop)
        self._pending.append(StepRecord(run, step, plan, result))
        self._state.step += 1
        self._count(run, plan, run.order.resolution(step))

    def _count(self, run: PhaseRun, plan: StepPlan, resolution: int) -> None:
        macs = [subnet_macs(self._training.space, subnet, resolution) for subnet in plan.subnets]
        teacher = self._training.teacher
        taught = None
        if teacher is not None and run.phase.targets == "teacher":
            taught = subnet_macs(teacher.supernet.space, teacher.subnet, resolution)
        self._state.costs[-1].add(run.order.batch_size, macs, taught)

    def _settle(self) -> bool:
        """Writes the rows of the steps since the last call.

        Returns:
            Whether the training has been asked to stop.

        Raises:
            UserError: a loss is not finite.
        """
        rows = [record.row() for record in self._pending]
        last = self._pending[-1]
        stop = any(record.stop for record in self._pending)
        self._pending = []
        if self._ranks.first:
            self._rows.add(rows)
        self._monitor.steps(last, self._state.costs[-1])
        return stop

    def _validate(self, run: PhaseRun) -> None:
        training = self._training
        resolution = max(training.resolutions)
        validation = Validation(
            training.split, training.loading, resolution, training.batch_size, training.options.half
        )
        scores = validation.scores(self._stepper.supernet, run.sampler.validated)
        if not self._ranks.first:
            return
        step = self._state.step
        epoch = step / run.order.steps_per_epoch
        named = [(training.space.key(score.subnet), score) for score in scores]
        self._validations.add(
            [
                (run.number, step, epoch, key, resolution, score.top1, score.images)
                for key, score in named
            ]
        )
        self._monitor.validated(step, [(key, score.top1) for key, score in named])

    def _save_if_due(self, *, force: bool) -> None:
        if force or time.monotonic() - self._saved >= self._pace.save_seconds:
            self._save()

    def _save(self) -> None:
        if self._ranks.first:
            self._state.weights = self._stepper.supernet.state_dict()
            self._state.optimiser = self._stepper.optimiser.state_dict()
            write_state(self._folder.state, self._state)
        self._saved = time.monotonic()

    def _finish(self) -> None:
        """Writes the checkpoint and the costs."""
        training = self._training
        metadata: dict[str, str | int | float | bool] = {
            "recipe": training.recipe.name,
            "epochs": training.recipe.epochs,
            "seed": training.seed,
            **{name: training.split.record[name] for name in DIGESTS},
        }
        save_checkpoint(self._folder.checkpoint, self._stepper.supernet, metadata)
        costs = [cost.as_json() for cost in self._state.costs]
        self._folder.describe({**self._state.run, "costs": costs})
        self._monitor.note(f"done: {self._folder.checkpoint}")
