"""The user's model files of both sides, paired up by name and read for the devices they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from compofa.common.console import without_homes
from compofa.common.errors import UserError
from compofa.profiler.measurement.device_access import models_for
from compofa.profiler.models.collection.collection import Collection
from compofa.profiler.models.collection.find_models import collection_of
from compofa.profiler.models.collection.read_collection import read_collection
from compofa.profiler.models.collection.user_model_store import UserModelStore
from compofa.profiler.models.model_store import ModelFile, UnusableModel
from compofa.profiler.models.user_files.read_model import FILE_FORMATS
from compofa.profiler.results.table import Cell
from compofa.profiler.side_by_side.model_pairs import (
    FILES,
    SIDES,
    ModelPair,
    PairedModels,
    Unmeasured,
)
from compofa.profiler.transports.device import Device

MANIFESTS = (".yaml", ".yml")


def is_model_file(path: Path) -> bool:
    """Whether a path is named as model files are; a package is a folder that is one model."""
    return path.suffix.lower() in {each.suffix for each in FILE_FORMATS}


def given_models(place: Path) -> Collection:
    """The models at a place: a file, or all that a folder or a manifest has.

    Raises:
        UserError: there is no such file, it is no model by its name, or a folder has none.
    """
    if not place.exists():
        raise UserError("there is no such file or folder", path=place)
    several = not is_model_file(place) and (place.is_dir() or place.suffix.lower() in MANIFESTS)
    return collection_of(FILES, [] if several else [place], [place] if several else [])


@contextmanager
def paired_models(
    devices: tuple[Device, Device],
    base: Collection,
    new: Collection,
    tell: Callable[[str], None],
) -> Iterator[PairedModels]:
    """The models of two collections, by name; two collections of one model each are a pair.

    What they are run on, and what it takes besides, is kept until the end.

    Args:
        devices: that run the base and the new side.
        base, new: the models of each.
        tell: is told of what is not checked.

    Raises:
        UserError: no name is in both, or the only pair cannot be measured.
    """
    if len(base.models) == len(new.models) == 1:
        base = replace(base, models=(replace(base.models[0], name=new.models[0].name),))
    before, after = ([each.name for each in side.models] for side in (base, new))
    names = [name for name in after if name in before]
    if not names:
        raise UserError(
            f"no model is on both sides: the base has {', '.join(before[:5])}, the new side "
            f"{', '.join(after[:5])}"
        )
    with ExitStack() as stack:
        sides = [
            stack.enter_context(_Side.read(_only(collection, names), device, tell))
            for collection, device in zip((base, new), devices, strict=True)
        ]
        yield PairedModels(
            tuple(_pairs(names, *sides)),
            tuple(
                Unmeasured(Cell(FILES, name, 0, 1), which, reason)
                for which, side in zip(SIDES, sides, strict=True)
                for name, reason in side.failures.items()
            ),
            only_base=_cells(name for name in before if name not in after),
            only_new=_cells(name for name in after if name not in before),
        )


def _only(collection: Collection, names: Sequence[str]) -> Collection:
    return replace(
        collection, models=tuple(each for each in collection.models if each.name in names)
    )


def _cells(names: Iterator[str]) -> tuple[Cell, ...]:
    return tuple(Cell(FILES, name, 0, 1) for name in names)


@dataclass(frozen=True)
class _Side:
    """The models of one side, by name.

    Attributes:
        files: of those that can be measured.
        failures: why the others cannot.
    """

    files: dict[str, tuple[Cell, ModelFile]]
    failures: dict[str, str]

    @classmethod
    @contextmanager
    def read(
        cls, collection: Collection, device: Device, tell: Callable[[str], None]
    ) -> Iterator[_Side]:
        """Reads them for a device, at its batch size where a file leaves that open."""
        read = read_collection(collection, device, (device.batch_size,))
        failures = {each.cell.subnet: without_homes(each.reason) for each in read.failures}
        files: dict[str, tuple[Cell, ModelFile]] = {}
        with UserModelStore(read, models_for(device), device) as store:
            for cell in read.cells:
                try:
                    files[cell.subnet] = cell, store.model(cell)
                except UnusableModel as error:
                    if len(collection.models) == 1:
                        raise
                    failures[cell.subnet] = without_homes(error.message)
            for caveat in store.caveats:
                tell(caveat)
            yield cls(files, failures)


def _pairs(names: Sequence[str], base: _Side, new: _Side) -> Iterator[ModelPair]:
    for name in names:
        if name in base.files and name in new.files:
            # By the cell of the new side, where the size of an input has changed.
            cell, file = new.files[name]
            yield ModelPair(cell, base.files[name][1], file)
