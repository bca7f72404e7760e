"""compofa-train teacher, compound, progressive and deps: one command for each recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import note, print_json
from compofa.common.errors import UserError, require_package
from compofa.supernet.commands.completion import complete_space
from compofa.supernet.commands.shared_options import (
    DATA_HELP,
    RUNNING,
    DeviceOption,
    JsonOption,
    WorkersOption,
)
from compofa.supernet.defaults import DEFAULT_SPACE
from compofa.supernet.space import Space
from compofa.supernet.spaces import get_space
from compofa.supernet.training.recipes.recipe import ALL, RECIPES, REFERENCE_BATCH, Phase, Recipe

if TYPE_CHECKING:
    from compofa.supernet.ranks import Ranks
    from compofa.supernet.training.training import Training


class Precision(StrEnum):
    """The values of --precision."""

    AUTO = "auto"
    FLOAT32 = "fp32"
    BFLOAT16 = "bf16"


WHAT, SCHEDULE, IMAGES, FILES = "What is trained", "Schedule", "Images", "Files and progress"
"""Panels of the help."""

_DataOption = Annotated[Path | None, typer.Option(help=DATA_HELP, rich_help_panel=WHAT)]
_OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="The folder for the files of this training. Run the same command again to continue an "
        "interrupted training from them.",
        rich_help_panel=WHAT,
    ),
]
_SpaceOption = Annotated[
    str,
    typer.Option(
        autocompletion=complete_space,
        metavar="NAME",
        help="The search space to train: its name, or its YAML file.",
        rich_help_panel=WHAT,
    ),
]
_TeacherOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The checkpoint whose largest subnet is the teacher. The training also starts from "
        "its weights.",
        rich_help_panel=WHAT,
    ),
]
_SeedOption = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="The seed of all random choices.", rich_help_panel=WHAT),
]
_ScaleOption = Annotated[
    float,
    typer.Option(
        min=1e-6,
        metavar="FACTOR",
        help="Multiplies the epochs of all phases: 0.1 trains for a tenth of the published epochs.",
        rich_help_panel=SCHEDULE,
    ),
]
_LrScaleOption = Annotated[
    float,
    typer.Option(
        min=1e-9,
        metavar="FACTOR",
        help="Multiplies all learning rates.",
        rich_help_panel=SCHEDULE,
    ),
]
_BatchOption = Annotated[
    int,
    typer.Option(
        min=2,
        metavar="N",
        help="The number of images per step, over all GPUs. Learning rates are scaled in "
        "proportion.",
        rich_help_panel=SCHEDULE,
    ),
]
_ClipOption = Annotated[
    float | None,
    typer.Option(
        min=1e-6,
        metavar="NORM",
        help="Scales down gradients whose norm is larger than this. By default gradients are not "
        "changed.",
        rich_help_panel=SCHEDULE,
    ),
]
_HeldoutOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="How many training images to hold out for validation. By default a tenth of them, but "
        "at most 10,000.",
        rich_help_panel=IMAGES,
    ),
]
_CropOption = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=1,
        metavar="SHARE",
        help="The smallest area of random crops, as a share of the image. By default 0.08 for "
        "pictures, and 0.6 for small images such as CIFAR's.",
        rich_help_panel=IMAGES,
    ),
]
_FlipOption = Annotated[
    bool,
    typer.Option(
        "--flip/--no-flip", help="Mirrors half of the images, at random.", rich_help_panel=IMAGES
    ),
]
_PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="The number type of the computation: auto is bf16 on GPUs and fp32 elsewhere.",
        rich_help_panel=RUNNING,
    ),
]
_CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compiles the blocks with torch.compile.", rich_help_panel=RUNNING
    ),
]
_ValidateOption = Annotated[
    float,
    typer.Option(
        min=1e-3,
        metavar="EPOCHS",
        help="The number of epochs between two validations.",
        rich_help_panel=FILES,
    ),
]
_SaveOption = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="MINUTES",
        help="The number of minutes after which the state is saved again. An interrupted training "
        "continues from the last state.",
        rich_help_panel=FILES,
    ),
]
_TensorboardOption = Annotated[
    bool,
    typer.Option("--tensorboard", help="Writes curves for TensorBoard.", rich_help_panel=FILES),
]
_FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Discards an earlier training in the folder and starts again.",
        rich_help_panel=FILES,
    ),
]
_DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Prints the recipe and trains nothing.", rich_help_panel=FILES),
]


def add_recipes(app: typer.Typer) -> None:
    """Adds a command for each recipe to `app`."""
    for recipe in RECIPES.values():
        app.command(recipe.name, help=f"Train {recipe.about}.")(_command(recipe))


def _command(recipe: Recipe) -> Callable[..., None]:
    def command(
        data: _DataOption = None,
        out: _OutOption = None,
        space: _SpaceOption = DEFAULT_SPACE,
        teacher: _TeacherOption = None,
        seed: _SeedOption = 0,
        scale: _ScaleOption = 1.0,
        lr_scale: _LrScaleOption = 1.0,
        batch_size: _BatchOption = 256,
        clip: _ClipOption = None,
        heldout: _HeldoutOption = None,
        crop: _CropOption = None,
        flip: _FlipOption = True,
        device: DeviceOption = "auto",
        precision: _PrecisionOption = Precision.AUTO,
        compile_: _CompileOption = False,
        workers: WorkersOption = None,
        validate_every: _ValidateOption = 1.0,
        save_every: _SaveOption = 5.0,
        tensorboard: _TensorboardOption = False,
        fresh: _FreshOption = False,
        dry_run: _DryRunOption = False,
        json_: JsonOption = False,
    ) -> None:
        known = get_space(space)
        scaled = recipe.scaled(scale, lr_scale)
        scaled.check_space(known)
        if dry_run:
            _show(scaled, batch_size, json_)
            return
        if data is None or out is None:
            raise UserError("training needs --data and --out", hint="--dry-run needs neither")
        _check_teacher(scaled, teacher)
        require_package("torch", "train")
        images = TrainingSource(data, heldout, workers, crop, flip)
        settings = Settings(scaled, known, teacher, batch_size, seed, precision, compile_, clip)
        files = Files(out, 60 * save_every, validate_every, fresh, tensorboard)
        _train(settings, images, files, device, json_)

    return command


def _check_teacher(recipe: Recipe, teacher: Path | None) -> None:
    if (teacher is None) == recipe.needs_teacher:
        need = "needs" if recipe.needs_teacher else "has no use for"
        hint = "`compofa-train teacher` trains one" if recipe.needs_teacher else None
        raise UserError(f"{recipe.name} {need} --teacher", hint=hint)


@dataclass(frozen=True)
class TrainingSource:
    """The images to train on.

    Attributes:
        path: the folder of the data set.
        heldout: how many images to hold out.
        workers: processes that decode pictures, for each GPU.
        crop: the smallest area of random crops, as a share of the image.
        flip: whether half of the images are mirrored.

    None stands for the default, which depends on the images.
    """

    path: Path
    heldout: int | None
    workers: int | None
    crop: float | None
    flip: bool


@dataclass(frozen=True)
class Settings:
    """All settings on which the trained weights depend, apart from the images."""

    recipe: Recipe
    space: Space
    teacher: Path | None
    batch_size: int
    seed: int
    precision: Precision
    compiled: bool
    clip: float | None

    def training(self, images: TrainingSource, ranks: Ranks) -> Training:
        """The training with these settings on `images`.

        Raises:
            UserError: the data cannot be read, or the data or the teacher does not fit the space.
        """
        from compofa.supernet.checkpoints.checkpoint import load_checkpoint
        from compofa.supernet.data.batches.loading import Loading, usual_augmentation, usual_workers
        from compofa.supernet.data.dataset import open_data
        from compofa.supernet.data.split import split_like
        from compofa.supernet.training.start import load_teacher
        from compofa.supernet.training.steps.step import StepOptions
        from compofa.supernet.training.training import Training

        data = open_data(images.path)
        data.check_space(self.space)
        usual = usual_augmentation(data.train)
        augmentation = replace(
            usual, smallest_area=images.crop or usual.smallest_area, flip=images.flip
        )
        workers = images.workers
        if workers is None:
            workers = usual_workers(data.train, ranks.beside)
        half = self.precision is Precision.BFLOAT16
        if self.precision is Precision.AUTO:
            half = ranks.device.type == "cuda"
        # Every training on the same data holds out the same images. Otherwise a teacher would have
        # been trained on images that are held out here.
        taught_by = {} if self.teacher is None else load_checkpoint(self.teacher).metadata
        split = split_like(data, taught_by, images.heldout)
        if ranks.first:
            for gap in split.gaps:
                note(gap)
        return Training(
            self.recipe,
            self.space,
            split,
            Loading(self.space.in_channels, ranks.device, workers, augmentation),
            self.batch_size,
            self.seed,
            None if self.teacher is None else load_teacher(self.teacher, self.space, split),
            StepOptions(half, self.compiled, self.clip),
        )


@dataclass(frozen=True)
class Files:
    """The files of a training.

    Attributes:
        out: the folder for them.
        save_seconds: the time between two saved states.
        validate_epochs: the epochs between two validations.
        fresh: whether to discard an earlier training in the folder.
        tensorboard: whether to write curves for TensorBoard.
    """

    out: Path
    save_seconds: float
    validate_epochs: float
    fresh: bool
    tensorboard: bool


def _train(
    settings: Settings, images: TrainingSource, files: Files, device: str, as_json: bool
) -> None:
    from compofa.supernet.ranks import joined_ranks
    from compofa.supernet.training.launch import train
    from compofa.supernet.training.run_files.run_folder import RunFolder
    from compofa.supernet.training.trainer import Launch, Pace

    folder = RunFolder(files.out)
    with joined_ranks(device) as ranks:
        training = settings.training(images, ranks)
        pace = Pace(files.save_seconds, files.validate_epochs)
        state = train(training, Launch(folder, pace, files.fresh, files.tensorboard), ranks)
        if as_json and ranks.first:
            print_json(
                {
                    "checkpoint": str(folder.checkpoint),
                    "recipe": settings.recipe.name,
                    "space": settings.space.name,
                    "seed": settings.seed,
                    "costs": [cost.as_json() for cost in state.costs],
                }
            )


def _show(recipe: Recipe, batch_size: int, as_json: bool) -> None:
    """Prints the recipe as a table or as JSON."""
    if as_json:
        print_json({"recipe": recipe.as_json(), "batch_size": batch_size})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=_title(recipe, batch_size), title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading)
    for phase in recipe.phases:
        table.add_row(*_cells(phase, batch_size))
    Console(width=120).print(table, markup=False)


HEADINGS = (
    "phase", "epochs", "learning rate", "subnets a step", "learn from", "depths", "expands",
    "kernels", "before it",
)  # fmt: skip


def _title(recipe: Recipe, batch_size: int) -> str:
    return (
        f"{recipe.name}: {recipe.about}\n{recipe.epochs:g} epochs, {batch_size} images a step; "
        f"SGD, Nesterov momentum {recipe.momentum:g}, weight decay {recipe.weight_decay:g}, label "
        f"smoothing {recipe.label_smoothing:g}, dropout {recipe.dropout:g}; gradients of a step's "
        "subnets are summed"
    )


def _cells(phase: Phase, batch_size: int) -> list[str]:
    warmup = f" + {phase.warmup_epochs:g}" if phase.warmup_epochs else ""
    rate = phase.learning_rate * batch_size / REFERENCE_BATCH
    choices = (phase.depths, phase.expands, phase.kernels)
    return [
        phase.name,
        f"{phase.epochs:g}{warmup}",
        f"{rate:.4g}",
        f"{phase.subnets} ({phase.sampling})",
        phase.targets,
        *("all" if count == ALL else f"largest {count}" for count in choices),
        "sort channels" if phase.sort_channels else "",
    ]
