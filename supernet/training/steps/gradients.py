"""The gradients of all parameters in one tensor.

A step runs several subnets backward, each of which uses different parameters. All ranks run the
same subnets, so that one sum over the whole tensor is the only communication, and nothing has to
record which parameters were used. The tensor is set to zero and never allocated again. A parameter
that no subnet uses has a gradient of zero instead of None, so that momentum and weight decay change
it, as in the published code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compofa.supernet.ranks import Ranks


class Gradients:
    """Makes the gradient of every parameter a view of one tensor."""

    def __init__(self, module: nn.Module, ranks: Ranks) -> None:
        parameters = list(module.parameters())
        # The last number tells whether any rank wants to stop. It is summed with the gradients.
        size = sum(parameter.numel() for parameter in parameters) + 1
        self._all = torch.zeros(size, device=ranks.device)
        self._ranks = ranks
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.grad = self._all[start:end].view_as(parameter)
            start = end

    def clear(self, *, stop: bool = False) -> None:
        """Sets all gradients to zero; `stop` tells all ranks to stop after the next step."""
        self._all.zero_()
        if stop:
            self._all[-1] = 1

    def share(self) -> None:
        """Averages the gradients over all ranks."""
        if self._ranks.count > 1:
            self._ranks.sum(self._all)
            self._all.div_(self._ranks.count)

    @property
    def stop(self) -> Tensor:
        """A number that is above 0, after `share`, if any rank wants to stop after this step."""
        flag: Tensor = self._all[-1]
        return flag

    def norm(self, limit: float | None) -> Tensor:
        """The Euclidean norm of all gradients, which are scaled down to `limit` if it is larger."""
        gradients = self._all[:-1]
        norm: Tensor = torch.linalg.vector_norm(gradients)
        if limit is not None:
            gradients.mul_((limit / (norm + 1e-6)).clamp(max=1))
        return norm
