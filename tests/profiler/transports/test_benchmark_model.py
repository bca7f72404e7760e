"""benchmark_model on a phone behind a real adbd: what it is told, and what it is not believed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compofa.common.files import sha256
from compofa.profiler.agent.compofa_agent import Refused
from compofa.profiler.measurement.plan import Plan
from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.models.collection.find_models import collection_of
from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.journal import Timing, journal_path, of_kind, read_journal
from compofa.profiler.results.meta import meta_path
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.adb import phone_lock as adb_lock
from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.adb.adb_transport import AdbTransport
from compofa.profiler.transports.adb.benchmark_channel import choose_cpus
from compofa.profiler.transports.adb.benchmark_program import ProgramSettings
from compofa.profiler.transports.agent_client import AgentError, AgentLink
from compofa.supernet.space import Space
from rigs import benchmark_model as stand_in
from rigs.adbd import AdbPeer
from rigs.model_files import write_tflite

OUTPUT = """\
INFO: STARTING!
{delegate}
INFO: count=3 first=5100 curr=5000 min=4900 max=5100 avg=5000 std=80 p5=4900 median=5000 p95=5100
INFO: count=20 first=4400 curr=4200 min=4000 max=4400 avg=4200 std=50 p5=4100 median=4250 p95=4400
INFO: Inference timings in us: Init: 13386, First inference: 5100, Warmup (avg): 5000, \
Inference (avg): 4200
"""
APPLIED = "INFO: Explicitly applied GPU delegate, and the model graph will be"
WHOLE = f"{APPLIED} completely executed by the delegate."
PARTLY = f"{APPLIED} partially executed by the delegate w/ 3 delegate kernels."
UNUSED = "INFO: Though GPU delegate is explicitly applied, the model graph will not be executed by"


@pytest.fixture
def build(adb_peer: AdbPeer, tmp_path: Path) -> Iterator[Callable[..., AdbTransport]]:
    """Makes a phone with a benchmark_model that is the script given."""
    opened = []

    def open_(script: str, **settings: object) -> AdbTransport:
        binary = tmp_path / "benchmark_model"
        binary.write_text(script)
        opened.append(AdbTransport(phone(adb_peer, binary, **settings), adb_peer.server))
        return opened[-1]

    yield open_
    for transport in opened:
        transport.close()


def phone(peer: AdbPeer, binary: Path, **settings: Any) -> AdbDevice:
    return AdbDevice(
        name="phone",
        serial=peer.device.serial,
        folder=peer.device.folder,
        binary=str(binary),
        **settings,
    )


def prints(delegate: str = "", then: str = "") -> str:
    """A benchmark_model that does nothing but print."""
    return f"#!/bin/sh\ncat <<'END'\n{OUTPUT.format(delegate=delegate)}END\n{then}\n"


def load(
    transport: AdbTransport, tmp_path: Path, *, deadline_s: float = 20.0, **options: Any
) -> tuple[AgentLink, int]:
    """Greets the program and loads a model that it does not look at."""
    model = tmp_path / "model"
    model.write_bytes(b"model")
    transport.put(model, sha256(b"model"))
    link = AgentLink(transport.start_agent())
    link.hello(2, [0], "me")
    loaded = link.load(sha256(b"model"), "benchmark_model", options, deadline_s)
    assert loaded.output == ()
    return link, loaded.handle


def test_a_run_is_the_median_of_one_invocation(
    build: Callable[..., AdbTransport], tmp_path: Path
) -> None:
    link, handle = load(build(prints()), tmp_path)
    ns, state = link.run(handle, 2, 1, 20.0)
    assert ns == (4_250_000, 4_250_000)
    assert state["benchmark_us"][0]["mean"] == 4200
    assert state["thermal_status"] == 0
    link.quit()


def test_the_program_is_bound_and_told_what_the_set_up_says(
    build: Callable[..., AdbTransport], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    script = prints(WHOLE, f"taskset -p $$ >> {told}; echo $@ >> {told}")
    load(build(script), tmp_path, accelerator="gpu", dtype="float16")
    text = told.read_text()
    assert "mask: 1\n" in text
    assert f"--graph={sha256(b'model')} --num_threads=2 --use_gpu=true" in text
    assert "--gpu_precision_loss_allowed=true" in text


def test_options_are_flags_of_the_program(
    build: Callable[..., AdbTransport], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    script = f"""#!/bin/sh
[ "$1" = --help ] && {{ printf '\\t--gpu_backend=\\n\\t--use_gpu=false\\n'; exit 1; }}
echo "$@" >> {told}
cat <<'END'
{OUTPUT.format(delegate=WHOLE)}END
"""
    transport = build(script)
    link, _ = load(transport, tmp_path, accelerator="gpu", options={"gpu_backend": "cl; touch x"})
    link.quit()
    assert "--gpu_backend=cl; touch x" in told.read_text()
    with pytest.raises(AgentError, match="this benchmark_model has no flag --gpu_bakend") as caught:
        load(transport, tmp_path, accelerator="gpu", options={"gpu_bakend": "cl"})
    assert caught.value.kind == "setting"


@pytest.mark.parametrize("accelerator", ["cpu", "gpu", "nnapi"])
def test_half_precision_is_for_those_who_ask_for_it(accelerator: str) -> None:
    full, half = (
        ProgramSettings(1, None, accelerator, dtype).flags for dtype in ("float32", "float16")
    )
    assert not any(flag.endswith("16=true") or "allowed=true" in flag for flag in full)
    assert any(flag.endswith("16=true") or "allowed=true" in flag for flag in half)


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        (prints(PARTLY), "model", "GPU does not run all of the model: parts stay on"),
        (prints(UNUSED), "model", "GPU does not run all of the model"),
        (prints(), "model", "cannot tell whether GPU ran the model"),
        (prints("Applied GPU delegate."), "model", "cannot tell whether GPU ran all of the model"),
        (
            prints(
                "Applied GPU delegate, and the model graph will be partially executed w/ the "
                "delegate w/ 2 delegate kernels."
            ),
            "model",
            "parts stay on the CPU",
        ),
        (prints("WARN: Unconsumed cmdline flags: --use_gpu=true"), "runtime", "without GPU"),
        (prints(WHOLE, "exit 1"), "model", "benchmark_model failed: "),
        (prints(WHOLE, "echo 'ERROR: Failed to apply GPU delegate.'; exit 1"), "model", "to apply"),
        (prints(WHOLE, "kill -11 $$"), "model", "crashed: signal 11"),
        (prints(WHOLE, "kill -9 $$"), "model", "did not finish within 20 s"),
        ("#!/bin/sh\necho count=5\n", "model", "cannot read what this benchmark_model prints: "),
        ("#!/bin/sh\nprintf '\\033[31mcount=5\\n'\n", "model", "cannot read what this"),
        (
            "#!/bin/sh\nprintf '\\t--num_threads=1\\n\\t--use_nnapi=false\\n'\n",
            "runtime",
            "without GPU",
        ),
        ("#!/nowhere/sh\n", "runtime", "cannot run this benchmark_model"),
    ],
)
def test_what_did_not_run_as_asked_is_worth_nothing(
    build: Callable[..., AdbTransport], tmp_path: Path, script: str, kind: str, said: str
) -> None:
    with pytest.raises(AgentError, match=said) as caught:
        load(build(script), tmp_path, accelerator="gpu")
    assert caught.value.kind == kind
    assert "\x1b" not in str(caught.value)


OF_2_2 = """\
#!/bin/sh
[ "$1" = --help ] && { printf 'usage\\nFlags:\\n\\t--graph=\\n\\t--use_gpu=false\\n' >&2; exit 1; }
cat <<'END'
STARTING!
Use gpu : [1]
Applied GPU delegate, and the model graph will be completely executed w/ the delegate.
count=3 first=5100 curr=5000 min=4900 max=5100 avg=5000 std=80
count=20 first=4400 curr=4200 min=4000 max=4400 avg=4200 std=50
Inference timings in us: Init: 13386, First inference: 5100, Warmup (avg): 5000, \
Inference (avg): 4200
END
"""


def test_the_words_of_an_older_version_are_believed(
    build: Callable[..., AdbTransport], tmp_path: Path
) -> None:
    link, handle = load(build(OF_2_2), tmp_path, accelerator="gpu")
    assert link.run(handle, 1, 1, 20.0)[0] == (4_200_000,)
    link.quit()


HASTY = """\
shift 3
before=$(date +%s%N)
"$@"
code=$?
[ $(($(date +%s%N) - before)) -gt 50000000 ] || exit 127
exit $code"""
"""A `timeout` that is not ready when its program ends at once, as toybox's happens to be."""


def test_a_program_that_ends_at_once_is_not_one_that_cannot_be_run(
    build: Callable[..., AdbTransport], adb_peer: AdbPeer, tmp_path: Path
) -> None:
    adb_peer.adbd.tool("timeout", HASTY)
    with pytest.raises(AgentError, match="benchmark_model failed: exit code 3"):
        load(build("#!/bin/sh\nexit 3\n"), tmp_path)


def test_a_program_that_hangs_is_ended_on_the_phone(
    build: Callable[..., AdbTransport], adb_peer: AdbPeer, tmp_path: Path
) -> None:
    hanging = '#!/bin/sh\n[ "$1" = --help ] && exit 1\nexec sleep 60 "$@"\n'
    with pytest.raises(AgentError, match="did not finish within 1 s"):
        load(build(hanging), tmp_path, deadline_s=1.0)
    assert [pid for pid in adb_peer.processes() if b"sleep" in command_of(pid)] == []


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_program_for_another_processor_is_told_apart(
    build: Callable[..., AdbTransport], tmp_path: Path
) -> None:
    transport = build("")
    binary = tmp_path / "benchmark_model"
    binary.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\xb7\x00" + bytes(100))
    with pytest.raises(AgentError, match="cannot run this benchmark_model"):
        load(transport, tmp_path)


def test_a_model_that_was_not_put_there_is_missing(build: Callable[..., AdbTransport]) -> None:
    with build(prints()).start_agent() as channel:
        link = AgentLink(channel)
        link.hello(1, None)
        with pytest.raises(AgentError, match="is not on the phone") as caught:
            link.load("0" * 64, "benchmark_model", {})
    assert caught.value.kind == "missing"


def test_a_path_of_shell_words_runs_nothing(adb_peer: AdbPeer, tmp_path: Path) -> None:
    binary = tmp_path / "$(touch canary);'"
    binary.write_text(prints())
    device = phone(adb_peer, binary)
    with AdbTransport(device, adb_peer.server) as transport:
        load(transport, tmp_path)[0].quit()
    assert list(tmp_path.rglob("canary")) == []


# Which CPUs.


def test_the_fastest_cpus_are_taken_of_equals_the_last() -> None:
    facts = {"cpus": 8, "max_mhz": [1803.0] * 4 + [2253.0] * 2 + [2802.0] * 2}
    assert choose_cpus(None, 1, facts) == [7]
    assert choose_cpus(None, 4, facts) == [4, 5, 6, 7]
    assert choose_cpus([3, 1], 4, facts) == [1, 3]
    assert choose_cpus(None, 2, {"cpus": 4}) == [2, 3]
    assert choose_cpus(None, 2, {}) is None
    with pytest.raises(Refused, match=r"CPUs \[8\] do not exist"):
        choose_cpus([8], 1, facts)


# One profiler at a time.


def test_the_second_profiler_is_told_who_has_the_phone(
    build: Callable[..., AdbTransport],
) -> None:
    transport = build(prints())
    first, second = transport.start_agent(), transport.start_agent()
    AgentLink(first).hello(1, None, "ann@desk pid 7 $(touch canary) '")
    with pytest.raises(AgentError, match=r"ann@desk pid 7 \$\(touch canary\) ' since") as caught:
        AgentLink(second).hello(1, None, "bob@lap pid 8")
    assert caught.value.kind == "busy"
    first.close()
    AgentLink(second).hello(1, None, "bob@lap pid 8")
    second.close()


def test_agents_and_benchmark_model_exclude_each_other(
    build: Callable[..., AdbTransport], adb_peer: AdbPeer
) -> None:
    with adb_peer.open() as other, other.start_agent() as agent:
        AgentLink(agent).hello(1, None, "ann@desk pid 7")
        with (
            build(prints()).start_agent() as channel,
            pytest.raises(AgentError, match="in use by ann@desk pid 7"),
        ):
            AgentLink(channel).hello(1, None, "bob@lap pid 8")


def test_a_profiler_that_goes_silent_loses_the_phone(
    build: Callable[..., AdbTransport], adb_peer: AdbPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb_lock, "SILENCE_S", 1)
    transport = build(prints())
    silent = transport.start_agent()
    AgentLink(silent).hello(1, None, "ann@desk pid 7")
    time.sleep(1.5)
    with transport.start_agent() as channel:
        AgentLink(channel).hello(1, None, "bob@lap pid 8")
    silent.close()


def test_a_phone_without_flock_is_still_held_by_one(
    build: Callable[..., AdbTransport], adb_peer: AdbPeer
) -> None:
    adb_peer.adbd.tool("flock", "exit 127")
    transport = build(prints())
    first, second = transport.start_agent(), transport.start_agent()
    AgentLink(first).hello(1, None, "ann@desk pid 7")
    with pytest.raises(AgentError, match="in use by ann@desk pid 7 since"):
        AgentLink(second).hello(1, None, "bob@lap pid 8")
    first.close()
    AgentLink(second).hello(1, None, "bob@lap pid 8")
    second.close()
    assert "held" not in adb_peer.files()


def test_without_flock_a_profiler_that_went_silent_loses_the_phone(
    build: Callable[..., AdbTransport], adb_peer: AdbPeer
) -> None:
    adb_peer.adbd.tool("flock", "exit 127")
    transport = build(prints())
    transport.start_agent().close()  # makes the folder
    (adb_peer.folder / "held").mkdir()
    (adb_peer.folder / "lock").write_text("ann@desk pid 7")
    with transport.start_agent() as channel:
        with pytest.raises(AgentError, match="in use by ann@desk pid 7"):
            AgentLink(channel).hello(1, None, "bob@lap pid 8")
        long_ago = time.time() - 2 * adb_lock.SILENCE_S
        os.utime(adb_peer.folder / "held", (long_ago, long_ago))
        AgentLink(channel).hello(1, None, "bob@lap pid 8")


# A whole profile, with a stand-in that really runs the networks.

QUICK = Protocol(min_sessions=2, max_sessions=2)


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "benchmark_model"
    path.write_text(f"#!{sys.executable}\n{Path(stand_in.__file__).read_text()}")
    return path


def test_what_it_computes_is_compared_with_the_host(
    adb_peer: AdbPeer, binary: Path, tiny_space: Space
) -> None:
    with (
        ModelStore([tiny_space], "benchmark_model") as store,
        AdbTransport(phone(adb_peer, binary), adb_peer.server) as transport,
        transport.start_agent() as channel,
    ):
        model = store.model(Cell("tiny", "d22222", 32, 2))
        transport.put(model.path, model.sha256)
        link = AgentLink(channel)
        hello = link.hello(1, None)
        loaded = link.load(model.sha256, "benchmark_model", {})
        assert hello.facts["output_checked"] is True
        assert loaded.input_shape == (2, 3, 32, 32)
        assert model.mismatch(loaded.output, loaded.output_size) is None
        other = [value + 1 for value in loaded.output]
        assert model.mismatch(other, loaded.output_size) is not None
    assert not [name for name in adb_peer.files() if name.endswith(".part")]


def test_a_phone_becomes_a_table(
    adb_peer: AdbPeer, binary: Path, tiny_space: Space, tmp_path: Path
) -> None:
    cells = tuple(Cell("tiny", subnet, 32, 1) for subnet in ("d22222", "d44444"))
    plan = Plan("2", 0, cells, fit=(0, 1), held_out=())
    request = ProfileRequest(
        tiny_space, (32,), (1,), tmp_path / "pixel.csv", protocol=QUICK, patience_s=0
    )
    device = phone(adb_peer, binary, cpu_mask="1")
    with AdbTransport(device, adb_peer.server) as transport:
        written = profile(
            device,
            request,
            Display("pixel", quiet=True),
            plan=plan,
            transport=transport,
        ).written
    assert [row.cell for row in written.table.rows] == list(cells)
    assert all(row.source == "measured" and row.n_sessions == 2 for row in written.table.rows)
    # Single inferences are not known, so neither is what 90 % of them took.
    assert all(row.p90_ms is None and row.n_runs == 2 for row in written.table.rows)
    meta = json.loads(meta_path(written.path).read_text())
    assert meta["facts"]["output_checked"] is True
    assert "median of 20 inferences" in meta["facts"]["run"]
    assert meta["fingerprint"]["board"] == "Google Pixel 6"
    assert meta["affinity"] == [0]
    _, lines = read_journal(journal_path(written.path))
    timings = of_kind(lines, Timing)
    assert all(t.warmup_ns == () and t.state["benchmark_us"][0]["count"] >= 20 for t in timings)


def test_a_model_file_of_ones_own_becomes_a_row_whose_outputs_are_not_checked(
    adb_peer: AdbPeer, binary: Path, tiny_space: Space, tmp_path: Path
) -> None:
    (tmp_path / "nets").mkdir()
    write_tflite(tmp_path / "nets" / "my net.tflite", tiny_space)
    (tmp_path / "nets" / "b.onnx").write_bytes(b"no matter what")
    files = collection_of("files", [], [tmp_path / "nets"])
    request = ProfileRequest(files, (), (1,), tmp_path / "pixel.csv", protocol=QUICK, patience_s=0)
    device = phone(adb_peer, binary, cpu_mask="1")
    with AdbTransport(device, adb_peer.server) as transport:
        display = Display("pixel", quiet=True)
        written = profile(device, request, display, transport=transport).written
    rows = {row.cell.subnet: row for row in written.table.rows}
    assert rows["my net"].n_sessions == 2
    assert rows["b"].status == "failed"
    meta = json.loads(meta_path(written.path).read_text())
    assert meta["models"]["my net@32x1"]["checked_with"] == ""
    assert meta["caveats"] == [
        "my net: its outputs were not checked: what runs on the device does not tell them"
    ]
    assert "benchmark_model runs .tflite files" in meta["failures"]["b@0x1"]
