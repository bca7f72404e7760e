"""Pictures in one folder a class, as ImageNet is laid out; each may have folders below it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from compofa.common.errors import UserError, file_error, suggestion
from compofa.supernet.data.images import FileImages, listing_digest

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".gif", ".tif", ".tiff")
"""Of files that are taken for pictures."""


class FolderImages(FileImages):
    """The pictures below one folder.

    Attributes:
        folder: has one folder a class.
        classes: their names, in the order of the labels.
    """

    def __init__(self, folder: Path, classes: Sequence[str], names: Sequence[list[str]]) -> None:
        """Takes the names of each class's pictures; `list_pictures` finds them."""
        self.folder = folder
        self.classes = tuple(classes)
        self.labels = np.repeat(np.arange(len(names)), [len(each) for each in names])
        # One array of bytes: a million Python strings would be copied into every worker.
        self._names = np.array([os.fsencode(name) for each in names for name in each], dtype="S")

    def name(self, position: int) -> str:
        """Its path."""
        return str(self._path(position))

    def content(self, position: int) -> bytes:
        """The picture's file."""
        return self._path(position).read_bytes()

    @cached_property
    def digest(self) -> str:
        """Names the paths below the folder and their labels."""
        return listing_digest([os.fsdecode(name) for name in self._names], self.labels)

    def _path(self, position: int) -> Path:
        name = os.fsdecode(self._names[position])
        return self.folder / self.classes[int(self.labels[position])] / name


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, sorted; hidden ones are left out."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if _is_class(entry))
    except OSError as error:
        raise file_error(error, folder, "cannot list the images") from None


def folder_images(
    folder: Path, classes: Sequence[str] | None = None, *, all_classes: bool = True
) -> FolderImages:
    """The pictures below `folder`.

    Args:
        folder: has one folder a class.
        classes: the names of all classes; the folders that there are, if None.
        all_classes: whether every class has to have pictures.

    Raises:
        UserError: a class has no picture, or a folder is none of the classes.
    """
    folders = class_folders(folder)
    known = folders if classes is None else list(classes)
    unknown = [name for name in folders if name not in set(known)]
    if unknown:
        message = f"{unknown[0]!r} is not a class of the training images"
        raise UserError(message, path=folder, hint=suggestion(unknown[0], known[:20]))
    present = set(folders)
    names = [list_pictures(folder / name) if name in present else [] for name in known]
    empty = [name for name, each in zip(known, names, strict=True) if not each]
    if (empty and all_classes) or not any(names):
        raise _empty(folder, empty)
    return FolderImages(folder, known, names)


def list_pictures(folder: Path, *, nested: bool = True) -> list[str]:
    """The paths of the pictures in `folder` and the folders below it, as seen from it, sorted.

    Hidden files and folders are passed over. Links to folders are not followed, but `folder` may
    be one itself.

    Args:
        folder: where to look.
        nested: whether to look below it too.

    Raises:
        UserError: a folder cannot be listed.
    """
    pictures: list[tuple[str, ...]] = []
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(folder.joinpath(*place)))
        except OSError as error:
            raise file_error(error, folder.joinpath(*place), "cannot list the images") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting += [(*place, entry.name)] if nested else []
            elif entry.name.lower().endswith(SUFFIXES):
                pictures.append((*place, entry.name))
    return ["/".join(parts) for parts in sorted(pictures)]


def _is_class(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _empty(folder: Path, classes: list[str]) -> UserError:
    if not classes or list_pictures(folder, nested=False):
        return UserError("it has no class folders with pictures", path=folder)
    more = f" (and {len(classes) - 1} more)" if len(classes) > 1 else ""
    hint = "remove the folder, or put its pictures there"
    return UserError(f"the class {classes[0]!r}{more} has no pictures", path=folder, hint=hint)
