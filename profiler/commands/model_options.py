"""The options that name model files of the user's own, and the collection that they make up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.errors import UserError

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
        "(OpenVINO), .pt2 (torch.export) or .mlpackage (Core ML). May be given several times.",
        show_default=False,
    ),
]
ModelFoldersOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="DIR",
        rich_help_panel=FILES,
        help="Measures all model files of this folder, or those that a YAML file lists, with their "
        "inputs and with columns of your own (docs/model-files.md).",
        show_default=False,
    ),
]
CollectionOption = Annotated[
    str | None,
    typer.Option(
        "--collection",
        metavar="NAME",
        rich_help_panel=FILES,
        help="What the table calls these models together, in its column space. By default files.",
        show_default=False,
    ),
]
InputShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="NAME=SIZES",
        rich_help_panel=FILES,
        help="The shape of an input whose size the file leaves open, as in image=1,3,224,224. May "
        "be given several times.",
        show_default=False,
    ),
]
InputDataOption = Annotated[
    Path | None,
    typer.Option(
        "--input-data",
        metavar="FILE.npz",
        rich_help_panel=FILES,
        help="Runs the model on these arrays, named like its inputs. By default inputs are drawn "
        "at random.",
        show_default=False,
    ),
]
ExpectedOption = Annotated[
    Path | None,
    typer.Option(
        "--expected",
        metavar="FILE.npz",
        rich_help_panel=FILES,
        help="Compares what the model computes with these arrays, named like its outputs. By "
        "default with what this computer computes from the same file.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ModelOptions:
    """What the command line says of model files."""

    models: list[Path] | None = None
    folders: list[Path] | None = None
    collection: str | None = None
    shapes: list[str] | None = None
    input_data: Path | None = None
    expected: Path | None = None

    def read(self) -> Collection | None:
        """The collection; None where subnets are measured.

        Raises:
            UserError: options are given that need a model file, or it is no collection.
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
                raise UserError(f"{option} is about model files: name one with --model FILE")
