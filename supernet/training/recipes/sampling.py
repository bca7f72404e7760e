"""Which subnets a step trains: a function of the seed and the step, the same on all ranks."""

from __future__ import annotations

import numpy as np

from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet
from compofa.supernet.training.recipes.recipe import Phase


class Sampler:
    """Draws the subnets of a phase's steps.

    Attributes:
        space: what they are of; the phase may leave only some of its choices.
        largest, smallest: of what the phase leaves.
    """

    def __init__(self, phase: Phase, space: Space, seed: tuple[int, ...]) -> None:
        self.space = space
        # Choices unit by unit, not a smaller space: where a phase leaves one width to a unit, a
        # space of its units would have none to choose, and subnets without widths.
        self._units = phase.narrowed(space.units)
        self.largest, self.smallest = (
            space.subnet([unit.extreme(end) for unit in self._units]) for end in (True, False)
        )
        self._phase = phase
        self._seed = seed

    @property
    def validated(self) -> list[Subnet]:
        """The subnets to look at on the way: what was trained, at its ends."""
        if self._phase.sampling == "largest" or self.largest == self.smallest:
            return [self.largest]
        return [self.largest, self.smallest]

    def subnets(self, step: int) -> list[Subnet]:
        """The subnets of one step; in a sandwich the largest comes first, then the smallest."""
        if self._phase.sampling == "largest":
            return [self.largest]
        fixed = [self.largest, self.smallest] if self._phase.sampling == "sandwich" else []
        rng = np.random.default_rng((*self._seed, step))
        return fixed + [self._draw(rng) for _ in range(self._phase.subnets - len(fixed))]

    def _draw(self, rng: np.random.Generator) -> Subnet:
        return self.space.subnet([unit.sample(rng) for unit in self._units])
