"""What every way to a device promises, with real devices that are slow, dying, lying or cut off."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError
from compofa.common.files import sha256
from compofa.profiler.models.model_store import ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.agent_client import LONGEST_REPLY, AgentError, AgentLink
from compofa.profiler.transports.base import AgentLost, LinkLost, Transport
from compofa.supernet.space import Space
from rigs import scripts
from rigs.peer import Peer

STEPS: dict[str, Callable[[AgentLink], object]] = {
    "hello": lambda link: link.hello(1, None),
    "load": lambda link: link.load("0" * 64, "onnxruntime", {}),
    "run": lambda link: link.run(1, 1, 0, 10.0),
    "state": lambda link: link.state(),
    "unload": lambda link: link.unload(1),
    "quit": lambda link: link.quit(),
}


def test_models_are_put_there_run_and_the_agent_ends(peer: Peer, tiny_space: Space) -> None:
    with ModelStore([tiny_space]) as store, peer.open() as transport:
        model = store.model(Cell("tiny", "d22222", 32, 1))
        transport.put(model.path, model.sha256)
        transport.put(model.path, model.sha256)
        assert model.sha256 in peer.files()
        with transport.start_agent() as channel:
            link = AgentLink(channel)
            hello = link.hello(1, None)
            assert len(peer.processes()) == 1
            loaded = link.load(model.sha256, "onnxruntime", {})
            assert model.mismatch(loaded.output, loaded.output_size, 1e-3) is None
            times, _ = link.run(loaded.handle, 5, 1, 60.0)
            link.quit()
    assert len(times) == 5
    assert hello.pid > 0


def test_every_agent_is_a_fresh_process(peer: Peer, tmp_path: Path) -> None:
    pids = []
    with peer.open(scripts.agent(tmp_path, "pass")) as transport:
        for _ in range(3):
            with transport.start_agent() as channel:
                pids.append(AgentLink(channel).hello(1, None).pid)
    assert len(set(pids)) == 3


def test_a_file_of_100_mb_arrives_whole_and_once(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "large"
    block = os.urandom(1 << 20)
    file.write_bytes(b"".join(bytes([i]) + block for i in range(100)))
    digest = sha256(file.read_bytes())
    hashing = scripts.program(
        tmp_path,
        """
        for line in sys.stdin:
            with open(os.path.join(sys.argv[1], line.strip()), "rb") as file:
                say(hashlib.sha256(file.read()).hexdigest().encode() + b"\\n")
        """,
    )
    with peer.open(hashing) as transport:
        transport.put(file, digest)
        with transport.start_agent() as channel:
            channel.send(digest.encode() + b"\n")
            assert channel.receive_line(60.0, 1000) == digest.encode() + b"\n"
        begun = time.monotonic()
        transport.put(file, digest)
        assert time.monotonic() - begun < 0.5


def test_bytes_of_every_value_pass_both_ways(peer: Peer, tmp_path: Path) -> None:
    echo = scripts.program(tmp_path, "while data := os.read(0, 4096): say(data)")
    everything = bytes(byte for byte in range(256) if byte != 10) * 500 + b"\n"
    with peer.open(echo) as transport, transport.start_agent() as channel:
        channel.send(everything)
        assert channel.receive_line(20.0, 1 << 20) == everything


def test_a_peer_of_one_byte_at_a_time_is_understood(peer: Peer, tmp_path: Path) -> None:
    slow = """
        line = json.dumps({"id": request["id"], "ok": {"ns": [7], "state": {}}}) + "\\n"
        for byte in line.encode():
            say(bytes([byte]))
            time.sleep(0.002)
        os._exit(0)
        """
    with (
        peer.open(scripts.agent(tmp_path, slow)) as transport,
        transport.start_agent() as channel,
    ):
        assert AgentLink(channel).run(1, 1, 0, 60.0)[0] == (7,)


@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_any_step_is_told_with_the_last_words(
    peer: Peer, tmp_path: Path, step: str
) -> None:
    dying = f"""
        if request["do"] == "{step}":
            sys.exit("killed by {step}")
        """
    with (
        peer.open(scripts.agent(tmp_path, dying)) as transport,
        transport.start_agent() as channel,
    ):
        for name, do in STEPS.items():
            if name == step:
                break
            do(AgentLink(channel))
        with pytest.raises(AgentLost, match=f"the agent ended: exit code 1, killed by {step}"):
            STEPS[step](AgentLink(channel))


def test_a_death_by_signal_is_told(peer: Peer, tmp_path: Path) -> None:
    suicidal = scripts.agent(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    with (
        peer.open(suicidal) as transport,
        transport.start_agent() as channel,
        pytest.raises(AgentLost, match="the agent ended: (killed|signal 9)"),
    ):
        AgentLink(channel).state()


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("say(b'\\x1b[2J' + b'{' * 50 + b'\\n')", "is not JSON"),
        ("say(b'\\xff\\x00\\xfe\\n')", "is not JSON"),
        ("reply({'id': 99})", "answers another request"),
        ("reply(request, ns=[float('nan')], state={})", "ns holds nan"),
        ("reply(request, ns=[-1], state={})", "a run of -1 ns"),
        ("while True: say(b'x' * 65536)", f"a line of more than {LONGEST_REPLY:,} bytes"),
    ],
)
def test_a_peer_that_lies_is_cut_off(peer: Peer, tmp_path: Path, lie: str, said: str) -> None:
    with peer.open(scripts.agent(tmp_path, lie)) as transport:
        channel = transport.start_agent()
        channel.closing_s = 0.3
        with pytest.raises(DeviceError, match=said) as caught:
            AgentLink(channel).run(1, 1, 0, 20.0)
        channel.close()
    assert str(caught.value).isprintable()


def test_gigabytes_of_complaints_are_dropped(peer: Peer, tmp_path: Path) -> None:
    noisy = "for _ in range(200): os.write(2, b'\\x1b[31m' * 10_000 + b'\\n')"
    with (
        peer.open(scripts.agent(tmp_path, noisy)) as transport,
        transport.start_agent() as channel,
    ):
        assert AgentLink(channel).run(1, 1, 0, 60.0)[0] == (5,)


def test_a_silent_peer_is_left_at_the_deadline_and_ended(peer: Peer, tmp_path: Path) -> None:
    silent = scripts.program(tmp_path, "time.sleep(600)")
    with peer.open(silent) as transport:
        channel = transport.start_agent()
        channel.closing_s = 0.3
        begun = time.monotonic()
        with pytest.raises(AgentLost, match=r"said nothing for 0\.5 s"):
            channel.receive_line(0.5, 1000)
        channel.close()
        channel.close()
        assert time.monotonic() - begun < 5


def test_work_under_way_can_be_cancelled(peer: Peer, tmp_path: Path) -> None:
    busy = scripts.agent(tmp_path, "time.sleep(600)")
    with peer.open(busy) as transport:
        channel = transport.start_agent()
        channel.closing_s = 0.3
        channel.send(b'{"id": 1, "do": "run"}\n')
        time.sleep(0.2)
        channel.close()
        peer.wait_for_processes([])


def test_two_profilers_do_not_measure_at_once(peer: Peer) -> None:
    with peer.open() as first, peer.open() as second:
        holding, waiting = first.start_agent(), second.start_agent()
        AgentLink(holding).hello(1, None, "ann@desk pid 7")
        with pytest.raises(AgentError, match="in use by ann@desk pid 7 since") as caught:
            AgentLink(waiting).hello(1, None, "bob@lap pid 8")
        assert caught.value.kind == "busy"
        holding.close()
        AgentLink(waiting).hello(1, None, "bob@lap pid 8")
        waiting.close()


def test_a_dead_holder_holds_nothing(peer: Peer) -> None:
    with peer.open() as first, peer.open() as second:
        holding = first.start_agent()
        AgentLink(holding).hello(1, None, "ann@desk pid 7")
        for pid in peer.processes():
            os.kill(pid, 9)
        with second.start_agent() as channel:
            AgentLink(channel).hello(1, None, "bob@lap pid 8")
        holding.close()


def test_a_full_disk_is_told_and_left_as_it_was(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(os.urandom(3 << 20))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with (
        peer.full_disk(),
        peer.open() as transport,
        pytest.raises(DeviceError, match=r"free|space|room"),
    ):
        transport.put(file, digest)
    with peer.open() as transport:
        transport.put(file, digest)
    assert digest in peer.files()


def lose(transport: Transport, harm: Callable[[], None]) -> float:
    """Does harm to a run under way; how many seconds later that was noticed."""
    with ThreadPoolExecutor(1) as pool, transport.start_agent() as channel:
        channel.closing_s = 0.3
        link = AgentLink(channel)
        link.hello(1, None)
        run = pool.submit(link.run, 1, 1, 0, 60.0)
        time.sleep(0.2)
        harm()
        begun = time.monotonic()
        with pytest.raises(LinkLost):
            run.result()
        return time.monotonic() - begun


BUSY = """
if request["do"] == "run":
    time.sleep(60)
"""


def test_a_killed_server_is_noticed_and_reached_again(peer: Peer, tmp_path: Path) -> None:
    with peer.open(scripts.agent(tmp_path, BUSY)) as transport:
        assert lose(transport, peer.kill_server) < 2
        timer = threading.Timer(0.5, peer.start_server)
        timer.start()
        with transport.start_agent() as channel:
            hello = AgentLink(channel).hello(1, None)
            peer.wait_for_processes([hello.pid])
        timer.join()


def test_a_cut_line_is_noticed_within_10_s_and_its_agent_ended(peer: Peer, tmp_path: Path) -> None:
    with peer.open(scripts.agent(tmp_path, BUSY)) as transport:
        assert lose(transport, peer.cut) < 10
        assert len(peer.processes()) == 1
        peer.mend()
        with transport.start_agent() as channel:
            hello = AgentLink(channel).hello(1, None)
            peer.wait_for_processes([hello.pid])


def test_a_transfer_goes_on_after_a_killed_server(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(os.urandom(60 << 20))
    digest = sha256(file.read_bytes())
    with peer.open(scripts.agent(tmp_path, "pass")) as transport, ThreadPoolExecutor(1) as pool:
        transport.start_agent().close()
        transfer = pool.submit(transport.put, file, digest)
        time.sleep(0.3)
        peer.kill_server()
        with pytest.raises(LinkLost):
            transfer.result()
        assert digest not in peer.files()
        peer.start_server()
        transport.start_agent().close()
        transport.put(file, digest)
        assert digest in peer.files()
