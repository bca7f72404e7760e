"""Supernets that tests of exporters take their subnets from."""

from __future__ import annotations

import torch

from compofa.supernet.space import Space
from compofa.supernet.supernet import Supernet


def trained(space: Space, kernel_transform: bool = True, seed: int = 3) -> Supernet:
    """A supernet with matrices and statistics that are not those it begins with."""
    torch.manual_seed(seed)
    supernet = Supernet(space, kernel_transform)
    for name, tensor in supernet.state_dict().items():
        if name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() == 1:
            tensor.normal_(0, 0.1)
        elif ".transforms." in name:
            tensor.add_(0.05 * torch.randn_like(tensor))
    return supernet.eval()
