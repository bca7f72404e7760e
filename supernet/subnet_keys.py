"""Keys: the names of subnets, with one digit per choice.

* ``d23422`` in compound spaces with fixed kernels: the depth of each unit.
* ``d23422-k35335...`` in compound spaces with free kernels: also the kernel of each block that
  exists.
* ``d...-e...-k...`` in free spaces: the expand ratio and the kernel of each block slot, with 0
  beyond a unit's depth.

ResNet spaces with free widths add ``-w``, with one digit per unit. Choices that are not one-digit
integers (ResNet's ratios) are written as their position, counted from 1.

A key is parsed to the subnet from which it was made, and every subnet has exactly one key.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from compofa.supernet.subnet import Subnet, Unit

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class SubnetKeys:
    """The keys of one space.

    Attributes:
        units: the units of the space.
        compound: whether expand ratios and widths are coupled to depths.
        fixed_kernels: whether every unit has only one kernel size.
        elastic_widths: whether units have several widths.
    """

    units: tuple[Unit, ...]
    compound: bool
    fixed_kernels: bool
    elastic_widths: bool

    @property
    def form(self) -> str:
        """The form of the keys, for messages."""
        slots = sum(unit.slots for unit in self.units)
        form = "d" + "N" * len(self.units)
        if not self.compound:
            form += f"-e({slots} digits)"
        if not self.fixed_kernels:
            form += "-k(one digit per block)" if self.compound else f"-k({slots} digits)"
        if self.elastic_widths and not self.compound:
            form += "-w" + "N" * len(self.units)
        return form

    def render(self, subnet: Subnet) -> str:
        """The key of a subnet, which must fit the units; this is not checked."""
        parts = ["d" + "".join(map(str, subnet.depths))]
        if not self.compound:
            choices = [unit.expands for unit in self.units for _ in range(unit.slots)]
            chosen = zip(choices, subnet.expands, strict=True)
            parts.append("e" + "".join(_digit(each, e) if e else "0" for each, e in chosen))
        if not self.fixed_kernels:
            kernels = "".join(map(str, subnet.kernels))
            parts.append("k" + (kernels.replace("0", "") if self.compound else kernels))
        if subnet.widths and not self.compound:
            widths = zip(self.units, subnet.widths, strict=True)
            parts.append("w" + "".join(_digit(unit.widths, w) for unit, w in widths))
        return "-".join(parts)

    def parse(self, key: str) -> Subnet:
        """The subnet with the choices in `key`; whether they fit together is not checked.

        Raises:
            ValueError: the key is malformed; the message says how.
        """
        parts = re.fullmatch(r"d([0-9]+)(?:-e([0-9]+))?(?:-k([0-9]+))?(?:-w([0-9]+))?", key)
        if parts is None or not key.isascii():
            raise ValueError(f"its keys look like {self.form}")
        d, e, k, w = parts.groups()
        depths = tuple(map(int, d))
        if len(depths) != len(self.units):
            raise ValueError(f"it has {len(depths)} depths, not {len(self.units)}")
        for i, (unit, depth) in enumerate(zip(self.units, depths, strict=True)):
            if depth not in unit.depths:
                known = listed(unit.depths)
                raise ValueError(f"unit {i + 1}: depth {depth} is not one of {known}")
        return Subnet(
            depths,
            self._parsed_expands(depths, e),
            self._parsed_kernels(depths, k, slotted=e is not None),
            self._parsed_widths(depths, w),
        )

    def _parsed_expands(self, depths: tuple[int, ...], digits: str | None) -> tuple[float, ...]:
        if digits is not None:
            choices = [unit.expands for unit in self.units for _ in range(unit.slots)]
            return _values(digits, choices, "expand")
        if not self.compound:
            raise ValueError(f"it lacks its -e digits; keys look like {self.form}")
        coupled = [u.coupled(d)[0] for u, d in zip(self.units, depths, strict=True)]
        return self._filled(depths, coupled)

    def _parsed_kernels(
        self, depths: tuple[int, ...], digits: str | None, slotted: bool
    ) -> tuple[int, ...]:
        if digits is None:
            if not self.fixed_kernels:
                raise ValueError(f"it lacks its -k digits; keys look like {self.form}")
            return self._filled(depths, [unit.kernels[0] for unit in self.units])
        # A key with -e digits has a digit for every slot, even in a compound space.
        if self.compound and not slotted:
            digits = self._spread(depths, digits)
        choices = [unit.kernels for unit in self.units for _ in range(unit.slots)]
        return _values(digits, choices, "kernel")

    def _parsed_widths(self, depths: tuple[int, ...], digits: str | None) -> tuple[float, ...]:
        if digits is not None:
            return _values(digits, [unit.widths for unit in self.units], "width")
        if not self.elastic_widths:
            return ()
        if not self.compound:
            raise ValueError(f"it lacks its -w digits; keys look like {self.form}")
        return tuple(u.coupled(d)[1] for u, d in zip(self.units, depths, strict=True))

    def _filled(self, depths: tuple[int, ...], values: Sequence[N]) -> tuple[N, ...]:
        """One value per slot: that of its unit if the block exists, else 0."""
        filled: list[N] = []
        for unit, depth, value in zip(self.units, depths, values, strict=True):
            blocks = unit.base_blocks + depth
            filled += [value] * blocks + [type(value)(0)] * (unit.slots - blocks)
        return tuple(filled)

    def _spread(self, depths: tuple[int, ...], digits: str) -> str:
        """Moves the kernel digits of the blocks that exist to their slots."""
        blocks = [u.base_blocks + d for u, d in zip(self.units, depths, strict=True)]
        if len(digits) != sum(blocks):
            raise ValueError(
                f"it has {len(digits)} kernel digits for {sum(blocks)} blocks; "
                "give one for each block that exists"
            )
        rest = iter(digits)
        return "".join(
            "".join(itertools.islice(rest, n)).ljust(unit.slots, "0")
            for unit, n in zip(self.units, blocks, strict=True)
        )


def listed(values: Sequence[object]) -> str:
    """`values` as text for a message, separated by commas."""
    return ", ".join(map(str, values))


def _values(digits: str, choices: Sequence[Sequence[N]], name: str) -> tuple[N, ...]:
    """The values that `digits` stand for; digit i may be one of `choices[i]`, or 0 for no block."""
    if len(digits) != len(choices):
        raise ValueError(f"it has {len(digits)} {name} digits, not {len(choices)}")
    values: list[N] = []
    for digit, possible in zip(digits, choices, strict=True):
        named = {_digit(possible, choice): choice for choice in possible}
        if digit != "0" and digit not in named:
            raise ValueError(f"{name} digit {digit} is not one of {listed(list(named))}")
        values.append(named.get(digit, type(possible[0])(0)))
    return tuple(values)


def _digit(choices: Sequence[float], value: float) -> str:
    if all(float(choice).is_integer() and 0 < choice < 10 for choice in choices):
        return str(int(value))
    return str(choices.index(value) + 1)
