"""A collection of model files: what the user wants measured, and where it is.

It comes from names on a command line, from a folder, or from a manifest in YAML:

    mobilenet: mobilenet.onnx
    bert:
      files: [bert.onnx, bert.tflite]    # one of each format; each device takes the one it can run
      inputs: {ids: [1, 128]}            # sizes that the file leaves open
      input_data: bert_in.npz
      expected: bert_out.npz
      columns: {top1: 76.1}              # the user's own, carried into the table
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compofa.common.csv_lines import LONGEST_TEXT, check_text
from compofa.common.errors import UserError, suggestion
from compofa.common.yaml_lines import Document, read_yaml
from compofa.profiler.models.user_files.read_model import FILE_FORMATS, format_of
from compofa.profiler.results.table import COLUMNS
from compofa.supernet.spaces import SPACES

USUAL_NAME = "files"
"""Of a collection that nobody has named."""

MOST_MODELS = 10_000

KEYS = ("file", "files", "inputs", "input_data", "expected", "columns")

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


def check_collection_name(name: str) -> None:
    """Refuses what a table cannot hold, and names of spaces, whose rows are about subnets.

    Raises:
        UserError: says what is wrong.
    """
    try:
        check_text(name, "--collection")
    except ValueError as error:
        raise UserError(str(error)) from None
    if name in SPACES:
        raise UserError(f"{name} is the name of a space of subnets", hint="choose another name")


def collection_of(name: str, files: Sequence[Path], folders: Sequence[Path]) -> Collection:
    """The models in `files`, and in folders and manifests.

    Args:
        name: of the collection.
        files: each a model, named by its file.
        folders: folders of such files, in which two of one name and different formats are one
            model; and manifests, YAML files.

    Raises:
        UserError: there are none, two of one name, or a folder or manifest cannot be read.
    """
    models = [GivenModel(_named(path), (path,)) for path in files]
    for place in folders:
        models += _in_folder(place) if place.is_dir() else read_manifest(place)
    if not models:
        where = ", ".join(map(str, folders))
        known = ", ".join(each.suffix for each in FILE_FORMATS)
        raise UserError(f"there are no model files in {where}", hint=f"they end in {known}")
    if len(models) > MOST_MODELS:
        raise UserError(f"{len(models):,} models are more than {MOST_MODELS:,}")
    places: dict[str, Path] = {}
    for model in models:
        if model.name in places:
            raise UserError(
                f"two models are called {model.name}: {places[model.name]} and {model.files[0]}",
                hint="a manifest, --models FILE.yaml, gives each a name of its own",
            )
        places[model.name] = model.files[0]
    return Collection(name, tuple(models))


def _named(path: Path) -> str:
    """What a model is called by its file's name; what a table cannot hold is replaced."""
    shown = "".join(each if each.isprintable() else "_" for each in path.stem)
    name = shown.strip()[:LONGEST_TEXT]
    return name or "_"


def _in_folder(folder: Path) -> list[GivenModel]:
    """The model files of a folder, not of folders inside it."""
    suffixes = {each.suffix for each in FILE_FORMATS}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            found.setdefault(_named(path), []).append(path)
    return [GivenModel(name, tuple(paths)) for name, paths in found.items()]


def read_manifest(path: Path) -> list[GivenModel]:
    """The models that a YAML file names.

    Raises:
        UserError: with the line, for anything that is not such a file.
    """
    document = read_yaml(path, "the manifest")
    if not isinstance(document.data, dict) or not document.data:
        raise UserError("a manifest maps names of models to their files", path=path, line=1)
    return [_entry(document, name) for name in document.data]


def _entry(document: Document, name: Any) -> GivenModel:
    place = (name,)
    if not isinstance(name, str):
        raise document.error(place, f"{name!r} is no name for a model", "put it in quotes")
    try:
        check_text(name, "the name of a model")
    except ValueError as error:
        raise document.error(place, str(error)) from None
    told = document.data[name]
    told = {"file": told} if isinstance(told, str) else told
    if not isinstance(told, dict):
        raise document.error(place, f"{name}: a file, or a mapping with the key file")
    for key in told:
        if key not in KEYS:
            hint = suggestion(str(key)[:60], list(KEYS))
            raise document.error((name, key), f"{name}: unknown key {str(key)[:60]!r}", hint)
    if ("file" in told) == ("files" in told):
        raise document.error(place, f"{name}: say either file or files")
    files = told.get("files", [told.get("file")])
    if not isinstance(files, list) or not files or not all(isinstance(each, str) for each in files):
        raise document.error(place, f"{name}: its files are no list of names")
    folder = document.path.parent
    paths = tuple(folder / each for each in files)
    kinds = [format_of(each).name for each in paths]
    if len({*kinds}) < len(kinds):
        raise document.error(place, f"{name}: two files of one format")
    return GivenModel(
        name,
        paths,
        shapes=_shapes(document, name, told.get("inputs") or {}),
        input_data=_beside(document, name, told, "input_data"),
        expected=_beside(document, name, told, "expected"),
        columns=_columns(document, name, told.get("columns") or {}),
    )


def _beside(document: Document, name: str, told: dict[str, Any], key: str) -> Path | None:
    value = told.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise document.error((name, key), f"{name}: {key} is no name of a file")
    return document.path.parent / value


def _shapes(document: Document, name: str, told: Any) -> InputShapes:
    place = (name, "inputs")
    if not isinstance(told, dict):
        raise document.error(place, f"{name}: inputs maps names to shapes, as in {{x: [1, 3]}}")
    for key, shape in told.items():
        sizes = shape if isinstance(shape, list) else [None]
        if not all(type(size) is int and size > 0 for size in sizes):
            message = f"{name}: the shape of {key} is no list of sizes, as in [1, 3, 224, 224]"
            raise document.error(place, message)
    return {str(key): tuple(shape) for key, shape in told.items()}


def _columns(document: Document, name: str, told: Any) -> dict[str, float]:
    place = (name, "columns")
    if not isinstance(told, dict):
        raise document.error(place, f"{name}: columns maps names to numbers, as in {{top1: 76.1}}")
    for key, value in told.items():
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", key):
            raise document.error(place, f"{name}: {str(key)[:60]!r} is no name for a column")
        if key in COLUMNS:
            raise document.error(place, f"{name}: the column {key} is the table's own")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise document.error(place, f"{name}: {key} is {str(value)[:60]!r}, which is no number")
    return {key: float(value) for key, value in told.items()}


def parse_shapes(options: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """What --input-shape says, as in image=1,3,224,224; of a model with one input 1,3,224,224.

    Raises:
        UserError: it is no such thing.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for option in options:
        name, _, sizes = option.rpartition("=")
        parts = sizes.split(",")
        if not all(part.isascii() and part.isdecimal() and len(part) < 12 for part in parts):
            message = f"--input-shape must be NAME=SIZES, as in image=1,3,224,224, not {option!r}"
            raise UserError(message)
        shapes[name] = tuple(map(int, parts))
    return shapes
