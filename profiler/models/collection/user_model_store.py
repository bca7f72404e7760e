"""A user's models for one device: checked against this computer, and handed out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compofa.common.console import without_homes
from compofa.common.errors import DeviceError, UserError, file_error
from compofa.common.scratch import Scratch
from compofa.profiler.models.collection.host_outputs import host_outputs
from compofa.profiler.models.collection.read_collection import ReadCollection, ReadModel
from compofa.profiler.models.collection.user_model_file import UserModelFile, samples_of
from compofa.profiler.models.model_store import ModelFile, Models, UnusableModel
from compofa.profiler.models.user_files.model_inputs import read_arrays
from compofa.profiler.models.user_files.read_model import FILE_FORMATS
from compofa.profiler.models.user_files.user_model import UserModel
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.agent_client import OutputSample
from compofa.profiler.transports.device import Device


class UserModelStore(Models):
    """Hands out the models of a collection, and the reference model, which it has built.

    Args:
        read: the collection, as one device takes it.
        built: where the reference model comes from; closed with this store.
        device: says in which dtype it computes, and whether it tells what models compute.

    Attributes:
        unchecked: why the outputs of models are compared with nothing, by name.
    """

    def __init__(self, read: ReadCollection, built: Models, device: Device) -> None:
        self._read, self._built, self._device = read, built, device
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
            dtype=self._device.dtype,
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
        if not self._device.tells_outputs:
            self.unchecked[read.given.name] = "what runs on the device does not tell them"
            return None
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
