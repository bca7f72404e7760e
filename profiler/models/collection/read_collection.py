"""Reads a collection for one device: the files that it can run, and their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compofa.common.errors import UserError, suggestion
from compofa.profiler.models.collection.collection import Collection, GivenModel
from compofa.profiler.models.collection.host_outputs import host_runtime
from compofa.profiler.models.collection.user_model_file import Stamp, stamp_of
from compofa.profiler.models.network_cost.count_cost import count_cost
from compofa.profiler.models.user_files.model_inputs import (
    ModelInputs,
    draw_inputs,
    given_inputs,
    read_arrays,
)
from compofa.profiler.models.user_files.read_model import FILE_FORMATS, read_user_model
from compofa.profiler.models.user_files.user_model import UserModel
from compofa.profiler.results.journal import Failure, ModelLine, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.runtimes.runtime_registry import find_runtime, runtime_names
from compofa.profiler.transports.device import Device

INPUT_SEED = 0

MOST_SUGGESTED = 20


@dataclass(frozen=True)
class ReadModel:
    """A model that can be measured at one batch size.

    Attributes:
        given: the model as the user gave it.
        model: the description in its file, with the shapes that the user gave.
        inputs: the inputs that it is run on.
        stamps: the stamps of its files before they were read.
        line: its line in the journal.
    """

    given: GivenModel
    model: UserModel
    inputs: ModelInputs
    stamps: tuple[Stamp, ...]
    line: ModelLine


@dataclass(frozen=True)
class ReadCollection:
    """The models of a collection that one device can measure, and why it cannot measure the others.

    Attributes:
        models: the models by their cells, in the order of the collection.
        failures: the failures of cells that cannot be measured.
    """

    models: dict[Cell, ReadModel]
    failures: tuple[Failure, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells that can be measured."""
        return tuple(self.models)


def read_collection(
    collection: Collection, device: Device, batch_sizes: Sequence[int]
) -> ReadCollection:
    """Reads the files of a collection that `device` can run.

    Args:
        collection: the collection.
        device: the device, whose runtime determines which file of a model is used.
        batch_sizes: the batch sizes of models whose files leave it open.

    Raises:
        UserError: no model can be measured (the message says why for the first), or a shape is
            given for an input that no model has.
    """
    unused = set(collection.shapes)
    alike: dict[str, bytes] = {}
    models: dict[Cell, ReadModel] = {}
    failures: list[Failure] = []
    first: UserError | None = None
    for given in collection.models:
        try:
            model, stamps = _read_file(given, device.runtime)
            unused -= {spec.name for spec in model.inputs} | {""}
            sized = _sized(collection, given, model, stamps, batch_sizes)
            if not device.tells_outputs:
                _check_told_by_file(given, model, sized)
            for cell, each in sized.items():
                # Models with inputs alike are run on the same bytes, which are kept once.
                inputs = alike.setdefault(each.line.inputs_sha256, each.inputs.content)
                kept = replace(each, inputs=replace(each.inputs, content=inputs))
                models[cell] = _for_device(kept, device)
        except UserError as error:
            first = first or error
            cell = Cell(collection.name, given.name, 0, 1)
            reason = str(error).replace(f"{given.files[0].parent}/", "")
            failures.append(Failure(0, cell, reason, True, "", utc_now()))
    if unused and not failures:
        known = {spec.name for each in models.values() for spec in each.model.inputs}
        name = min(unused)
        hint = suggestion(name[:60], sorted(known)[:MOST_SUGGESTED])
        raise UserError(f"no model has an input {name[:60]!r}", hint=hint)
    if not models and first is not None:
        raise first
    return ReadCollection(models, tuple(failures))


def _read_file(given: GivenModel, runtime: str) -> tuple[UserModel, tuple[Stamp, ...]]:
    path = fitting_file(given, runtime)
    stamps_before = stamp_of(path)
    model = read_user_model(path, given.name)
    stamps = tuple(
        stamps_before if part.path == path else stamp_of(part.path) for part in model.parts
    )
    return model, stamps


def _sized(
    collection: Collection,
    given: GivenModel,
    model: UserModel,
    stamps: tuple[Stamp, ...],
    batch_sizes: Sequence[int],
) -> dict[Cell, ReadModel]:
    known = {spec.name for spec in model.inputs} | {""}
    everywhere = {name: shape for name, shape in collection.shapes.items() if name in known}
    model = model.with_shapes({**given.shapes, **everywhere})
    read: dict[Cell, ReadModel] = {}
    for inputs in _inputs(given, model, batch_sizes):
        sized = replace(model, inputs=inputs.tensors)
        batch_size = sized.batch_size or 1
        cell = Cell(collection.name, given.name, sized.resolution, batch_size)
        line = _line(cell, given, sized, inputs)
        read[cell] = ReadModel(given, sized, inputs, stamps, line)
    return read


def _check_told_by_file(
    given: GivenModel, model: UserModel, sized: Mapping[Cell, ReadModel]
) -> None:
    """Refuses what a device cannot be told that runs a model on inputs of its own.

    Raises:
        UserError: inputs are given, or a size that stands in no file.
    """
    hint = "a device whose agent is the one in Python takes any inputs"
    for name, value in (("input data", given.input_data), ("expected outputs", given.expected)):
        if value is not None:
            raise UserError(f"this device cannot be given {name}", path=model.path, hint=hint)
    for read in sized.values():
        for own, asked in zip(model.inputs, read.model.inputs, strict=True):
            sizes = zip(own.shape or (), asked.fixed or (), strict=True)
            if own.shape is None or any(left is None and size != 1 for left, size in sizes):
                message = f"this device runs a file at its own sizes, and {own} leaves one open"
                raise UserError(message, path=model.path, hint=hint)


def _for_device(read: ReadModel, device: Device) -> ReadModel:
    """`read`, with what its outputs are compared with on `device`: with nothing on some."""
    return read if device.tells_outputs else replace(read, line=replace(read.line, reference=""))


def fitting_file(given: GivenModel, runtime: str) -> Path:
    """The file of a model that `runtime` can run.

    Raises:
        UserError: it has no such file; the message names the runtimes that could run its files.
    """
    taken = find_runtime(runtime).model_files
    for suffix in taken:
        for path in given.files:
            if path.suffix.lower() == suffix:
                return path
    path = given.files[0]
    suffix = path.suffix.lower()
    able = [name for name in runtime_names() if suffix in find_runtime(name).model_files]
    if suffix not in {each.suffix for each in FILE_FORMATS} or not able:
        read_user_model(path)  # This raises an error that says what is wrong with the file.
    raise UserError(
        f"{runtime} runs {' and '.join(taken) or 'no'} files",
        path=path,
        hint=f"{' and '.join(able)} can run this one",
    )


def _inputs(given: GivenModel, model: UserModel, batch_sizes: Sequence[int]) -> list[ModelInputs]:
    """The inputs of the model, at each batch size to measure."""
    if not model.inputs:
        raise UserError("the model has no input", path=model.path)
    if given.input_data is not None:
        arrays = read_arrays(given.input_data, "the input data")
        return [given_inputs(model, arrays, given.input_data)]
    own = model.batch_size
    sizes = batch_sizes if own is None else (own,)
    return [draw_inputs(model, size, INPUT_SEED) for size in sizes]


def _line(cell: Cell, given: GivenModel, model: UserModel, inputs: ModelInputs) -> ModelLine:
    cost = count_cost(model)
    reference = host_runtime(model.format)
    told = f"{reference} on this computer" if reference else ""
    return ModelLine(
        cell=cell,
        file=model.path.name,
        format=model.format,
        sha256=model.sha256,
        size=model.size,
        inputs=tuple(f"{spec} {spec.dtype}" for spec in model.inputs),
        inputs_sha256=inputs.sha256,
        reference=given.expected.name if given.expected else told,
        macs=cost.macs,
        parameters=cost.parameters,
        weight_bytes=cost.weight_bytes,
        columns=dict(given.columns),
    )
