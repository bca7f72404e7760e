"""Images by which quantisation learns the range of activations: an .npz file, or a folder."""

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
"""Of a folder with more, as many are taken, evenly spaced: ranges hardly change beyond."""

LARGEST = 2 * 1024**3
"""Bytes of an .npz file once unpacked; larger ones are refused."""


def calibration_batches(path: Path, graph: Graph, batch_size: int) -> list[Float32Array]:
    """Inputs of `graph`, [batch_size, channels, height, width] float32 each.

    Args:
        path: an .npz file with one array of preprocessed images [n, channels, height, width], or a
            folder of pictures, at any depth, which are preprocessed as for evaluation.
        graph: what they are the inputs of.
        batch_size: images of a batch; the last one begins again with the first images if need be.

    Raises:
        UserError: they cannot be read, or are not what the graph takes.
        MissingExtra: pictures need pillow, and it is not installed.
    """
    images = _pictures(path, graph) if path.is_dir() else _array(path, graph)
    order = np.resize(np.arange(len(images)), -(-len(images) // batch_size) * batch_size)
    return [images[order[i : i + batch_size]] for i in range(0, len(order), batch_size)]


def _array(path: Path, graph: Graph) -> Float32Array:
    """The images in an .npz file."""
    arrays = read_npz(path, "the calibration file", LARGEST)
    if len(arrays) != 1:
        raise UserError(f"it has {len(arrays)} arrays, not one of images", path=path)
    (images,) = arrays.values()
    if images.ndim != 4 or images.shape[1:] != graph.input or not len(images):
        given, wanted = _sizes(images.shape), _sizes(("n", *graph.input))
        raise UserError(f"it has images of {given}, the subnet takes {wanted}", path=path)
    if not np.issubdtype(images.dtype, np.floating) or not np.isfinite(images).all():
        raise UserError("its images are not preprocessed: not floats, or not finite", path=path)
    inputs: Float32Array = images.astype(np.float32, copy=False)
    return inputs


def _sizes(shape: tuple[object, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _pictures(folder: Path, graph: Graph) -> Float32Array:
    """The pictures below `folder`, preprocessed; those that cannot be read are left out."""
    channels = graph.space.in_channels
    steps = preprocessing(channels)
    if steps is None:
        message = f"how pictures become {channels} input channels is not known: give an .npz file"
        raise UserError(message, path=folder)
    pictures = list_pictures(folder)
    if not pictures:
        raise UserError(
            "it has no pictures", path=folder, hint=f"such as {', '.join(SUFFIXES[:3])}"
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
        raise UserError("none of its pictures can be read as one", path=folder)
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
        # On damaged files decoders raise whatever they stumble over.
        raise unreadable_image(str(path), error) from error
