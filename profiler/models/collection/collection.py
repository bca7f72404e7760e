"""A collection of model files: what the user wants measured, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compofa.common.errors import UserError

USUAL_NAME = "files"
"""The name of a collection without --collection."""

InputShapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class GivenModel:
    """A model that the user wants measured.

    Attributes:
        name: the name of the model in tables.
        files: the files of the model, at most one per format.
        shapes: the shapes of inputs by name; "" stands for the only input of a model.
        input_data: an .npz file with its inputs; None for random inputs.
        expected: an .npz file with its outputs for these inputs.
        columns: the values of the user's own columns.
    """

    name: str
    files: tuple[Path, ...]
    shapes: InputShapes = field(default_factory=dict)
    input_data: Path | None = None
    expected: Path | None = None
    columns: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """Models that are measured together.

    Attributes:
        name: the name of the collection, which is in the column `space` of tables.
        models: the models.
        shapes: the shapes of inputs by name, for all models that have an input of that name.
    """

    name: str
    models: tuple[GivenModel, ...]
    shapes: InputShapes = field(default_factory=dict)

    def with_options(
        self, shapes: InputShapes, input_data: Path | None = None, expected: Path | None = None
    ) -> Collection:
        """The collection with the shapes and data that were given on the command line.

        Raises:
            UserError: input data or expected outputs are given for several models.
        """
        if (input_data or expected) and len(self.models) > 1:
            option = "--input-data" if input_data else "--expected"
            raise UserError(
                f"{option} is for one model, but there are {len(self.models)}",
                hint="give input_data and expected for each of them in --models FILE.yaml",
            )
        models = tuple(
            replace(
                each,
                input_data=input_data or each.input_data,
                expected=expected or each.expected,
            )
            for each in self.models
        )
        return replace(self, models=models, shapes=shapes)
