"""`compofa-profile` while the way to its device, and it itself, are killed.

benchmarks/bench_faults.py does the same at a hundred random moments.
"""

from __future__ import annotations

from pathlib import Path

from rigs.adbd import AdbPeer
from rigs.faults import Fault, Profiler, account, suffer
from rigs.peer import Peer
from rigs.sshd import SshPeer

SHORT = "--plan", "1", "--target", "50%", "--max-time", "8s", "--no-pause"
"""A profile that is over within seconds, whatever it has measured by then."""


def survive(peer: Peer, folder: Path, *kinds: str) -> None:
    """What was measured before each fault is in the table once, and the device is left clean."""
    faults = [Fault(kind, after_s=0.7, lasts_s=0.5) for kind in kinds]
    with Profiler(peer, folder, *SHORT) as profiler:
        happened = suffer(profiler, peer, faults)
        profiler.finish()
        accounts = account(profiler, peer)
    assert accounts.wrong == []
    assert accounts.cells > 0
    assert happened == faults


def test_nothing_is_lost_or_left_over_ssh(ssh_peer: SshPeer, tmp_path: Path) -> None:
    survive(ssh_peer, tmp_path / "host", "agent", "connection", "SIGKILL")


def test_nothing_is_lost_or_left_over_adb(adb_peer: AdbPeer, tmp_path: Path) -> None:
    survive(adb_peer, tmp_path / "host", "agent", "connection", "SIGTERM")


def test_nothing_is_lost_while_a_server_hangs_or_is_mute(ssh_peer: SshPeer, tmp_path: Path) -> None:
    survive(ssh_peer, tmp_path / "host", "hang", "silent")


def test_a_profiler_that_is_told_to_end_leaves_no_models_here(
    ssh_peer: SshPeer, tmp_path: Path
) -> None:
    with Profiler(ssh_peer, tmp_path / "host", *SHORT) as profiler:
        assert suffer(profiler, ssh_peer, [Fault("agent", 0.0, 0.0), Fault("SIGTERM", 0.0, 0.0)])
        assert list(profiler.temporary.iterdir()) == []
