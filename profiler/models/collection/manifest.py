"""Manifests: YAML files that list models, with what is to be known of each of them.

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
from pathlib import Path
from typing import Any

from compofa.common.csv_lines import check_text
from compofa.common.errors import UserError, suggestion
from compofa.common.yaml_lines import Document, read_yaml
from compofa.profiler.models.collection.collection import GivenModel, InputShapes
from compofa.profiler.models.user_files.read_model import format_of
from compofa.profiler.results.table import COLUMNS

KEYS = ("file", "files", "inputs", "input_data", "expected", "columns")


def read_manifest(path: Path) -> list[GivenModel]:
    """Reads the models in a manifest, which is a YAML file.

    Raises:
        UserError: the file is not a manifest; the message names the line.
    """
    document = read_yaml(path, "the manifest")
    if not isinstance(document.data, dict) or not document.data:
        raise UserError("a manifest maps names of models to their files", path=path, line=1)
    return [_entry(document, name) for name in document.data]


def _entry(document: Document, name: Any) -> GivenModel:
    place = (name,)
    if not isinstance(name, str):
        raise document.error(place, f"{name!r} is not a name for a model", "put it in quotes")
    try:
        check_text(name, "the name of a model")
    except ValueError as error:
        raise document.error(place, str(error)) from None
    told = document.data[name]
    told = {"file": told} if isinstance(told, str) else told
    if not isinstance(told, dict):
        raise document.error(place, f"{name} must be a file, or a mapping with the key file")
    for key in told:
        if key not in KEYS:
            hint = suggestion(str(key)[:60], list(KEYS))
            raise document.error((name, key), f"{name}: unknown key {str(key)[:60]!r}", hint)
    if ("file" in told) == ("files" in told):
        raise document.error(place, f"{name} needs either file or files")
    files = told.get("files", [told.get("file")])
    if not isinstance(files, list) or not files or not all(isinstance(each, str) for each in files):
        raise document.error(place, f"{name}: files must be a list of file names")
    folder = document.path.parent
    paths = tuple(folder / each for each in files)
    kinds = [format_of(each).name for each in paths]
    if len({*kinds}) < len(kinds):
        raise document.error(place, f"{name} has two files of the same format")
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
        raise document.error((name, key), f"{name}: {key} must be a file name")
    return document.path.parent / value


def _shapes(document: Document, name: str, told: Any) -> InputShapes:
    place = (name, "inputs")
    if not isinstance(told, dict):
        message = f"{name}: inputs must map names to shapes, as in {{x: [1, 3]}}"
        raise document.error(place, message)
    for key, shape in told.items():
        sizes = shape if isinstance(shape, list) else [None]
        if not all(type(size) is int and size > 0 for size in sizes):
            message = f"{name}: the shape of {key} must be a list of sizes, as in [1, 3, 224, 224]"
            raise document.error(place, message)
    return {str(key): tuple(shape) for key, shape in told.items()}


def _columns(document: Document, name: str, told: Any) -> dict[str, float]:
    place = (name, "columns")
    if not isinstance(told, dict):
        message = f"{name}: columns must map names to numbers, as in {{top1: 76.1}}"
        raise document.error(place, message)
    for key, value in told.items():
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", key):
            raise document.error(place, f"{name}: {str(key)[:60]!r} is not a name for a column")
        if key in COLUMNS:
            raise document.error(place, f"{name}: every table has a column {key} already")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise document.error(place, f"{name}: {key} must be a number, not {str(value)[:60]!r}")
    return {key: float(value) for key, value in told.items()}
