"""Where the weights of an exported subnet come from: a checkpoint, or a seed."""

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
    "accuracy: --data DATA takes the exported subnet's own from a data set"
)


@dataclass(frozen=True)
class WeightSource:
    """A checkpoint's supernet, or random weights.

    Attributes:
        supernet: None for random weights, which `seed` draws.
        checkpoint: its file; None without one.
        checkpoint_sha256: of that file.
        data: the data set that each subnet's own batch norm statistics are taken from; the
            checkpoint's where it is None.
        mixed: whether the checkpoint's statistics are those of many subnets.
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
        """What the user of an exported subnet should know about its statistics."""
        return MIXED if self.mixed and self.data is None else None

    def weights(self, graph: Graph) -> Weights:
        """Folded weights for the subnet of `graph`.

        With `data`, its batch norm statistics are those that `compofa-train evaluate` measures it
        with, so the exported subnet is as accurate as the table says.

        Raises:
            UserError: the data cannot be read, does not suit the space, or is not what it was when
                the checkpoint was trained.
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
    """The space and the weights that the options of a command ask for.

    Args:
        space: a name or a file; the checkpoint's own, else the default one, where it is None.
        checkpoint: ours; random weights where it is None.
        seed: of random weights.
        data: see `WeightSource`.

    Raises:
        UserError: the checkpoint is wrong, or of another space, or data is given without one.
        MissingExtra: a checkpoint needs torch.
    """
    if checkpoint is None:
        if data is not None:
            raise UserError("--data is for the weights of a --checkpoint")
        return WeightSource(get_space(space or DEFAULT_SPACE), None, seed)
    asked = None if space is None else get_space(space)
    require_package("torch", "train")
    from compofa.supernet.checkpoints.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    trained = loaded.supernet.space
    # The resolutions of a space say what its tables cover, nothing about its weights.
    if asked is not None and replace(asked, resolutions=trained.resolutions) != trained:
        other = "another definition of it" if asked.name == trained.name else asked.name
        message = f"a checkpoint of space {trained.name}, but --space says {other}"
        raise UserError(message, path=checkpoint)
    digest = sha256(checkpoint.read_bytes())
    return WeightSource(trained, loaded.supernet, seed, checkpoint, digest, data, loaded.mixed)
