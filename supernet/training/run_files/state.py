"""The state of a training, from which it continues: one file, which is replaced as a whole.

It does not contain the state of random generators or the order of the data, because both follow
from the seed and the step.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.supernet.checkpoints.torch_files import read_torch_file
from compofa.supernet.training.cost import TrainingCost

FORMAT = "compofa training"
VERSION = 1

MOST_STEPS = 10**12
"""No training has more."""


@dataclass
class State:
    """The state of a training.

    Attributes:
        run: the description of the training, by which another one is recognised.
        weights: the state dict of the supernet.
        optimiser: the state dict of the optimiser.
        phase: the current phase, counted from 0; the number of phases when all are done.
        step: the next step of the phase, counted from 0.
        costs: the costs of each phase that was started.
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
        UserError: the file cannot be written; the old one then stays as it was.
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
    """Reads a file that `write_state` wrote.

    Raises:
        UserError: the file cannot be read, is damaged, or is not the state of a training.
    """
    content = read_torch_file(path, "the state of the training")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError("it is not the state of a training", path=path)
    if content.get("version") != VERSION:
        message = f"it is of version {content.get('version')}, but this program reads {VERSION}"
        raise UserError(message, path=path)
    state = _state(content)
    if state is None:
        raise UserError("the state of the training is damaged", path=path)
    return state


def _state(content: Mapping[str, Any]) -> State | None:
    """The state in the content of a file; None if a part is missing or of the wrong type."""
    run, weights, optimiser, costs = (
        content.get(name) for name in ("run", "weights", "optimiser", "costs")
    )
    phase, step = content.get("phase"), content.get("step")
    if not (
        _is_named(run)
        and isinstance(weights, dict)
        and all(isinstance(tensor, Tensor) for tensor in weights.values())
        and isinstance(optimiser, dict)
        and _is_count(phase)
        and _is_count(step)
        and isinstance(costs, list)
        # There are costs for every phase that was started.
        and len(costs) >= phase + (step > 0)
    ):
        return None
    try:
        known = TypeAdapter(list[TrainingCost]).validate_python(costs)
    except ValidationError:
        return None
    return State(run, weights, optimiser, phase, step, known)


def _is_named(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether `value` is a dictionary whose keys are all text, and so are those inside it."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and (not isinstance(each, dict) or _is_named(each))
        for key, each in value.items()
    )


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < MOST_STEPS


def restore_optimiser_(optimiser: torch.optim.SGD, saved: Mapping[str, Any], path: Path) -> None:
    """Restores the momenta of a saved state; the optimiser keeps the settings of its recipe.

    Args:
        optimiser: the optimiser, which is changed in place.
        saved: the state dict of an optimiser, from the file `path`.
        path: the file, for messages.

    Raises:
        UserError: the momenta do not fit the parameters.
    """
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    momenta = saved.get("state")
    if not isinstance(momenta, dict) or not all(
        type(number) is int
        and 0 <= number < len(parameters)
        and isinstance(kept, dict)
        and set(kept) == {"momentum_buffer"}
        and _is_like(kept["momentum_buffer"], parameters[number])
        for number, kept in momenta.items()
    ):
        message = "the state of the training is damaged: its momenta do not fit the network"
        raise UserError(message, path=path)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": momenta, "param_groups": groups})


def _is_like(momentum: object, parameter: Tensor) -> bool:
    if momentum is None:  # This is so before the first step.
        return True
    return isinstance(momentum, Tensor) and momentum.shape == parameter.shape
