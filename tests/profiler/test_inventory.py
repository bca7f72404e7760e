"""The inventory: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.profiler.inventory import find_device, read_inventory
from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.local import LocalDevice
from compofa.profiler.transports.ssh.ssh_device import SshDevice

REPOSITORY = Path(__file__).resolve().parents[2]


def inventory(folder: Path, text: str) -> Path:
    path = folder / "devices.yaml"
    path.write_text(text)
    return path


def test_shipped_inventory_has_this_computer() -> None:
    assert isinstance(find_device(REPOSITORY / "devices.yaml", "local"), LocalDevice)


def test_shipped_examples_are_valid_once_uncommented(tmp_path: Path) -> None:
    lines = (REPOSITORY / "devices.yaml").read_text().splitlines()
    examples = [line.removeprefix("# ") for line in lines if ": {transport: " in line]
    devices = read_inventory(inventory(tmp_path, "\n".join(examples)))
    assert list(devices) == ["local", "rpi4", "pixel6", "h100", "mac"]
    assert isinstance(devices["rpi4"], SshDevice)
    assert devices["rpi4"].cpus == [0, 1, 2, 3]
    assert isinstance(devices["pixel6"], AdbDevice)
    assert devices["pixel6"].cpu_mask == "f0"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "the inventory must map names of devices to"),
        ("- local", 1, "the inventory must map names of devices to"),
        ("local: 3", 1, "the settings of local must be a mapping"),
        ("a:\n  transport: local\n  thread: 1", 3, "unknown key 'thread'.*did you mean 'threads'"),
        ("a:\n  transport: local\n  threads: two", 3, "threads: .*integer, not 'two'"),
        ("a:\n  transport: local\n  threads: true", 3, "threads: .*integer, not True"),
        ("a:\n  transport: local\n  threads: 0", 3, "greater than or equal to 1, not 0"),
        ("a: {transport: local, cpus: []}", 1, "cpus: .*at least 1 item"),
        ("a:\n  transport: local\n  cpus: [0,\n -1]", 4, r"cpus\.1: .*not -1"),
        ("a:\n  runtime: torch", 1, "transport must be one of adb, local, ssh, and is missing"),
        ("a:\n  transport: shs", 2, "not 'shs'.*did you mean 'ssh'"),
        ("a:\n  transport: local\n  runtime: onnx", 3, "did you mean 'onnxruntime'"),
        ("b: {transport: local}\na: {transport: ssh}", 2, "a: host: Field required"),
        ("a: {transport: adb, serial: [123]}", 1, r"serial: .*string, not \[123\]"),
        ("a: {transport: local}\na: {transport: local}", 2, "'a' is given twice"),
        ("a: {transport: ssh, host: -oProxyCommand=x}", 1, "must not start with '-'"),
        ('a: {transport: ssh, host: "x\\ny"}', 1, "control characters"),
        ("a: [", 1, "not valid YAML"),
        ("a: {transport: adb, serial: x, cpu_mask: '0'}", 1, "cpu_mask names no CPU"),
        ("a: {transport: adb, serial: x, cpu_mask: f, cpus: [0]}", 1, "or other CPUs than cpus$"),
        ("a: {transport: adb, serial: x, cpu_mask: $(id)}", 1, "cpu_mask: .*not '\\$"),
        ("a: {transport: adb, serial: x, folder: tmp}", 1, "folder: .*not 'tmp'"),
        ("../a: {transport: local}", 1, "is not a name for a device"),
        ("a: !!python/object/apply:os.system [true]", 1, "the tag !!python.* is not allowed"),
    ],
)
def test_mistakes_are_named_with_their_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = inventory(tmp_path, text)
    with pytest.raises(UserError, match=said) as caught:
        read_inventory(path)
    assert caught.value.line == line
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_a_mask_and_a_list_of_cpus_say_the_same(tmp_path: Path) -> None:
    text = "a: {transport: adb, serial: x, cpu_mask: f0}\nb: {transport: adb, serial: x, cpus: [1]}"
    devices = read_inventory(inventory(tmp_path, text))
    assert devices["a"].cpus == [4, 5, 6, 7]
    assert devices["b"].cpus == [1]


def test_unknown_device_is_answered_with_a_suggestion(tmp_path: Path) -> None:
    path = inventory(tmp_path, "rpi4: {transport: local}")
    with pytest.raises(UserError, match="no device is called 'rpi5'.*did you mean 'rpi4'"):
        find_device(path, "rpi5")


def test_missing_and_binary_files_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the inventory: no such file"):
        read_inventory(tmp_path / "none.yaml")
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"a: 1\n\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8") as caught:
        read_inventory(path)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("settings", "key", "value"),
    [
        ("serial: 98765432", "serial", "98765432"),
        ("serial: 0123456789", "serial", "0123456789"),
        ("serial: 12:34", "serial", "12:34"),
        ("serial: 1e5", "serial", "1e5"),
        (f"serial: {'9' * 60}", "serial", "9" * 60),
        ("serial: 1, cpu_mask: 30", "cpus", [4, 5]),
        ("serial: 1, cpu_mask: 0xf0", "cpus", [4, 5, 6, 7]),
        ("serial: 1, cpu_mask: 1e1", "cpus", [0, 5, 6, 7, 8]),
    ],
)
def test_words_that_look_like_numbers_are_taken_as_they_stand(
    tmp_path: Path, settings: str, key: str, value: object
) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(f"px: {{transport: adb, {settings}}}\n")
    assert getattr(find_device(path, "px"), key) == value


@pytest.mark.parametrize("name", ["4", "no", "0x1f", "1.5", "2020-01-01", "null"])
def test_a_device_may_be_called_by_a_word_that_yaml_takes_for_something_else(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(f"{name}: {{transport: ssh, host: 1234, user: 1000}}\n")
    device = find_device(path, name)
    assert (device.name, device.address) == (name, "1000@1234")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("transport: [ssh]", r"transport must be one of adb, local, ssh, not \['ssh'\]"),
        ("transport: {}", r"transport must be one of adb, local, ssh, not \{\}"),
        ("transport: 1", "transport must be one of adb, local, ssh, not 1"),
        ("transport: ssh, host: x, port: 0022", "port: .*, not '0022' .*without leading zeros"),
        ("transport: ssh, host: x, port: 22:22", "port: .*, not '22:22' .*decimal digits"),
        (f"transport: ssh, host: x, port: {'9' * 5000}", r"port: .*, not '999.*\.\.\. .*decimal"),
        ("transport: ssh, host: x, user: true", "user: .*, not True .put it in quotes"),
        ("transport: ssh, host: [x]", r"host: .*, not \['x'\]"),
        ("transport: ssh, host: pi@x", r"host: .* alone \(write host: x, user: pi\), not 'pi@x'"),
        ("transport: ssh, host: x:22", r"host: .* alone \(write host: x, port: 22\), not 'x:22'"),
        (f"transport: ssh, {'k' * 900}: 1", r"unknown key 'kkk.*\.\.\. for transport ssh"),
        (f"transport: {'k' * 9000}", r"not 'kkk.*\.\.\. "),
        ("transport: local, cpus: [0, [1]]", r"cpus\.1: .*, not \[1\]"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(
    tmp_path: Path, settings: str, said: str
) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(f"local: {{transport: local}}\nboard: {{{settings}}}\n")
    with pytest.raises(UserError, match=said) as caught:
        read_inventory(path)
    assert caught.value.line == 2
    assert len(str(caught.value)) < 450


@given(
    st.dictionaries(
        st.sampled_from(["transport", "host", "user", "port", "serial", "threads", "cpus", "x"]),
        st.sampled_from(
            ["ssh", "adb", "local", "1", "-1", "0", "1.5", "true", "~", "[0]", "[a]", "{}", "[]",
             "{a: 1}", "'1'", "-x", "1e400", "0x1", "é", "x@y:1"]
        ),
    )
)  # fmt: skip
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_settings_are_a_device_or_a_mistake_with_its_line(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    path = tmp_path / "devices.yaml"
    content = ", ".join(f"{key}: {value}" for key, value in settings.items())
    path.write_text(f"board: {{{content}}}\n")
    lines = [1]
    try:
        read_inventory(path)
    except UserError as error:
        lines = [error.line or 0]
    assert lines == [1]
