"""A user's models for one device: read once, checked against this computer, and handed out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compofa.common.console import without_homes
from compofa.common.errors import DeviceError, UserError, file_error
from compofa.common.scratch import Scratch
from compofa.profiler.models.model_store import ModelFile, Models, ModelStore, UnusableModel
from compofa.profiler.models.user_files.collection import Collection, GivenModel
from compofa.profiler.models.user_files.host_outputs import host_outputs, host_runtime
from compofa.profiler.models.user_files.model_inputs import (
    ModelInputs,
    draw_inputs,
    given_inputs,
    read_arrays,
)
from compofa.profiler.models.user_files.network_cost import count_cost
from compofa.profiler.models.user_files.read_model import FILE_FORMATS, read_user_model
from compofa.profiler.models.user_files.user_model import UserModel
from compofa.profiler.models.user_files.user_model_file import (
    Stamp,
    UserModelFile,
    samples_of,
    stamp_of,
)
from compofa.profiler.results.journal import Failure, ModelLine, utc_now
from compofa.profiler.results.table import Cell
from compofa.profiler.runtimes.runtime_registry import find_runtime, runtime_names
from compofa.profiler.transports.agent_client import OutputSample
from compofa.profiler.transports.device import Device
from compofa.supernet.export.dtype import Dtype

INPUT_SEED = 0


@dataclass(frozen=True)
class ReadModel:
    """A model that can be measured at one batch size.

    Attributes:
        given: what the user said of it.
        model: what its file says, with the shapes that the user said.
        inputs: what it is run on.
        stamps: of its files before they were read.
        line: what the journal says of it.
    """

    given: GivenModel
    model: UserModel
    inputs: ModelInputs
    stamps: tuple[Stamp, ...]
    line: ModelLine


@dataclass(frozen=True)
class ReadCollection:
    """What can be measured of a collection on one device, and why the rest cannot.

    Attributes:
        models: by their cells, in the order of the collection.
        failures: cells that fail before any session.
    """

    models: dict[Cell, ReadModel]
    failures: tuple[Failure, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Those that can be measured."""
        return tuple(self.models)


def read_collection(
    collection: Collection, device: Device, batch_sizes: Sequence[int]
) -> ReadCollection:
    """Reads the files of a collection that `device` can run.

    Args:
        collection: whose models those are.
        device: takes of each model the file that fits its runtime.
        batch_sizes: of models whose files leave it open; all others have their own.

    Raises:
        UserError: none of them can be measured; says why of the first.
    """
    models: dict[Cell, ReadModel] = {}
    failures: list[Failure] = []
    first: UserError | None = None
    for given in collection.models:
        try:
            models |= _read(collection.name, given, device, batch_sizes)
        except UserError as error:
            first = first or error
            cell = Cell(collection.name, given.name, 0, 1)
            reason = str(error).replace(f"{given.files[0].parent}/", "")
            failures.append(Failure(0, cell, reason, True, "", utc_now()))
    if not models and first is not None:
        raise first
    return ReadCollection(models, tuple(failures))


def _read(
    collection: str, given: GivenModel, device: Device, batch_sizes: Sequence[int]
) -> dict[Cell, ReadModel]:
    path = fitting_file(given, device.runtime)
    stamps_before = stamp_of(path)
    model = read_user_model(path, given.name)
    stamps = tuple(
        stamps_before if part.path == path else stamp_of(part.path) for part in model.parts
    )
    known = {spec.name for spec in model.inputs} | {""}
    model = model.with_shapes({n: shape for n, shape in given.shapes.items() if n in known})
    read: dict[Cell, ReadModel] = {}
    for inputs in _inputs(given, model, batch_sizes):
        sized = replace(model, inputs=inputs.tensors)
        batch_size = sized.batch_size or 1
        cell = Cell(collection, given.name, sized.resolution, batch_size)
        line = _line(cell, given, sized)
        read[cell] = ReadModel(given, sized, inputs, stamps, line)
    return read


def fitting_file(given: GivenModel, runtime: str) -> Path:
    """The file of a model that `runtime` takes.

    Raises:
        UserError: it has none; names what would take its files.
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
        read_user_model(path)  # which says what is wrong with it
    raise UserError(
        f"{runtime} takes {' and '.join(taken) or 'no'} files",
        path=path,
        hint=f"{' and '.join(able)} would run this one",
    )


def _inputs(given: GivenModel, model: UserModel, batch_sizes: Sequence[int]) -> list[ModelInputs]:
    """What the model is run on, at each batch size that it can have."""
    if not model.inputs:
        raise UserError("the model has no input", path=model.path)
    if given.input_data is not None:
        arrays = read_arrays(given.input_data, "the input data")
        return [given_inputs(model, arrays, given.input_data)]
    own = model.batch_size
    sizes = batch_sizes if own is None else (own,)
    return [draw_inputs(model, size, INPUT_SEED) for size in sizes]


def _line(cell: Cell, given: GivenModel, model: UserModel) -> ModelLine:
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
        reference=given.expected.name if given.expected else told,
        macs=cost.macs,
        parameters=cost.parameters,
        weight_bytes=cost.weight_bytes,
        columns=dict(given.columns),
    )


class UserModelStore(Models):
    """Hands out the models of a collection, and the reference model, which it has built.

    Args:
        read: the collection, as one device takes it.
        built: where the reference model comes from; closed with this store.
        dtype: that the device computes in.

    Attributes:
        unchecked: why the outputs of models are compared with nothing, by name.
    """

    def __init__(self, read: ReadCollection, built: ModelStore, dtype: Dtype) -> None:
        self._read, self._built, self._dtype = read, built, dtype
        self._scratch = Scratch()
        self._files: dict[Cell, UserModelFile] = {}
        self.unchecked: dict[str, str] = {}

    def model(self, cell: Cell) -> ModelFile:
        """See `Models.model`."""
        read = self._read.models.get(cell)
        if read is None:
            return self._built.model(cell)
        if cell not in self._files:
            self._files[cell] = self._make(read)
        return self._files[cell]

    def _make(self, read: ReadModel) -> UserModelFile:
        input_file = self._scratch.path / read.inputs.sha256
        if not input_file.exists():
            try:
                input_file.write_bytes(read.inputs.content)
            except OSError as error:
                raise file_error(error, input_file, "cannot keep the inputs") from None
        file = UserModelFile(
            path=read.model.parts[0].path,
            sha256=read.model.sha256,
            output=None,
            output_size=0,
            dtype=self._dtype,
            model=read.model,
            inputs=read.inputs,
            input_file=input_file,
            stamps=read.stamps,
            expected=None,
        )
        file.check_unchanged()
        return replace(file, expected=self._expected(read, file))

    def _expected(self, read: ReadModel, file: UserModelFile) -> tuple[OutputSample, ...] | None:
        """What the model should compute; None, and a reason in `unchecked`, if nobody knows."""
        if read.given.expected is not None:
            return _given_outputs(read.model, read.given.expected)
        if not read.line.reference:
            shown = next(each.shown for each in FILE_FORMATS if each.name == read.model.format)
            self.unchecked[read.given.name] = f"nothing on this computer runs {shown} files"
            return None
        try:
            return host_outputs(file)
        except DeviceError as error:
            self.unchecked[read.given.name] = f"it cannot be run on this computer: {error.message}"
            return None

    @property
    def caveats(self) -> tuple[str, ...]:
        """What casts doubt on measurements, as journals have it."""
        return tuple(
            f"{name}: its outputs were not checked: {without_homes(why)}"
            for name, why in self.unchecked.items()
        )

    def close(self) -> None:
        """See `Closing.close`."""
        self._scratch.close()
        self._built.close()


def _given_outputs(model: UserModel, path: Path) -> tuple[OutputSample, ...]:
    """The arrays of the user's file in the order of the model's outputs."""
    try:
        arrays = read_arrays(path, "the expected outputs")
    except UserError as error:
        raise UnusableModel(str(error)) from None
    names = [spec.name for spec in model.outputs]
    if set(arrays) == set(names):
        return samples_of([arrays[name] for name in names])
    if len(arrays) != len(names):
        known = ", ".join(names)
        raise UnusableModel(f"{path} has {len(arrays)} arrays, and the model computes {known}")
    return samples_of(list(arrays.values()))
