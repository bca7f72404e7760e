"""A collection's model files on their way to a host of a cluster, which has none of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from compofa.common.errors import CompofaError, file_error
from compofa.profiler.models.collection.collection import Collection, GivenModel
from compofa.profiler.models.collection.read_collection import fitting_file
from compofa.profiler.models.user_files.read_model import read_user_model


def files_to_carry(collection: Collection, runtime: str) -> tuple[Collection, dict[str, Path]]:
    """What a host needs to measure a collection.

    Returns:
        The collection with paths that are relative to a folder of the host's, and the files that
        belong there, by those paths. A file that cannot be read is carried too: that it is not fit
        to be measured is told where it would be measured.
    """
    carried: dict[str, Path] = {}
    models = []
    for number, given in enumerate(collection.models):
        place = Path(str(number))
        for path, name in _files(given, runtime):
            carried[str(place / name)] = path
        models.append(
            replace(
                given,
                files=tuple(place / path.name for path in given.files),
                input_data=_carry(carried, place / "in.npz", given.input_data),
                expected=_carry(carried, place / "out.npz", given.expected),
            )
        )
    return replace(collection, models=tuple(models)), carried


def _carry(carried: dict[str, Path], name: Path, path: Path | None) -> Path | None:
    if path is None:
        return None
    carried[str(name)] = path
    return name


def _files(given: GivenModel, runtime: str) -> list[tuple[Path, Path]]:
    """The files of a model that a runtime takes, each with where it is beside the others."""
    try:
        path = fitting_file(given, runtime)
    except CompofaError:
        return []  # the host says the same, by the names alone
    try:
        parts = [part.path for part in read_user_model(path).parts]
    except CompofaError:
        parts = [path] if path.is_file() else []
    return [(part, part.relative_to(path.parent)) for part in parts]


def carried_collection(
    collection: Collection, folder: Path, contents: Iterable[tuple[str, bytes]]
) -> Collection:
    """The collection with its files in `folder`, where they are written.

    Raises:
        UserError: they cannot be written.
    """
    for name, content in contents:
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise file_error(error, path, "cannot keep a model file") from None
    models = tuple(
        replace(
            given,
            files=tuple(folder / path for path in given.files),
            input_data=given.input_data and folder / given.input_data,
            expected=given.expected and folder / given.expected,
        )
        for given in collection.models
    )
    return replace(collection, models=models)
