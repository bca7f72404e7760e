"""Pictures in one folder per class, as in ImageNet. A class's folder may have subfolders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from compofa.common.errors import UserError, file_error, suggestion
from compofa.supernet.data.images import FileImages, listing_digest

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".gif", ".tif", ".tiff")
"""The suffixes of files that are read as pictures."""


class FolderImages(FileImages):
    """The pictures below a folder that has one folder per class.

    Attributes:
        folder: the folder.
        classes: the names of the classes, in the order of the labels.
    """

    def __init__(self, folder: Path, classes: Sequence[str], names: Sequence[list[str]]) -> None:
        """Takes the pictures of each class, as paths that `list_pictures` returns."""
        self.folder = folder
        self.classes = tuple(classes)
        self.labels = np.repeat(np.arange(len(names)), [len(each) for each in names])
        # An array of bytes, because a million Python strings would be copied into every worker.
        self._names = np.array([os.fsencode(name) for each in names for name in each], dtype="S")

    def name(self, position: int) -> str:
        """The path of the picture."""
        return str(self._path(position))

    def content(self, position: int) -> bytes:
        """The content of the picture's file."""
        return self._path(position).read_bytes()

    @cached_property
    def digest(self) -> str:
        """A digest of the paths below the folder and their labels."""
        return listing_digest([os.fsdecode(name) for name in self._names], self.labels)

    def _path(self, position: int) -> Path:
        name = os.fsdecode(self._names[position])
        return self.folder / self.classes[int(self.labels[position])] / name


def class_folders(folder: Path) -> list[str]:
    """The sorted names of the folders in `folder`, without hidden ones.

    Raises:
        UserError: the folder cannot be listed.
    """
    try:
        return sorted(entry.name for entry in os.scandir(folder) if _is_class(entry))
    except OSError as error:
        raise file_error(error, folder, "cannot list the images") from None


def folder_images(
    folder: Path, classes: Sequence[str] | None = None, *, all_classes: bool = True
) -> FolderImages:
    """Lists the pictures below `folder`.

    Args:
        folder: a folder with one folder per class.
        classes: the names of all classes; None for the names of the folders.
        all_classes: whether every class must have pictures.

    Raises:
        UserError: a class has no pictures, or a folder's name is not that of a class.
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
    """The sorted paths, relative to `folder`, of the pictures in it and in its subfolders.

    Hidden files and folders are left out. Links to folders are not followed, but `folder` itself
    may be one.

    Args:
        folder: the folder to search.
        nested: whether to search its subfolders too.

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
