"""compofa-profile with a device behind a real sshd, as a person uses it."""

from __future__ import annotations

import json
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError
from compofa.profiler.commands import main
from compofa.profiler.measurement.profile import ProfileRequest, profile
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.journal import Failure, of_kind, read_journal
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.ssh import remote_process
from compofa.profiler.transports.ssh.provision import provision
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.profiler.transports.ssh.ssh_transport import SshTransport
from compofa.supernet.space import Space
from rigs.boards import timings, write_inventory
from rigs.commands import Run
from rigs.sshd import Sshd


@pytest.fixture
def folder(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(sshd.home))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_profile_survives_the_death_of_sshd(
    sshd: Sshd,
    tiny_space: Space,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick = Protocol(
        min_sessions=2, max_sessions=2, min_runs=3, run_s=1e-4, warmup_chunk=2, reference_runs=2
    )
    request = ProfileRequest(
        tiny_space, (32, 40), (1,), folder / "board.csv", 6, quick, patience_s=0
    )
    journal = folder / "board.journal.jsonl"
    with ThreadPoolExecutor(1) as pool:
        display = Display("board", quiet=True)
        profiling = pool.submit(profile, sshd.device, request, display)
        while len(timings(journal)) < 15 and not profiling.done():
            time.sleep(0.05)
        sshd.kill()
        time.sleep(0.3)
        sshd.start()
        rows = profiling.result().written.table.rows
    assert "session 1 was lost: the connection to board broke" in capsys.readouterr().err
    assert len(rows) == 2 * 243
    measured = [row for row in rows if row.source == "measured"]
    assert len(measured) == 26
    assert all(row.n_sessions == 2 for row in measured)
    found = Counter((timing.session, timing.cell) for timing in timings(journal) if timing.cell)
    assert set(found.values()) == {1}
    # The cell under way is not to blame for the line.
    assert not of_kind(read_journal(journal)[1], Failure)


def test_check_says_what_a_device_has(sshd: Sshd, folder: Path, run: Run) -> None:
    write_inventory(folder, [sshd.device])
    ended = run(main, "check", "--device", "board", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["runtimes"]["onnxruntime"]
    assert found["quietness"]["latency_ms"] > 0


def test_check_says_how_to_get_what_is_missing(sshd: Sshd, folder: Path, run: Run) -> None:
    device = sshd.device.model_copy(update={"runtime": "coreml", "python": None})
    write_inventory(folder, [device])
    ended = run(main, "check", "--device", "board")
    assert ended.code == 4
    assert "board does not have the runtime coreml" in ended.err
    assert "`compofa-profile check --device board --provision` installs it there" in ended.err


@pytest.mark.parametrize(
    ("inventory", "options", "said"),
    [
        ("{transport: local}", ("--provision",), "this transport installs nothing on a device"),
        ("{transport: local}", ("--wheels", "x"), "--wheels needs --provision"),
    ],
)
def test_mistakes_with_provision_exit_2(
    folder: Path, run: Run, inventory: str, options: tuple[str, ...], said: str
) -> None:
    (folder / "devices.yaml").write_text(f"board: {inventory}\n")
    ended = run(main, "check", "--device", "board", *options)
    assert ended.code == 2
    assert said in ended.err


def fill(folder: Path) -> None:
    """Makes a folder of wheels: a package `tinything`, and the pip that Python brings along."""
    import ensurepip

    folder.mkdir()
    (pip,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
    (folder / pip.name).write_bytes(pip.read_bytes())
    about = "tinything-1.0.dist-info"
    files = {
        "tinything.py": "ANSWER = 42\n",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / "tinything-1.0-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture
def fresh(sshd: Sshd, tmp_path: Path) -> SshDevice:
    """The device with nothing in its folder, and no Python that the inventory names."""
    return sshd.device.model_copy(update={"python": None, "folder": str(tmp_path / "cache")})


def test_an_environment_is_made_from_wheels_and_agents_run_in_it(
    fresh: SshDevice, folder: Path
) -> None:
    wheels = folder / "wheels here"
    fill(wheels)
    with SshTransport(fresh) as transport:
        provision(transport.host(), ("tinything",), wheels)
    with SshTransport(fresh) as transport:
        host = transport.host()
        python = host.python()
        assert python == str(folder / "cache" / "venv" / "bin" / "python")
        found = remote_process.run(
            host.connection, 'exec "$1" -c "import tinything as t; print(t.ANSWER)"', python
        )
        assert found.output == "42"
    assert not (folder / "cache" / "wheels").exists()


def test_an_environment_that_could_not_be_filled_does_not_count(
    fresh: SshDevice, folder: Path
) -> None:
    wheels = folder / "wheels here"
    fill(wheels)
    with SshTransport(fresh) as transport:
        with pytest.raises(DeviceError, match="cannot install nothing-like-it on board: ERROR"):
            provision(transport.host(), ("nothing-like-it",), wheels)
        assert transport.host().python() == "python3"
