"""Computes the batch norm statistics of single subnets on some training images.

The running statistics of a supernet mix those of all the subnets that were trained, and fit none of
them (Cai et al., Once-for-All, ICLR 2020). A calibrated subnet gets its own: those of an ordinary
network in training mode for which all calibration images are one batch. They do not depend on how
the images are divided into batches. They are kept apart from the supernet, whose own buffers and
training mode have no influence.

All images pass through a layer before the next layer runs, because the next one depends on that
layer's statistics. The activations of all calibration images are therefore in memory: the outputs
of the nodes on the path to the current one in the tree, and the layers of one block
(`calibration_bytes` says how many bytes these are).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.supernet.blocks import Block, Conv, Layer
from compofa.supernet.elastic import convolve
from compofa.supernet.evaluation.prefix_tree import Node, prefix_tree, walk
from compofa.supernet.network import Network, WeightedLayer, activate, run_block, run_layer
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

BatchNormStatistics = Mapping[str, Tensor]
"""Means and variances by their names in a subnet's state dict, as `stem.bn.running_mean`."""

ImageBatches = Iterable[Tensor]
"""Batches of images, each [n, channels, height, width], all of one size."""


def calibrate(supernet: Supernet, subnet: Subnet, images: ImageBatches) -> BatchNormStatistics:
    """Computes the statistics of `subnet` on `images`, on the supernet's device.

    Raises:
        UserError: there are no images, or a statistic is not finite.
    """
    tree = prefix_tree(supernet.space, [subnet], supernet.space.resolutions[-1])
    return calibrate_tree(supernet, tree, images)[tree]


def calibrate_tree(
    supernet: Supernet, tree: Node, images: ImageBatches
) -> dict[Node, BatchNormStatistics]:
    """Computes the statistics of the blocks of each node in a tree of subnets.

    Each node runs once for all the subnets that share it.

    Raises:
        UserError: there are no images, or a statistic is not finite.
    """
    batches: Sequence[Tensor] = [placed(batch, supernet) for batch in images if len(batch)]
    if not batches:
        raise UserError("there are no images to calibrate batch norm on")
    by_node: dict[Node, BatchNormStatistics] = {}

    def run(node: Node, xs: Sequence[Tensor]) -> Sequence[Tensor]:
        statistics: dict[str, Tensor] = {}
        # All later layers depend on these statistics, which half precision would make inexact.
        with torch.no_grad(), torch.autocast(batches[0].device.type, enabled=False):
            for block in node.blocks:
                xs, of_block = _calibrate_block(supernet, block, xs)
                statistics |= of_block
        by_node[node] = statistics
        return xs

    for _ in walk(tree, batches, run):
        pass
    return by_node


def run_calibrated(
    supernet: Supernet, blocks: Iterable[Block], x: Tensor, statistics: BatchNormStatistics
) -> Tensor:
    """The output of `blocks` for `x` [n, channels, h, w], normalised by `statistics`.

    It is for inference only: batch norm is folded into the convolutions, and activations are
    computed in place.
    """

    def compute(layer: WeightedLayer, x: Tensor) -> Tensor:
        if not _is_normalised(layer):
            return supernet.run_layer(layer, x)
        mean, variance = (statistics[name] for name in _names(layer))
        scale, shift = supernet.norm(layer).scale_and_shift(mean, variance)
        weight = supernet.conv(layer).active_weight(layer) * scale[:, None, None, None]
        return activate(convolve(x, weight, shift, layer), layer.activation, inplace=True)

    for block in blocks:
        x = run_block(block, x, compute)
    return x


def extract_calibrated(supernet: Supernet, subnet: Subnet, images: ImageBatches) -> Network:
    """`subnet` as an ordinary network in evaluation mode, with its own statistics on `images`.

    Raises:
        UserError: the subnet is not of this space, there are no images, or a statistic is not
            finite.
    """
    network = supernet.extract(subnet)
    network.load_state_dict(calibrate(supernet, subnet, images), strict=False)
    return network.eval()


def placed(images: Tensor, supernet: Supernet) -> Tensor:
    """Images on the supernet's device, as float32 with channels last for faster convolutions."""
    # With one channel, torch considers any layout to be channels last and would keep it.
    target = torch.empty(
        images.shape,
        dtype=torch.float32,
        device=device_of(supernet),
        memory_format=torch.channels_last,
    )
    return target.copy_(images, non_blocking=True)


def device_of(supernet: Supernet) -> torch.device:
    """The device of the supernet's weights."""
    return next(supernet.parameters()).device


def calibration_bytes(tree: Node) -> int:
    """The most bytes of activations in memory during `calibrate_tree`, per calibration image."""
    first = tree
    while not first.blocks:
        first = first.children[0]
    return 4 * _most_elements(tree, first.blocks[0].layers[0].input.elements)


def _most_elements(node: Node, held: int) -> int:
    """The most numbers in memory while `node` and those below it run, with `held` before them."""
    most, given = held, 0
    for block in node.blocks:
        made = sum(layer.output.elements for layer in block.layers)
        most = max(most, held + given + made)
        given = block.layers[-1].output.elements
    return max([most, *(_most_elements(child, held + given) for child in node.children)])


def _calibrate_block(
    supernet: Supernet, block: Block, xs: Sequence[Tensor]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Runs `block` for all batches; returns its outputs and the statistics of its layers."""
    statistics: dict[str, Tensor] = {}
    values = [{block.layers[0].sources[0]: x} for x in xs]
    for layer in block.layers:
        inputs = [[value[source] for source in layer.sources] for value in values]
        if _is_normalised(layer):
            outputs, of_layer = _calibrate_conv(supernet, layer, [x for (x,) in inputs])
            statistics |= of_layer
        else:
            outputs = [run_layer(layer, each, supernet.run_layer) for each in inputs]
        for value, output in zip(values, outputs, strict=True):
            value[layer.name] = output
    return [value[block.layers[-1].name] for value in values], statistics


def _calibrate_conv(
    supernet: Supernet, layer: Conv, xs: Sequence[Tensor]
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Runs a convolution with batch norm for all batches; returns its outputs and statistics."""
    outputs = [supernet.conv(layer)(x, layer) for x in xs]
    mean, variance = moments(outputs)
    if not (mean.isfinite().all() and variance.isfinite().all()):
        raise UserError(
            f"layer {layer.name} gives numbers that are not finite",
            hint="the weights are damaged, or the images to calibrate batch norm on",
        )
    norm = supernet.norm(layer)
    scale, shift = (each[:, None, None] for each in norm.scale_and_shift(mean, variance))
    outputs = [activate(y.mul_(scale).add_(shift), layer.activation, inplace=True) for y in outputs]
    return outputs, dict(zip(_names(layer), (mean, variance), strict=True))


def moments(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel over all batches together, as float32 [channels].

    The variance is the sum of the variance within batches and that of their means, weighted by the
    sizes of the batches (Chan et al., Updating formulae and a pairwise algorithm for computing
    sample variances, 1979).

    Args:
        batches: activations, [n, channels, h, w] each; n, h and w may differ.
    """
    sizes = [batch.numel() / batch.shape[1] for batch in batches]
    weights = torch.tensor(sizes, dtype=torch.float64, device=batches[0].device) / sum(sizes)
    per_batch = [_mean_and_variance(batch) for batch in batches]
    means, within = (torch.stack(each).double() for each in zip(*per_batch, strict=True))
    mean = weights @ means
    variance = weights @ (within + (means - mean) ** 2)
    return mean.float(), variance.float()


def _mean_and_variance(batch: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of one batch."""
    # This is ten times as fast as torch.var_mean on a CPU; the normalised batch is not used. The
    # tiny epsilon does not change variances, but avoids 0 / 0 in a constant channel.
    _, mean, scale = torch.native_batch_norm(batch, None, None, None, None, True, 0, 1e-30)
    return mean, scale.double() ** -2


def _is_normalised(layer: Layer) -> TypeGuard[Conv]:
    """Whether a layer is a convolution with batch norm."""
    return isinstance(layer, Conv) and layer.batch_norm


def _names(layer: Conv) -> tuple[str, str]:
    """The names of its mean and variance in a subnet's state dict."""
    return f"{layer.name}.bn.running_mean", f"{layer.name}.bn.running_var"
