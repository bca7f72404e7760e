"""Which devices of a fleet may be measured now: pure decisions, without any input or output."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping


class FleetSchedule:
    """Which devices wait and which are measured.

    At one place (a board, a phone) one device of the inventory is measured at a time, in the order
    in which they were asked for: two entries may name one board with two runtimes. A device that
    must be measured alone waits until no other waits or is measured.

    Args:
        places: of each device, in the order in which they were asked for.
        alone: the devices that must be measured alone.
    """

    def __init__(self, places: Mapping[str, str], alone: Collection[str] = ()) -> None:
        self._places, self._alone = dict(places), frozenset(alone)
        self._queues: dict[str, deque[str]] = {}
        for name, place in places.items():
            self._queues.setdefault(place, deque()).append(name)
        # Places at which somebody waits and nobody is measured; a dict, to keep their order.
        self._free = dict.fromkeys(self._queues)
        self._measured: set[str] = set()
        self._busy: set[str] = set()
        self._not_alone = len(self._places) - len(self._alone)

    @property
    def measured(self) -> frozenset[str]:
        """The devices that are measured now."""
        return frozenset(self._measured)

    @property
    def waiting(self) -> frozenset[str]:
        """The devices that wait."""
        return frozenset(self._places) - self._measured

    def start(self, reachable: Collection[str] | None = None) -> list[str]:
        """The devices to begin with now; they count as being measured from here on.

        Args:
            reachable: the devices that can be measured at all; None if all can.
        """
        begun: list[str] = []
        for place in list(self._free):
            queue = self._queues[place]
            # Whoever has to be alone lets the others at its place go first, for which it waits.
            able = (n for n in queue if reachable is None or n in reachable)
            name = next(filter(self._may_start, able), None)
            if name is None:
                continue
            queue.remove(name)
            del self._free[place]
            self._busy.add(place)
            self._measured.add(name)
            begun.append(name)
        return begun

    def _may_start(self, name: str) -> bool:
        return name not in self._alone or not (self._not_alone or self._measured)

    def end(self, name: str) -> None:
        """`name` is done or given up, whether it was being measured or still waited."""
        place = self._places.pop(name)
        self._not_alone -= name not in self._alone
        if name in self._measured:
            self._measured.remove(name)
            self._busy.remove(place)
        else:
            self._queues[place].remove(name)
        self._see(place)

    def lose(self, name: str) -> None:
        """`name` was being measured and waits again, before all others at its place."""
        place = self._places[name]
        self._measured.remove(name)
        self._busy.remove(place)
        self._queues[place].appendleft(name)
        self._see(place)

    def _see(self, place: str) -> None:
        """Notes whether a device of `place` could start."""
        if self._queues[place] and place not in self._busy:
            self._free[place] = None
        else:
            self._free.pop(place, None)
