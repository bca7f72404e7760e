"""What is tried with damaged inputs: every reader of files, the commands, and what devices say."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np

from compofa.profiler.commands import main as profile
from compofa.profiler.results.table import write_table
from compofa.search.commands.report_command import main as report
from compofa.search.commands.search_command import main as search
from compofa.supernet.spaces import get_space
from rigs.fuzzing import agents, phones, trainings
from rigs.fuzzing.mutations import damaged, damaged_json
from rigs.image_sets import picture, write_cifar, write_folders, write_idx, write_shards
from rigs.profiles import profile_on_paper
from rigs.tables import make_table
from rigs.virtual_device import Noise, VirtualDevice, _VirtualAgent

Main = Callable[[], None]

LOCAL = "--device local --space space.yaml --resolutions 32 --plan 6 --max-time 20s --seed 1"
"""What is asked of a virtual device."""

TINY_SPACE = "name: tiny\nwidth: 0.25\nclasses: 10\nresolutions: [32, 40]\n"


@dataclass(frozen=True)
class Target:
    """One kind of input, and what takes it.

    Attributes:
        make: writes good files into the working folder.
        damage: the files that are damaged, as a pattern; empty where something else is.
        attempts: each takes the files; one is chosen for each input.
        weight: how often it is tried, beside the others.
    """

    name: str
    make: Callable[[Path], None]
    damage: str
    attempts: Sequence[Callable[[Random], object]]
    weight: float = 1.0


def call(main: Main, *arguments: str) -> None:
    """Runs a command's `main` in this process, with arguments."""
    with mock.patch.object(sys, "argv", ["command", *arguments]):
        main()


def command(main: Main, line: str) -> Callable[[Random], None]:
    """An attempt that runs a command, with arguments as they are typed."""
    return lambda _: call(main, *shlex.split(line))


# What is written before it is damaged.


def tables(folder: Path) -> None:
    write_table(folder / "a.csv", make_table("a", resolutions=(160,)))
    write_table(folder / "b.csv", make_table("b", resolutions=(160,), slope=1.1))


def profiles(folder: Path) -> None:
    profile_on_paper(folder / "a.csv", sessions=3, fit=6, predicted=False)
    profile_on_paper(folder / "b.csv", sessions=3, fit=6, predicted=False, seed=8, day=2)


def predicted(folder: Path) -> None:
    profile_on_paper(folder / "a.csv", sessions=3, fit=8)
    (folder / "cells.csv").write_text(
        "space,subnet,resolution,batch_size\ncompofa,d22222,160,1\ncompofa,d44444,160,1\n"
    )


def accuracies(folder: Path) -> None:
    tables(folder)
    space = get_space("compofa")
    rows = [f"compofa,{space.key(s)},160,0.7{i:03},made" for i, s in enumerate(space.enumerate())]
    (folder / "accuracy.csv").write_text(
        "\n".join(["# made up", "space,subnet,resolution,top1,source", *rows, ""])
    )


def history(folder: Path) -> None:
    for day in range(1, 4):
        profile_on_paper(folder / "t.csv", sessions=3, fit=6, predicted=False, seed=day, day=day)
        _good(report, f"history add {folder}/t.csv --commit c{day} --to {folder}/history")


def spaces(folder: Path) -> None:
    (folder / "space.yaml").write_text(TINY_SPACE)


def devices(folder: Path) -> None:
    (folder / "devices.yaml").write_text(
        "local: {transport: local, runtime: onnxruntime, threads: 1, cpus: [0]}\n"
        "rpi4:\n  transport: ssh\n  host: rpi4.local\n  user: pi\n  port: 22\n  runtime: tflite\n"
        "  threads: 4\n  cpus: [0, 1, 2, 3]\n"
        "pixel6: {transport: adb, serial: 1A2B3C, runtime: benchmark_model, binary: b, threads: 4, "
        "cpu_mask: f0}\n"
    )


def blocks(folder: Path) -> None:
    tables(folder)
    _good(profile, f"export-lut {folder}/a.csv --out {folder}/lut")


def predictor(folder: Path) -> None:
    from compofa.supernet.accuracy_predictor.fitting import ModelKind, fit_predictor
    from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
    from compofa.supernet.accuracy_predictor.predictor_files import save_fitted

    tables(folder)
    space = get_space("compofa")
    subnets = tuple(space.enumerate()[::8])
    top1 = np.array([0.6 + sum(subnet.depths) / 100 for subnet in subnets])
    measured = MeasuredAccuracies(space, subnets, (160,) * len(subnets), top1)
    save_fitted(folder / "accuracy.npz", fit_predictor(measured, [ModelKind.GAUSSIAN])[0], measured)


def checkpoint(folder: Path) -> None:
    import torch

    from compofa.supernet import Supernet, save_checkpoint

    (folder / "space.yaml").write_text(TINY_SPACE.replace("0.25", "0.05"))
    torch.manual_seed(0)
    space = get_space(str(folder / "space.yaml"))
    save_checkpoint(folder / "c.pt", Supernet(space), {"recipe": "none"})


def images(folder: Path) -> None:
    write_idx(folder / "idx", train=24, test=4, size=8)
    write_folders(folder / "folders", per_class=8)
    write_shards(folder / "shards", shards=3, pictures=6)
    write_cifar(folder / "cifar10")
    write_cifar(folder / "cifar100")


def calibration(folder: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(folder / "images.npz", rng.standard_normal((4, 3, 32, 32)).astype(np.float32))
    (folder / "pictures").mkdir()
    for number in range(3):
        (folder / "pictures" / f"{number}.png").write_bytes(
            picture((9 * number, 20, 30), kind="PNG")
        )
    (folder / "space.yaml").write_text(TINY_SPACE)


def local_profile(folder: Path) -> None:
    local_device(folder)
    here = Path.cwd()
    os.chdir(folder)
    with VirtualDevice(lambda cell: 0.3, Noise()).plugged_in():
        _good(profile, LOCAL)
    os.chdir(here)
    shutil.copy(folder / "local.csv", folder / "plan.csv")


def _good(main: Main, line: str) -> None:
    code = _code_of(main, line)
    assert code in (0, 3), f"{line}: {code}"


# What takes it.


def read_known_files(_: Random) -> None:
    """The readers themselves: quicker than the commands around them."""
    from compofa.profiler import read_journal, read_meta, read_table
    from compofa.profiler.results.analysis import analyse

    read_table(Path("a.csv"))
    read_meta(Path("a.meta.json"))
    analyse(read_journal(Path("a.journal.jsonl"))[1])


def read_measured_accuracies(_: Random) -> None:
    from compofa.supernet.accuracy_predictor.measured import read_measured

    read_measured(Path("accuracy.csv"), None)


def read_checkpoint(_: Random) -> None:
    from compofa.supernet import load_checkpoint

    load_checkpoint(Path("c.pt"))


def read_images(rng: Random) -> None:
    from compofa.supernet import Loading, PlainBatches, open_data, split_data

    folder = rng.choice(["idx", "folders", "shards", "cifar10", "cifar100"])
    split = split_data(open_data(Path(folder)))
    for part in (split.train, split.heldout, split.test):
        for _ in PlainBatches(Loading(1 if folder == "idx" else 3), part, 8, 4):
            pass


def read_calibration(rng: Random) -> None:
    from compofa.supernet import build_graph
    from compofa.supernet.export.quantisation.calibration_images import calibration_batches

    space = get_space("space.yaml")
    graph = build_graph(space, space.extreme(False), 32)
    calibration_batches(Path(rng.choice(["images.npz", "pictures"])), graph, 1)


def go_on(line: str) -> Callable[[Random], None]:
    """An attempt that profiles a device, from what earlier profiles left."""

    def attempt(rng: Random) -> None:
        with VirtualDevice(lambda cell: 0.3, Noise(), seed=rng.randrange(1000)).plugged_in():
            call(profile, *shlex.split(line))

    return attempt


def read_ssh_config(_: Random) -> None:
    from compofa.profiler.transports.ssh.login.ssh_config import SshConfig

    with mock.patch.dict("os.environ", {"HOME": str(Path.cwd())}):
        SshConfig().login("rpi4.local", "pi")


def ssh_config(folder: Path) -> None:
    (folder / ".ssh").mkdir(exist_ok=True)
    (folder / ".ssh" / "config").write_text(
        "Host rpi4*\n  HostName 127.0.0.1\n  Port 2222\n  User pi\n  IdentityFile ~/.ssh/id_%h\n"
        "  ProxyJump gate,other:22\nMatch host other\n  UserKnownHostsFile ~/known\n"
        "Host *\n  ServerAliveInterval 5\n  IdentitiesOnly yes\n"
    )


def parse_options(rng: Random) -> None:
    """A command line with one word that is damaged."""
    main, line = rng.choice(OPTIONS)
    words = shlex.split(line)
    place = rng.randrange(len(words))
    word = damaged(words[place].encode(), rng).decode(errors="replace").replace("\0", "")
    call(main, *words[:place], word, *words[place + 1 :])


OPTIONS: Sequence[tuple[Main, str]] = [
    (search, "--table a.csv --latency 5,8 --resolutions 160 --top 3 --json"),
    (search, "--table a.csv --latency 5-20:5 --risk 5% --batch-size 1"),
    (search, "--table a.csv --max-macs 300M --max-params 5M --max-size 20MB --max-memory 9MB"),
    (search, "--table a.csv --min-top1 76% --minimise macs --at-most latency_ms=20"),
    (search, "--table a.csv --latency 15 --table b.csv --latency 20 --each --family 2"),
    (search, "--table a.csv --table b.csv --space compofa --out out.csv"),
    (report, "compare a.csv b.csv --min-effect 3% --confidence 95% --allow-different cpu"),
    (report, "compare a.csv b.csv --markdown m.md --junit j.xml --format csv=c.csv --json"),
    (profile, "import-lut lut --space compofa --device d --out o.csv --resolutions 160-224:4"),
    (profile, "predict --table a.csv --cells cells.csv --out o.csv --confidence 0.9"),
    (profile, "devices --inventory devices.yaml"),
]


def profile_a_liar(rng: Random) -> None:
    """A profile of a device that says something else than it should now and then.

    What was measured is kept: the same command on an honest device ends well, unless the device
    said what it is and lied about that.
    """
    lied_of_itself = False
    usual = _VirtualAgent.receive_line
    rate = rng.choice([0.01, 0.1])

    def receive(agent: _VirtualAgent, deadline_s: float, longest: int) -> bytes:
        nonlocal lied_of_itself
        line = usual(agent, deadline_s, longest)
        if rng.random() > rate:
            return line
        lied_of_itself |= b'"facts"' in line or b'"settings"' in line
        if rng.random() < 0.8:
            return json.dumps(damaged_json(json.loads(line), rng)).encode() + b"\n"
        return damaged(line, rng)

    device = VirtualDevice(lambda cell: 0.3, Noise(), seed=rng.randrange(1000))
    with device.plugged_in():
        with mock.patch.object(_VirtualAgent, "receive_line", receive):
            code = _code_of(profile, LOCAL)
        if not lied_of_itself:
            again = _code_of(profile, LOCAL)
            assert again in (0, 3, 124), f"{again} from an honest device, after {code}"
    raise SystemExit(code)


def _code_of(main: Main, line: str) -> int:
    try:
        call(main, *shlex.split(line))
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def local_device(folder: Path) -> None:
    (folder / "devices.yaml").write_text("local: {transport: local, runtime: onnxruntime}\n")
    (folder / "space.yaml").write_text(TINY_SPACE)
    for old in folder.glob("local.*"):
        old.unlink()


def everything(folder: Path) -> None:
    profiles(folder)
    devices(folder)
    (folder / "cells.csv").write_text("space,subnet,resolution,batch_size\ncompofa,d22222,160,1\n")


TARGETS = [
    Target("table", tables, "*.csv", [
        command(search, "--table a.csv --latency 5 --json"),
        command(search, "--table a.csv"),
        command(search, "--table a.csv --table b.csv --latency 5 --latency 6"),
        command(search, "--table a.csv --latency 4,5,6 --risk 5%"),
        command(search, "--table a.csv --latency 9 --min-top1 0.7 --out out.csv"),
        command(profile, "export-lut a.csv --out lut"),
    ], 4.0),
    Target("profile", profiles, "?.*", [
        read_known_files,
        command(report, "html a.csv"),
        command(report, "compare a.csv b.csv --json"),
        command(report, "compare a.csv b.csv --markdown m.md --junit j.xml --html p.html"),
        command(report, "history add a.csv --commit c --to h"),
    ], 6.0),
    Target("predict", predicted, "*.csv", [
        command(profile, "predict --table a.csv --cells cells.csv --out o.csv"),
    ], 0.5),
    Target("accuracy", accuracies, "accuracy.csv", [
        command(search, "--table a.csv --accuracy accuracy.csv --latency 5 --json"),
        command(search, "--table a.csv --accuracy accuracy.csv"),
        read_measured_accuracies,
    ], 2.0),
    Target("predictor", predictor, "accuracy.npz", [
        command(search, "--table a.csv --accuracy accuracy.npz --latency 5"),
    ], 1.0),
    Target("history", history, "history/*", [
        command(report, "history show history"),
        command(report, "history show history --html page.html --min-effect 1%"),
    ], 1.0),
    Target("space", spaces, "space.yaml", [lambda _: get_space("space.yaml")], 2.0),
    Target("devices", devices, "devices.yaml", [
        command(profile, "devices --inventory devices.yaml"),
        command(profile, "devices --inventory devices.yaml --json"),
    ], 3.0),
    Target("blocks", blocks, "lut/*.yaml", [
        command(profile, "import-lut lut --space compofa --device d --out o.csv"),
        command(search, "--table lut --space compofa --latency 5"),
    ], 0.5),
    Target("ssh config", ssh_config, ".ssh/config", [read_ssh_config], 1.0),
    Target("checkpoint", checkpoint, "c.pt", [read_checkpoint], 1.0),
    Target("checkpoint content", checkpoint, "", [trainings.read_other_checkpoint], 1.0),
    Target("training", trainings.write_training, "run/*.*", [trainings.go_on_with_training], 0.2),
    Target("training content", trainings.write_training, "", [
        trainings.go_on_with_other_state,
    ], 0.2),
    Target("split record", trainings.write_split_record, "split.json", [
        trainings.read_split_record,
    ], 0.5),
    Target("released files", trainings.write_released_weights, "*.pth", [
        trainings.import_weights,
        trainings.read_released_predictor,
    ], 0.3),
    Target("released content", trainings.write_released_weights, "", [
        trainings.import_other_weights,
        trainings.read_other_predictor,
    ], 0.3),
    Target("images", images, "*/**/*", [read_images], 1.0),
    Target("calibration", calibration, "*[sz]*/*.png", [read_calibration], 0.5),
    Target("calibration array", calibration, "*.npz", [read_calibration], 0.5),
    Target("journal gone on with", local_profile, "local.*", [go_on(LOCAL)], 0.3),
    Target("plan", local_profile, "plan.csv", [go_on(f"{LOCAL} --fresh --plan plan.csv")], 0.3),
    Target("options", everything, "", [parse_options], 3.0),
    Target("device replies", local_device, "", [profile_a_liar], 0.3),
    Target("phone", phones.write_answers, "*.txt", [phones.measure_on_phone], 3.0),
    Target("adb server", phones.write_server_answers, "*.bin", [phones.ask_server], 1.0),
    # An input of theirs is a conversation of many requests.
    Target("python agent", agents.find_python, "", [agents.ask("python")], 0.2),
    Target("native agent", agents.build_native, "", [agents.ask("native")], 0.2),
]  # fmt: skip


def restore(good: Path, folder: Path) -> None:
    """Puts the good files into a folder that is empty but for them."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(good, folder)


def damage(target: Target, folder: Path, rng: Random) -> Path | None:
    """Damages one of the target's files; that file, if there is one to damage."""
    files = sorted(path for path in folder.glob(target.damage or "nothing") if path.is_file())
    if not files:
        return None
    path = rng.choice(files)
    path.write_bytes(damaged(path.read_bytes(), rng))
    return path
