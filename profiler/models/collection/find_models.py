"""Finding the models of a collection: in files, folders and manifests that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compofa.common.csv_lines import LONGEST_TEXT, check_text
from compofa.common.errors import UserError
from compofa.profiler.models.collection.collection import Collection, GivenModel
from compofa.profiler.models.collection.manifest import read_manifest
from compofa.profiler.models.user_files.read_model import FILE_FORMATS
from compofa.supernet.spaces import SPACES

MOST_MODELS = 10_000


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


def collection_of(name: str, files: Sequence[Path], places: Sequence[Path]) -> Collection:
    """The models in `files`, and in folders and manifests.

    Args:
        name: of the collection.
        files: each a model, named by its file.
        places: folders of such files, in which two of one name and different formats are one
            model; manifests, which are YAML files; and model files.

    Raises:
        UserError: there are none, two of one name, or a folder or manifest cannot be read.
    """
    models = [GivenModel(_named(path), (path,)) for path in files]
    for place in places:
        models += _models_in(place)
    if not models:
        where = ", ".join(map(str, places))
        known = ", ".join(each.suffix for each in FILE_FORMATS)
        raise UserError(f"there are no model files in {where}", hint=f"they end in {known}")
    if len(models) > MOST_MODELS:
        raise UserError(f"{len(models):,} models are more than {MOST_MODELS:,}")
    known_as: dict[str, Path] = {}
    for model in models:
        if model.name in known_as:
            raise UserError(
                f"two models are called {model.name}: {known_as[model.name]} and {model.files[0]}",
                hint="a manifest, --models FILE.yaml, gives each a name of its own",
            )
        known_as[model.name] = model.files[0]
    return Collection(name, tuple(models))


def _named(path: Path) -> str:
    """What a model is called by its file's name; what a table cannot hold is replaced."""
    shown = "".join(each if each.isprintable() else "_" for each in path.stem)
    name = shown.strip()[:LONGEST_TEXT]
    return name or "_"


def _models_in(place: Path) -> list[GivenModel]:
    """What a folder, a manifest or a model file holds; of a folder not what folders in it hold."""
    suffixes = {each.suffix for each in FILE_FORMATS}
    if place.suffix.lower() in suffixes:
        return [GivenModel(_named(place), (place,))]
    if not place.is_dir():
        return read_manifest(place)
    found: dict[str, list[Path]] = {}
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            found.setdefault(_named(path), []).append(path)
    return [GivenModel(name, tuple(paths)) for name, paths in found.items()]


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
