"""The subnets of each step, as a function of the seed and the step; all ranks draw the same."""

from __future__ import annotations

import numpy as np

from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet
from compofa.supernet.training.recipes.recipe import Phase


class Sampler:
    """Draws the subnets of the steps of a phase.

    Attributes:
        space: the space, of which the phase may use only some choices.
        largest, smallest: the largest and the smallest subnet of those choices.
    """

    def __init__(self, phase: Phase, space: Space, seed: tuple[int, ...]) -> None:
        self.space = space
        # The choices of the phase are kept unit by unit instead of as a smaller space. If a phase
        # has only one width per unit, such a space would have fixed widths, and its subnets no
        # widths at all.
        self._units = phase.narrowed(space.units)
        self.largest, self.smallest = (
            space.subnet([unit.extreme(end) for unit in self._units]) for end in (True, False)
        )
        self._phase = phase
        self._seed = seed

    @property
    def validated(self) -> list[Subnet]:
        """The subnets to validate: the largest, and the smallest if it is trained too."""
        if self._phase.sampling == "largest" or self.largest == self.smallest:
            return [self.largest]
        return [self.largest, self.smallest]

    def subnets(self, step: int) -> list[Subnet]:
        """The subnets of one step; in a sandwich, the first is the largest, then the smallest."""
        if self._phase.sampling == "largest":
            return [self.largest]
        fixed = [self.largest, self.smallest] if self._phase.sampling == "sandwich" else []
        rng = np.random.default_rng((*self._seed, step))
        return fixed + [self._draw(rng) for _ in range(self._phase.subnets - len(fixed))]

    def _draw(self, rng: np.random.Generator) -> Subnet:
        return self.space.subnet([unit.sample(rng) for unit in self._units])
