"""All that a training has to know to go on: one file, replaced as a whole or not at all.

There is no state of random generators or of the data's order in it, as both follow from the seed
and the step.
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
    state = _state(content)
    if state is None:
        raise UserError("it is a damaged state of a training", path=path)
    return state


def _state(content: Mapping[str, Any]) -> State | None:
    """The state in a file's content; None where a part is missing or not what it should be."""
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
        # A phase that was begun has its costs.
        and len(costs) >= phase + (step > 0)
    ):
        return None
    try:
        known = TypeAdapter(list[TrainingCost]).validate_python(costs)
    except ValidationError:
        return None
    return State(run, weights, optimiser, phase, step, known)


def _is_named(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a dictionary with names for keys, as are those in it."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and (not isinstance(each, dict) or _is_named(each))
        for key, each in value.items()
    )


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < MOST_STEPS


def restore_optimiser_(optimiser: torch.optim.SGD, saved: Mapping[str, Any], path: Path) -> None:
    """Gives the optimiser the momenta of a state; its settings are those of the recipe.

    Raises:
        UserError: they are not those of its parameters.
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
        message = "it is a damaged state of a training: its momenta are not those of the network"
        raise UserError(message, path=path)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": momenta, "param_groups": groups})


def _is_like(momentum: object, parameter: Tensor) -> bool:
    if momentum is None:  # before the first step
        return True
    return isinstance(momentum, Tensor) and momentum.shape == parameter.shape
