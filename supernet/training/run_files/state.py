"""All that a training has to know to go on: one file, replaced as a whole or not at all.

There is no state of random generators or of the data's order in it, as both follow from the seed
and the step.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.supernet.checkpoints.torch_files import read_torch_file
from compofa.supernet.training.cost import TrainingCost

FORMAT = "compofa training"
VERSION = 1


@dataclass
class State:
    """Where a training is.

    Attributes:
        run: what is trained on what, in plain values; another run must not go on from here.
        phase: counted from 0; as many as there are phases when all is done.
        step: of the phase, the next one to do.
        weights: the supernet's state dict.
        optimiser: its state dict.
        costs: of each phase begun.
    """

    run: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    phase: int = 0
    step: int = 0
    costs: list[TrainingCost] = field(default_factory=list)


def write_state(path: Path, state: State) -> None:
    """Replaces the file at `path`.

    Raises:
        UserError: it cannot be written; the old file is still whole.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "run": dict(state.run),
        "phase": state.phase,
        "step": state.step,
        "weights": dict(state.weights),
        "optimiser": dict(state.optimiser),
        "costs": [cost.as_json() for cost in state.costs],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue(), "the state of the training")


def read_state(path: Path) -> State:
    """Reads what `write_state` wrote.

    Raises:
        UserError: it cannot be read, is damaged, or is something else.
    """
    content = read_torch_file(path, "the state of the training")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError("it is not the state of a training", path=path)
    if content.get("version") != VERSION:
        message = f"it is a state of version {content.get('version')}, this program reads {VERSION}"
        raise UserError(message, path=path)
    try:
        return State(
            run=content["run"],
            weights=content["weights"],
            optimiser=content["optimiser"],
            phase=int(content["phase"]),
            step=int(content["step"]),
            costs=[TrainingCost(**cost) for cost in content["costs"]],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"it is a damaged state of a training: {error}", path=path) from None
