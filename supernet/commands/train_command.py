"""compofa-train: trains supernets, measures their subnets and imports released weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import print_json, printable, run_command
from compofa.common.errors import require_package
from compofa.common.files import sha256, write_atomically
from compofa.common.programs.program import Program
from compofa.supernet.commands.completion import complete_space
from compofa.supernet.commands.evaluate_command import evaluate
from compofa.supernet.commands.predictor_command import predictor
from compofa.supernet.commands.recipe_commands import add_recipes
from compofa.supernet.commands.shared_options import JsonOption
from compofa.supernet.spaces import get_space

app = Program(no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train supernets, measure the accuracy of their subnets, and read released weights."""


add_recipes(app)
app.command()(evaluate)
app.command()(predictor)


@app.command("import")
def import_(
    released: Annotated[
        Path,
        typer.Argument(metavar="RELEASED.pth", help="The checkpoint that OFA or CompOFA released."),
    ],
    space: Annotated[
        str,
        typer.Option(
            autocompletion=complete_space,
            metavar="NAME",
            help="The space of the supernet in the checkpoint: its name, or its YAML file.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The checkpoint to write.")],
    json_: JsonOption = False,
) -> None:
    """Convert a checkpoint that OFA or CompOFA released, for the other commands to read."""
    # The space is checked before torch is loaded, which takes seconds.
    known = get_space(space)
    require_package("torch", "train")
    from compofa.supernet.checkpoints.checkpoint import checkpoint_bytes
    from compofa.supernet.checkpoints.released import import_released

    supernet = import_released(released, known)
    metadata = {"imported_from": released.name, "imported_sha256": sha256(released.read_bytes())}
    content = checkpoint_bytes(supernet, metadata)
    write_atomically(out, content, "the checkpoint")
    params = sum(parameter.numel() for parameter in supernet.parameters())
    if json_:
        report = {
            "path": str(out),
            "space": known.name,
            "kernel_transform": supernet.kernel_transform,
            "params": params,
            "sha256": sha256(content),
            "bytes": len(content),
        }
        print_json(report)
    else:
        summary = f"{out}: {known.name}, {params / 1e6:.2f} M parameters, from {released.name}"
        print(printable(summary))


def main() -> None:
    """The entry point of `compofa-train`."""
    run_command(app)


if __name__ == "__main__":
    # `torchrun -m compofa.supernet.commands.train_command` starts it like this.
    main()
