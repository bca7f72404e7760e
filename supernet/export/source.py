"""Where the weights of an exported subnet come from: a checkpoint, or a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.supernet.commands import require_torch
from compofa.supernet.errors import UserError
from compofa.supernet.files import sha256
from compofa.supernet.graph import Graph
from compofa.supernet.space import DEFAULT_SPACE, Space, get_space
from compofa.supernet.weights import Weights, folded_weights, random_weights

if TYPE_CHECKING:
    from compofa.supernet.supernet import Supernet


@dataclass(frozen=True)
class Source:
    """A checkpoint's supernet, or random weights.

    Attributes:
        supernet: None for random weights, which `seed` draws.
        checkpoint_sha256: of the checkpoint's file; None without one.
    """

    space: Space
    supernet: Supernet | None
    seed: int
    checkpoint_sha256: str | None = None

    def weights(self, graph: Graph) -> Weights:
        """Folded weights for the subnet of `graph`."""
        if self.supernet is None:
            return random_weights(graph, self.seed)
        return folded_weights(self.supernet, graph.subnet)


def open_source(space: str | None, checkpoint: Path | None, seed: int = 0) -> Source:
    """The space and the weights that the options of a command ask for.

    Args:
        space: a name or a file; the checkpoint's own, else the default one, where it is None.
        checkpoint: ours; random weights where it is None.
        seed: of random weights.

    Raises:
        UserError: the checkpoint is wrong, or of another space.
        MissingExtra: a checkpoint needs torch.
    """
    if checkpoint is None:
        return Source(get_space(space or DEFAULT_SPACE), None, seed)
    asked = None if space is None else get_space(space)
    require_torch()
    from compofa.supernet.checkpoint import load_checkpoint

    supernet = load_checkpoint(checkpoint).supernet
    found = supernet.space
    # The resolutions of a space say what its tables cover, nothing about its weights.
    if asked is not None and replace(asked, resolutions=found.resolutions) != found:
        other = "another definition of it" if asked.name == found.name else asked.name
        message = f"a checkpoint of space {found.name}, but --space says {other}"
        raise UserError(message, path=checkpoint)
    return Source(found, supernet, seed, sha256(checkpoint.read_bytes()))
