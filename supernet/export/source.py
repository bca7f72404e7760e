"""The source of the weights of an exported subnet: a checkpoint, or a random seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.common.errors import UserError, require_package
from compofa.common.files import sha256
from compofa.supernet.defaults import DEFAULT_SPACE
from compofa.supernet.evaluation.evaluation_options import EvaluationOptions
from compofa.supernet.graph import Graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import get_space

if TYPE_CHECKING:
    from compofa.supernet.export.weights import Weights
    from compofa.supernet.supernet import Supernet

MIXED = (
    "note: the batch norm statistics of this checkpoint mix those of all its subnets, which costs "
    "accuracy: --data DATA computes those of the exported subnet from a data set"
)


@dataclass(frozen=True)
class WeightSource:
    """The weights of a checkpoint, or random weights.

    Attributes:
        space: the space of the subnets.
        supernet: the supernet of the checkpoint; None for random weights.
        seed: the seed of random weights.
        checkpoint: the file of the checkpoint; None for random weights.
        checkpoint_sha256: the digest of that file.
        data: the data set from which the batch norm statistics of each subnet are computed; None to
            use those in the checkpoint.
        mixed: whether the statistics in the checkpoint mix those of many subnets.
    """

    space: Space
    supernet: Supernet | None
    seed: int
    checkpoint: Path | None = None
    checkpoint_sha256: str | None = None
    data: Path | None = None
    mixed: bool = False

    @property
    def remark(self) -> str | None:
        """A note for the user about the batch norm statistics; None if they are the subnet's."""
        return MIXED if self.mixed and self.data is None else None

    def weights(self, graph: Graph) -> Weights:
        """The folded weights of the subnet of `graph`.

        With `data`, the batch norm statistics are those with which `compofa-train evaluate`
        measures the subnet, so that the exported subnet is as accurate as the table says.

        Raises:
            UserError: the data cannot be read, does not fit the space, or has changed since the
                checkpoint was trained.
        """
        from compofa.supernet.export.weights import folded_weights, random_weights

        if self.supernet is None or self.checkpoint is None:
            return random_weights(graph, self.seed)
        if self.data is None:
            return folded_weights(self.supernet, graph.subnet)
        options = EvaluationOptions(self.checkpoint, self.data)
        statistics = options.statistics(self.supernet, graph.subnet, graph.resolution)
        return folded_weights(self.supernet, graph.subnet, statistics)


def open_source(
    space: str | None, checkpoint: Path | None, seed: int = 0, data: Path | None = None
) -> WeightSource:
    """Opens the space and the weights that the options of a command name.

    Args:
        space: the name or the file of the space; None for that of the checkpoint, or for the
            default space without a checkpoint.
        checkpoint: a checkpoint of this toolkit; None for random weights.
        seed: the seed of random weights.
        data: see `WeightSource`.

    Raises:
        UserError: the checkpoint cannot be read or is of another space, or data is given without a
            checkpoint.
        MissingExtra: a checkpoint needs torch, which is not installed.
    """
    if checkpoint is None:
        if data is not None:
            raise UserError("--data can only be given together with --checkpoint")
        return WeightSource(get_space(space or DEFAULT_SPACE), None, seed)
    asked = None if space is None else get_space(space)
    require_package("torch", "train")
    from compofa.supernet.checkpoints.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    trained = loaded.supernet.space
    # The resolutions of a space are those of its tables. Its weights do not depend on them.
    if asked is not None and replace(asked, resolutions=trained.resolutions) != trained:
        other = "another definition of it" if asked.name == trained.name else asked.name
        message = f"the checkpoint is of space {trained.name}, but --space is {other}"
        raise UserError(message, path=checkpoint)
    digest = sha256(checkpoint.read_bytes())
    return WeightSource(trained, loaded.supernet, seed, checkpoint, digest, data, loaded.mixed)
