"""The options for the user's own model files, which form a collection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.errors import UserError
from compofa.profiler.commands.options import input_data_option, input_shape_option

if TYPE_CHECKING:
    from compofa.profiler.models.collection.collection import Collection

FILES = "Model files of your own"

ModelFilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        metavar="FILE",
        rich_help_panel=FILES,
        help="Measures this model file instead of the subnets of a space: .onnx, .tflite, .xml "
        "(OpenVINO), .pt2 (torch.export) or .mlpackage (Core ML). The option may be repeated.",
        show_default=False,
    ),
]
ModelFoldersOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="DIR",
        rich_help_panel=FILES,
        help="Measures all model files in this folder, or those in a YAML file, which can also "
        "give their inputs and your own columns (docs/model-files.md). The option may be repeated.",
        show_default=False,
    ),
]
CollectionOption = Annotated[
    str | None,
    typer.Option(
        "--collection",
        metavar="NAME",
        rich_help_panel=FILES,
        help="The name of these models in the table's column space. By default files.",
        show_default=False,
    ),
]
InputShapeOption = Annotated[list[str] | None, input_shape_option(FILES)]
InputDataOption = Annotated[Path | None, input_data_option(FILES)]
ExpectedOption = Annotated[
    Path | None,
    typer.Option(
        "--expected",
        metavar="FILE.npz",
        rich_help_panel=FILES,
        help="Compares the outputs of the model with these arrays, which are named like them. By "
        "default they are compared with what this computer computes from the same file.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ModelOptions:
    """The values of the options for model files; None for an option that was not given."""

    models: list[Path] | None = None
    folders: list[Path] | None = None
    collection: str | None = None
    shapes: list[str] | None = None
    input_data: Path | None = None
    expected: Path | None = None

    def read(self) -> Collection | None:
        """Reads the collection; None if no model files were given.

        Raises:
            UserError: the collection cannot be read, or an option was given that needs model files.
        """
        if not self.models and not self.folders:
            self._check_none_given()
            return None
        from compofa.profiler.models.collection.collection import USUAL_NAME
        from compofa.profiler.models.collection.find_models import (
            check_collection_name,
            collection_of,
            parse_shapes,
        )

        name = USUAL_NAME if self.collection is None else self.collection
        check_collection_name(name)
        given = collection_of(name, self.models or [], self.folders or [])
        return given.with_options(parse_shapes(self.shapes or []), self.input_data, self.expected)

    def _check_none_given(self) -> None:
        given = {
            "--collection": self.collection,
            "--input-shape": self.shapes,
            "--input-data": self.input_data,
            "--expected": self.expected,
        }
        for option, value in given.items():
            if value:
                raise UserError(f"{option} needs a model file: give one with --model FILE")
