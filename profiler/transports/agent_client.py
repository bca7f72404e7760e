"""The host's end of the agent protocol: requests with ids, replies that are checked."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from compofa.common.console import detail, printable
from compofa.common.errors import DeviceError
from compofa.profiler.agent import compofa_agent
from compofa.profiler.transports.agent_reply import (
    LARGEST_INTEGER,
    LARGEST_TENSOR,
    AgentReply,
    check_integer,
    check_text,
)
from compofa.profiler.transports.base import Channel
from compofa.profiler.transports.device_identity import with_keyed_serial

LONGEST_REPLY = 16 << 20

LONGEST_RUN_NS = 3600 * 10**9
"""An hour. No inference takes longer: if one seems to, the device's clock was set meanwhile."""

OVERRUN, OVERRUN_S = 1.05, 0.02
"""By the device's clock, runs may take this many times as long as their request took here, and
so many seconds more: no two clocks run at quite the same rate."""

LAST_CPU, LAST_PID = 2**16, 2**31

MOST_OUTPUTS = 256
"""Of one model."""

LARGEST_KB = 2**40

COUNT_S = 600.0
"""How long counting something of a model may take."""

ANSWER_S = 60.0
"""How long a request that runs no model may take."""


class AgentError(DeviceError):
    """The agent answered with an error.

    Attributes:
        kind: whose fault it is: model (it cannot be loaded or run), runtime (it is not there, or
            is not what was asked for), missing (the model's file), busy (another profiler has the
            device), setting, request, memory (there is not enough of it), counter (this device
            does not count that).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Hello:
    """What the agent says of itself and of the device.

    Attributes:
        runtimes: name -> version.
        runtime_hashes: name -> hash of what is installed, where the agent can tell.
    """

    pid: int
    affinity: tuple[int, ...] | None
    runtimes: dict[str, str]
    runtime_hashes: dict[str, str | None]
    facts: dict[str, Any]
    state: dict[str, Any]


@dataclass(frozen=True)
class OutputSample:
    """What the host is told of one output of a user's model.

    Attributes:
        size: how many numbers it has.
        values: some of them; NaN for any that is no finite number.
        broken: how many of all are no finite numbers.
        exact: whether they are whole numbers.
    """

    size: int
    values: tuple[float, ...]
    broken: int = 0
    exact: bool = False


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run.

    Attributes:
        output: a sample of what it computed for seed 0.
        settings: how the runtime runs it, in the runtime's own words.
        outputs: of a user's model, of which the two above tell nothing.
        first_ns: of its first run, until its output was there; 0 where the agent does not tell.
    """

    handle: int
    runtime_version: str
    load_ns: int
    input_shape: tuple[int, ...]
    output_size: int
    output: tuple[float, ...]
    settings: dict[str, Any]
    outputs: tuple[OutputSample, ...] = ()
    first_ns: int = 0


class TracedOperator(NamedTuple):
    """An operator, as the runtime names it, and its median over traced runs."""

    name: str
    kind: str
    ns: int


@dataclass(frozen=True)
class Traced:
    """What traced runs took, one by one, and the operators in the order in which they ran."""

    ns: tuple[int, ...]
    operators: tuple[TracedOperator, ...]


def _operator(row: object) -> TracedOperator:
    if not isinstance(row, list) or len(row) != 3:
        raise ValueError("an operator is not a name, a kind and a time")
    name, kind, ns = row
    return TracedOperator(
        printable(check_text(name, "the name of an operator")),
        printable(check_text(kind, "the kind of an operator")),
        check_integer(ns, "the time of an operator", 0, LONGEST_RUN_NS),
    )


def _ignore(_: str) -> None:
    """Nobody is told."""


@dataclass
class AgentLink:
    """A connection to one agent over `channel`.

    Attributes:
        caveat: is called with what casts doubt on the times that the agent reports.
    """

    channel: Channel
    caveat: Callable[[str], None] = _ignore
    _asked: int = field(default=0, init=False)

    def hello(
        self,
        threads: int,
        cpus: list[int] | None,
        holder: str | None = None,
        classes: Mapping[str, str] | None = None,
    ) -> Hello:
        """Begins the handshake: the agent is bound to `cpus`, and its runtimes use `threads`.

        Args:
            threads: of the runtimes.
            cpus: None leaves the choice to the agent.
            holder: who this is; if given, the agent locks the device for as long as it lives.
            classes: source text of runtimes that the agent does not bring itself, by name.
        """
        fields: dict[str, Any] = {"threads": threads, "cpus": cpus, "holder": holder}
        if classes:
            fields["classes"] = classes
        ok = self._request("hello", ANSWER_S, **fields)
        if ok.get("version") != compofa_agent.VERSION:
            raise DeviceError(
                f"the agent speaks version {ok.get('version')!r} of the protocol, and this "
                f"profiler version {compofa_agent.VERSION}",
                hint="use the agent that comes with this version of compofa",
            )
        try:
            reply = AgentReply(ok)
            runtimes = {name: _installed(reply, name) for name in reply.mapping("runtimes")}
            affinity = reply.integers("affinity", 0, LAST_CPU) if reply.has("affinity") else None
            return Hello(
                pid=reply.integer("pid", 0, LAST_PID),
                affinity=affinity,
                runtimes={name: version for name, (version, _) in runtimes.items()},
                runtime_hashes={name: digest for name, (_, digest) in runtimes.items()},
                facts=_facts(reply),
                state=reply.mapping("state"),
            )
        except ValueError as error:
            raise self._nonsense("hello", error) from None

    def load(
        self,
        sha256: str,
        runtime: str,
        options: dict[str, Any],
        deadline_s: float = 600.0,
        padding: int = 0,
        given: Mapping[str, Any] | None = None,
    ) -> Loaded:
        """Loads a model that was put on the device and runs it once.

        Args:
            sha256: names the model.
            runtime: that loads it.
            options: how it is to be run.
            deadline_s: how long that may take.
            padding: bytes that the agent takes and keeps before, so that the model lies elsewhere.
            given: of a user's model, its files and inputs as the protocol says them.
        """
        fields = {"model": sha256, "runtime": runtime, "options": options, **(given or {})}
        if padding:
            fields["padding"] = padding
        ok = self._request("load", deadline_s, **fields)
        if given:
            return self._given_loaded(ok)
        try:
            # A network may compute infinities or NaN: then the network fails, not the device.
            reply = AgentReply(ok, unchecked=frozenset({"output"}))
            return Loaded(
                handle=reply.integer("model", 0, LAST_PID),
                runtime_version=reply.text("version"),
                load_ns=reply.integer("load_ns", 0, LONGEST_RUN_NS),
                input_shape=reply.integers("input", 1, LARGEST_TENSOR),
                output_size=reply.integer("output_size", 0, LARGEST_TENSOR),
                output=reply.numbers("output", compofa_agent.CHECKED_OUTPUTS),
                settings=reply.mapping("settings", optional=True),
                first_ns=reply.integer("first_ns", 0, LONGEST_RUN_NS)
                if reply.has("first_ns")
                else 0,
            )
        except ValueError as error:
            raise self._nonsense("load", error) from None

    def _given_loaded(self, ok: dict[str, Any]) -> Loaded:
        """A user's model, as the reply to load tells of it."""
        try:
            reply = AgentReply(ok, unchecked=frozenset({"outputs", "output"}))
            if reply.has("outputs"):
                outputs = tuple(map(_output_sample, reply.objects("outputs", MOST_OUTPUTS)))
                first_ns = reply.integer("first_ns", 0, LONGEST_RUN_NS)
            else:
                outputs, first_ns = self._first_output(reply), 0
            return Loaded(
                handle=reply.integer("model", 0, LAST_PID),
                runtime_version=reply.text("version"),
                load_ns=reply.integer("load_ns", 0, LONGEST_RUN_NS),
                input_shape=(),
                output_size=0,
                output=(),
                settings=reply.mapping("settings", optional=True),
                outputs=outputs,
                first_ns=first_ns,
            )
        except ValueError as error:
            raise self._nonsense("load", error) from None

    @staticmethod
    def _first_output(reply: AgentReply) -> tuple[OutputSample, ...]:
        """What an agent that does not tell all outputs says of the first, see `tells_outputs`."""
        output = reply.numbers("output", compofa_agent.CHECKED_OUTPUTS)
        broken = sum(not math.isfinite(value) for value in output)
        size = reply.integer("output_size", 0, LARGEST_TENSOR)
        sample = OutputSample(size, output, broken, exact=False)
        return (sample,) if output else ()

    def run(
        self, handle: int, runs: int, seed: int, deadline_s: float
    ) -> tuple[tuple[int, ...], dict[str, Any]]:
        """Runs a model; returns the nanoseconds of each run, and the device's state after them.

        Runs during which the device's clock was set, back or by more than any inference takes, are
        left out. A coarse clock shows short runs as zeros.

        Raises:
            DeviceError: the reply makes no sense, or no run is left.
        """
        begun = time.monotonic()
        ok = self._request("run", deadline_s, model=handle, runs=runs, seed=seed)
        wall_s = time.monotonic() - begun
        try:
            reply = AgentReply(ok)
            times = reply.integers("ns", -LARGEST_INTEGER, LARGEST_INTEGER)
            state = reply.mapping("state")
            kept = tuple(ns for (ns,) in _plausible([times], runs))
        except ValueError as error:
            raise self._nonsense("run", error) from None
        self._check_clock(len(kept), sum(kept), wall_s)
        return kept, state

    def turns(
        self, handles: Sequence[int], turns: int, order: int, seed: int, deadline_s: float
    ) -> tuple[tuple[tuple[int, ...], ...], dict[str, Any]]:
        """Runs several models in turns; returns nanoseconds for each model, and the state.

        Turns during which the device's clock was set are left out, of all models.

        Args:
            handles: of the models, all of them loaded.
            turns: in each of which every model runs once.
            order: seed of the random order within each turn.
            seed: of the input.
            deadline_s: how long all of it may take.

        Raises:
            DeviceError: the reply makes no sense, or no turn is left.
        """
        begun = time.monotonic()
        asked = {"models": list(handles), "turns": turns, "order": order, "seed": seed}
        ok = self._request("turns", deadline_s, **asked)
        wall_s = time.monotonic() - begun
        try:
            reply = AgentReply(ok)
            rows = reply.lists("ns", -LARGEST_INTEGER, LARGEST_INTEGER)
            state = reply.mapping("state")
            if len(rows) != len(handles):
                raise ValueError(f"times of {len(rows)} models, not of {len(handles)}")
            kept = _plausible(rows, turns)
        except ValueError as error:
            raise self._nonsense("turns", error) from None
        self._check_clock(len(kept) * len(rows), sum(map(sum, kept)), wall_s)
        return tuple(zip(*kept, strict=True)), state

    def _check_clock(self, runs: int, told_ns: int, wall_s: float) -> None:
        told_s = told_ns * 1e-9
        if told_s > OVERRUN * wall_s + OVERRUN_S:
            self.caveat(
                f"the device's clock cannot be trusted: by it {runs} runs took "
                f"{told_s:.3g} s, but they were over within {wall_s:.3g} s"
            )

    def memory(
        self,
        sha256: str,
        runtime: str,
        options: dict[str, Any],
        runs: int,
        given: Mapping[str, Any] | None = None,
    ) -> tuple[int, int]:
        """Loads a model in a fresh process and runs it, `runs` times; the others as for `load`.

        Returns:
            Bytes of the process that were resident before, and at the highest meanwhile.

        Raises:
            AgentError: of kind `counter` where this device does not count them.
        """
        fields = {"model": sha256, "runtime": runtime, "options": options, "runs": runs}
        ok = self._request("memory", COUNT_S, **fields, **(given or {}))
        try:
            reply = AgentReply(ok)
            base, peak = (reply.integer(name, 0, LARGEST_KB) for name in ("base_kb", "peak_kb"))
            if peak < base:
                raise ValueError(f"a peak of {peak} kB below the {base} kB before it")
        except ValueError as error:
            raise self._nonsense("memory", error) from None
        return 1024 * base, 1024 * peak

    def trace(
        self,
        sha256: str,
        runtime: str,
        options: dict[str, Any],
        runs: int,
        given: Mapping[str, Any] | None = None,
    ) -> Traced:
        """Loads a model so that it tells what its operators take, and runs it, `runs` times.

        Raises:
            AgentError: of kind `counter` where this runtime does not tell, of kind `trace` where
                what it told is incomplete.
        """
        fields = {"model": sha256, "runtime": runtime, "options": options, "runs": runs}
        ok = self._request("trace", COUNT_S, **fields, **(given or {}))
        try:
            rows = ok.get("operators")
            if not isinstance(rows, list) or not 1 <= len(rows) <= compofa_agent.MOST_OPERATORS:
                raise ValueError("the operators are no list, or of no sensible length")
            return Traced(
                ns=AgentReply(ok).integers("ns", 0, LONGEST_RUN_NS),
                operators=tuple(map(_operator, rows)),
            )
        except ValueError as error:
            raise self._nonsense("trace", error) from None

    def state(self) -> dict[str, Any]:
        """The device's state now."""
        ok = self._request("state", ANSWER_S)
        try:
            return AgentReply(ok).mapping("state")
        except ValueError as error:
            raise self._nonsense("state", error) from None

    def unload(self, handle: int) -> None:
        """Lets go of a model."""
        self._request("unload", ANSWER_S, model=handle)

    def quit(self) -> None:
        """Asks the agent to end, and waits for it."""
        self._request("quit", ANSWER_S)
        self.channel.close()

    def _request(self, do: str, deadline_s: float, **fields: Any) -> dict[str, Any]:
        self._asked += 1
        asked_at = time.monotonic()
        request = {"id": self._asked, "do": do, "deadline_s": deadline_s, **fields}
        self.channel.send(json.dumps(request).encode() + b"\n")
        # The agent's own deadline comes first: how it ended tells more than its silence.
        line = self.channel.receive_line(deadline_s + 5, LONGEST_REPLY)
        took_s = time.monotonic() - asked_at
        detail(f"the agent answered {do} after {took_s:.3f} s, in {len(line)} bytes")
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            start = printable(line[:80].decode(errors="replace"))
            raise DeviceError(f"the agent's reply to {do} is not JSON: {start!r}") from None
        if not isinstance(reply, dict) or reply.get("id") != self._asked:
            raise DeviceError(f"the agent's reply to {do} answers another request")
        error = reply.get("error")
        if isinstance(error, dict):
            kind, message = str(error.get("kind")), printable(str(error.get("message")))
            raise AgentError(kind, message[:500])
        ok = reply.get("ok")
        if not isinstance(ok, dict):
            raise DeviceError(f"the agent's reply to {do} holds neither ok nor error")
        return ok

    @staticmethod
    def _nonsense(do: str, error: Exception) -> DeviceError:
        return DeviceError(f"the agent's reply to {do} makes no sense: {printable(str(error))}")


def _plausible(rows: Sequence[Sequence[int]], runs: int) -> list[tuple[int, ...]]:
    """For each run the times of all `rows`, without runs during which the clock was set.

    Raises:
        ValueError: a row has not `runs` times, or none is left.
    """
    for row in rows:
        if len(row) != runs:
            raise ValueError(f"{len(row)} times for {runs} runs")
    kept = [
        times
        for times in zip(*rows, strict=True)
        if min(times) >= 0 and max(times) < LONGEST_RUN_NS
    ]
    if not kept:
        raise ValueError(f"a run of {rows[0][0]} ns by the device's clock")
    return kept


def _output_sample(told: Mapping[str, Any]) -> OutputSample:
    """One output, of which null stands for what is no finite number."""
    values = told.get("values")
    if not isinstance(values, list):
        raise ValueError("the values of an output are no list")
    numbers = [math.nan if each is None else each for each in values]
    reply = AgentReply({**told, "values": numbers}, unchecked=frozenset({"values"}))
    return OutputSample(
        size=reply.integer("size", 0, LARGEST_TENSOR),
        values=reply.numbers("values", compofa_agent.CHECKED_OUTPUTS),
        broken=reply.integer("broken", 0, LARGEST_TENSOR),
        exact=told.get("exact") is True,
    )


def _facts(reply: AgentReply) -> dict[str, Any]:
    """What the device says of itself, of which some is computed with."""
    facts = reply.mapping("facts")
    if facts.get("cpus") is not None:
        check_integer(facts["cpus"], "facts.cpus", 1, LAST_CPU)
    return with_keyed_serial(facts)


def _installed(reply: AgentReply, name: str) -> tuple[str, str | None]:
    """Version and hash of a runtime that the device has."""
    said = reply.mapping("runtimes")[name]
    if not isinstance(said, dict):
        raise ValueError(f"the runtime {name} is {said!r}, not an object")
    digest = said.get("sha256")
    return (
        check_text(said.get("version"), f"the version of {name}"),
        None if digest is None else check_text(digest, f"the hash of {name}"),
    )
