"""Reads the images on which quantisation is calibrated, from an .npz file or a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compofa.common.arrays import Float32Array, read_npz
from compofa.common.errors import MissingExtra, UserError
from compofa.supernet.data.formats.folder import SUFFIXES, list_pictures
from compofa.supernet.data.images import UnreadableImage, UnreadablePictures, unreadable_image
from compofa.supernet.graph import Graph
from compofa.supernet.preprocessing import Preprocessing, preprocessing

MOST_PICTURES = 256
"""The most pictures used of a folder, at even distances. With more, ranges hardly change."""

LARGEST = 2 * 1024**3
"""Bytes of an .npz file when unpacked. Larger files are refused."""


def calibration_batches(path: Path, graph: Graph, batch_size: int) -> list[Float32Array]:
    """Reads images as inputs of `graph`, float32 [batch_size, channels, height, width] each.

    Args:
        path: an .npz file with one array of preprocessed images [n, channels, height, width], or a
            folder of pictures, which are preprocessed as for evaluation. Subfolders count too.
        graph: the graph that gets the inputs.
        batch_size: the number of images in a batch. The last batch is filled up with the first
            images if necessary.

    Raises:
        UserError: the images cannot be read, or do not fit the input of the graph.
        MissingExtra: pictures need pillow, which is not installed.
    """
    images = _pictures(path, graph) if path.is_dir() else _array(path, graph)
    order = np.resize(np.arange(len(images)), -(-len(images) // batch_size) * batch_size)
    return [images[order[i : i + batch_size]] for i in range(0, len(order), batch_size)]


def _array(path: Path, graph: Graph) -> Float32Array:
    """The images in an .npz file."""
    arrays = read_npz(path, "the calibration file", LARGEST)
    if len(arrays) != 1:
        message = f"the calibration file has {len(arrays)} arrays instead of one of images"
        raise UserError(message, path=path)
    (images,) = arrays.values()
    if images.ndim != 4 or images.shape[1:] != graph.input or not len(images):
        given, wanted = _sizes(images.shape), _sizes(("n", *graph.input))
        message = f"the array of images is {given}, but the subnet needs {wanted}"
        raise UserError(message, path=path)
    if not np.issubdtype(images.dtype, np.floating) or not np.isfinite(images).all():
        message = "the images are not preprocessed: their values must be finite floats"
        raise UserError(message, path=path)
    inputs: Float32Array = images.astype(np.float32, copy=False)
    return inputs


def _sizes(shape: tuple[object, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _pictures(folder: Path, graph: Graph) -> Float32Array:
    """The preprocessed pictures below `folder`, without those that cannot be read."""
    channels = graph.space.in_channels
    steps = preprocessing(channels)
    if steps is None:
        message = f"it is not known how to make {channels} input channels of pictures"
        raise UserError(message, path=folder, hint="give an .npz file")
    pictures = list_pictures(folder)
    if not pictures:
        raise UserError(
            "the folder has no pictures", path=folder, hint=f"such as {', '.join(SUFFIXES[:3])}"
        )
    count = min(len(pictures), MOST_PICTURES)
    taken = np.linspace(0, len(pictures) - 1, count).round().astype(int)
    unreadable = UnreadablePictures()
    images = []
    for i in taken:
        try:
            images.append(_picture(folder / pictures[i], steps, graph.resolution))
        except UnreadableImage as error:
            unreadable.add(str(error))
    if not images:
        raise UserError("none of the pictures can be read", path=folder)
    return np.stack(images)


def _picture(path: Path, steps: Preprocessing, resolution: int) -> Float32Array:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("pillow", "quantise") from None
    try:
        with Image.open(path) as picture:
            return steps.apply(picture, resolution)
    except Exception as error:
        # On damaged files, decoders may raise any kind of error.
        raise unreadable_image(str(path), error) from error
