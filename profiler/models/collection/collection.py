"""A collection of model files: what the user wants measured, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compofa.common.errors import UserError

USUAL_NAME = "files"
"""Of a collection that nobody has named."""

InputShapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class GivenModel:
    """A model that the user wants measured.

    Attributes:
        name: by which tables call it.
        files: one of each format.
        shapes: of inputs, by name; "" is the only one.
        input_data: an .npz file with its inputs; they are drawn at random if left out.
        expected: an .npz file with what it computes of them.
        columns: the user's own.
    """

    name: str
    files: tuple[Path, ...]
    shapes: InputShapes = field(default_factory=dict)
    input_data: Path | None = None
    expected: Path | None = None
    columns: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """Models that are measured together; its name stands in the column `space` of tables.

    Attributes:
        shapes: of the inputs of those models that have an input of that name.
    """

    name: str
    models: tuple[GivenModel, ...]
    shapes: InputShapes = field(default_factory=dict)

    def with_options(
        self, shapes: InputShapes, input_data: Path | None = None, expected: Path | None = None
    ) -> Collection:
        """This collection, with what the command line says of all its models.

        Raises:
            UserError: data is given for several models.
        """
        if (input_data or expected) and len(self.models) > 1:
            option = "--input-data" if input_data else "--expected"
            raise UserError(
                f"{option} is of one model, and {len(self.models)} are given",
                hint="--models FILE.yaml says it for each of them: input_data, expected",
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
