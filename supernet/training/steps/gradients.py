"""The gradients of all parameters in one piece of memory.

A step runs several subnets backward, each of which leaves other parameters out. All ranks run the
same ones, so one sum over the whole piece is all the communication there has to be, and no
bookkeeping of what was used. It is set to zero in one go and never allocated again; a parameter
that no subnet used has a gradient of zero, not none, so momentum and weight decay act on it as
published.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compofa.supernet.ranks import Ranks


class Gradients:
    """Gives every parameter its gradient's place."""

    def __init__(self, module: nn.Module, ranks: Ranks) -> None:
        parameters = list(module.parameters())
        # One number more than parameters: whether any rank wants to stop.
        size = sum(parameter.numel() for parameter in parameters) + 1
        self._all = torch.zeros(size, device=ranks.device)
        self._ranks = ranks
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.grad = self._all[start:end].view_as(parameter)
            start = end

    def clear(self, *, stop: bool = False) -> None:
        """All zero, for the next step; `stop` tells all ranks that this one ends after it."""
        self._all.zero_()
        if stop:
            self._all[-1] = 1

    def share(self) -> None:
        """Averages over all ranks."""
        if self._ranks.count > 1:
            self._ranks.sum(self._all)
            self._all.div_(self._ranks.count)

    @property
    def stop(self) -> Tensor:
        """After `share`: above 0 if any rank wants to end after this step."""
        flag: Tensor = self._all[-1]
        return flag

    def norm(self, limit: float | None) -> Tensor:
        """Their Euclidean norm; where it is above `limit`, they are scaled down to it."""
        gradients = self._all[:-1]
        norm: Tensor = torch.linalg.vector_norm(gradients)
        if limit is not None:
            gradients.mul_((limit / (norm + 1e-6)).clamp(max=1))
        return norm
