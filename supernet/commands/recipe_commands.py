"""compofa-train teacher, compound, progressive and deps: one command a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import print_json
from compofa.common.errors import UserError, require_package
from compofa.supernet.commands.shared_options import DeviceOption, WorkersOption
from compofa.supernet.space import Space
from compofa.supernet.spaces import DEFAULT_SPACE, get_space
from compofa.supernet.training.recipes.recipe import ALL, RECIPES, REFERENCE_BATCH, Phase, Recipe

if TYPE_CHECKING:
    from compofa.supernet.ranks import Ranks
    from compofa.supernet.training.training import Training


class Precision(StrEnum):
    """What networks compute in while they train."""

    AUTO = "auto"
    FLOAT32 = "fp32"
    BFLOAT16 = "bf16"


def add_recipes(app: typer.Typer) -> None:
    """Gives `app` a command for each recipe."""
    for recipe in RECIPES.values():
        app.command(recipe.name, help=f"Train {recipe.about}.")(_command(recipe))


def _command(recipe: Recipe) -> Callable[..., None]:
    def command(
        data: Annotated[
            Path | None,
            typer.Option(help="Folder of the data set: class folders, shards, idx or CIFAR files."),
        ] = None,
        out: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Of this training's files.")
        ] = None,
        space: Annotated[str, typer.Option(help="A space's name or a space file.")] = DEFAULT_SPACE,
        teacher: Annotated[
            Path | None, typer.Option(help="Checkpoint to start from and learn from.")
        ] = None,
        scale: Annotated[
            float, typer.Option(min=1e-6, help="Multiplies the epochs of all phases.")
        ] = 1.0,
        lr_scale: Annotated[
            float, typer.Option(min=1e-9, help="Multiplies the learning rates.")
        ] = 1.0,
        batch_size: Annotated[
            int,
            typer.Option(min=2, help="Images a step, over all GPUs; learning rates go with it."),
        ] = 256,
        heldout: Annotated[
            int | None, typer.Option(min=1, help="Training images to hold out for validation.")
        ] = None,
        crop: Annotated[
            float | None,
            typer.Option(min=0.01, max=1, help="Smallest area of random crops, as a share."),
        ] = None,
        flip: Annotated[
            bool, typer.Option("--flip/--no-flip", help="Mirror half of the images.")
        ] = True,
        seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
        device: DeviceOption = "auto",
        precision: Annotated[
            Precision, typer.Option(help="auto: bf16 on GPUs, fp32 elsewhere.")
        ] = Precision.AUTO,
        clip: Annotated[
            float | None, typer.Option(min=1e-6, help="Largest norm of a step's gradient.")
        ] = None,
        compile_: Annotated[
            bool, typer.Option("--compile", help="Run blocks through torch.compile.")
        ] = False,
        workers: WorkersOption = None,
        validate_every: Annotated[
            float, typer.Option(min=1e-3, metavar="EPOCHS", help="Between validations.")
        ] = 1.0,
        save_every: Annotated[
            float, typer.Option(min=0, metavar="MINUTES", help="Between states on disk.")
        ] = 5.0,
        tensorboard: Annotated[
            bool, typer.Option("--tensorboard", help="Write curves for TensorBoard.")
        ] = False,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Discard an earlier training in the folder.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Print the recipe and train nothing.")
        ] = False,
        json_: Annotated[
            bool, typer.Option("--json", help="Print one JSON object at the end.")
        ] = False,
    ) -> None:
        known = get_space(space)
        recipe_here = recipe.scaled(scale, lr_scale)
        recipe_here.check_space(known)
        if dry_run:
            _show(recipe_here, batch_size, json_)
            return
        if data is None or out is None:
            raise UserError("a training needs --data and --out", hint="--dry-run needs neither")
        if (teacher is None) == recipe.needs_teacher:
            need = "needs" if recipe.needs_teacher else "takes no"
            hint = "`compofa-train teacher` trains one" if recipe.needs_teacher else None
            raise UserError(f"{recipe.name} {need} --teacher", hint=hint)
        require_package("torch", "train")
        from compofa.supernet.ranks import joined_ranks
        from compofa.supernet.training.launch import Launch, train
        from compofa.supernet.training.run_files.run_folder import RunFolder
        from compofa.supernet.training.trainer import Pace

        folder = RunFolder(out)
        with joined_ranks(device) as ranks:
            source = TrainingSource(data, heldout, workers, crop, flip)
            options = (batch_size, seed, precision, compile_, clip)
            training = _training(recipe_here, known, source, teacher, *options, ranks)
            pace = Pace(60 * save_every, validate_every)
            state = train(training, Launch(folder, pace, fresh, tensorboard), ranks)
            if json_ and ranks.first:
                costs = [cost.as_json() for cost in state.costs]
                about = {"recipe": recipe_here.name, "space": known.name, "seed": seed}
                print_json({"checkpoint": str(folder.checkpoint), **about, "costs": costs})

    return command


@dataclass(frozen=True)
class TrainingSource:
    """Where images come from, and how they are seen; None stands for what is usual for them."""

    path: Path
    heldout: int | None
    workers: int | None
    crop: float | None
    flip: bool


def _training(
    recipe: Recipe,
    space: Space,
    source: TrainingSource,
    teacher: Path | None,
    batch_size: int,
    seed: int,
    precision: Precision,
    compiled: bool,
    clip: float | None,
    ranks: Ranks,
) -> Training:
    from compofa.supernet.data.batches.loading import Loading, usual_augmentation, usual_workers
    from compofa.supernet.data.dataset import open_data
    from compofa.supernet.data.split import split_data
    from compofa.supernet.training.start import load_teacher
    from compofa.supernet.training.steps.step import StepOptions
    from compofa.supernet.training.training import Training

    data = open_data(source.path)
    data.check_space(space)
    usual = usual_augmentation(data.train)
    augmentation = replace(
        usual, smallest_area=source.crop or usual.smallest_area, flip=source.flip
    )
    workers = source.workers
    if workers is None:
        workers = usual_workers(data.train, ranks.beside)
    half = precision is Precision.BFLOAT16
    if precision is Precision.AUTO:
        half = ranks.device.type == "cuda"
    # Every training on the same data holds the same images out, or a teacher would have seen them.
    split = split_data(data, heldout=source.heldout)
    return Training(
        recipe,
        space,
        split,
        Loading(space.in_channels, ranks.device, workers, augmentation),
        batch_size,
        seed,
        None if teacher is None else load_teacher(teacher, space, split),
        StepOptions(half, compiled, clip),
    )


def _show(recipe: Recipe, batch_size: int, as_json: bool) -> None:
    """The recipe, as a table or as JSON."""
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
