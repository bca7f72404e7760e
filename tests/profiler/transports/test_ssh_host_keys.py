"""Host keys: the files of known hosts are understood, and what is not known is never accepted."""

from __future__ import annotations

import base64
import hmac
import subprocess
from pathlib import Path

import paramiko
import pytest

from compofa.common.errors import CompofaError, DeviceError, UserError
from compofa.profiler.transports.ssh.login.host_keys import KnownHost
from compofa.profiler.transports.ssh.login.ssh_config import Login


def new_key(path: Path) -> paramiko.PKey:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return paramiko.PKey.from_path(path)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[paramiko.PKey, paramiko.PKey]:
    folder = tmp_path_factory.mktemp("keys")
    return new_key(folder / "right"), new_key(folder / "wrong")


@pytest.fixture
def key(keys: tuple[paramiko.PKey, paramiko.PKey]) -> paramiko.PKey:
    return keys[0]


def line(names: str, key: paramiko.PKey) -> str:
    return f"{names} {key.get_name()} {key.get_base64()} a comment\n"


def known(folder: Path, text: str, name: str = "rpi4") -> KnownHost:
    path = folder / "known_hosts"
    path.write_text(text)
    files = (folder / "no such file", path)
    return KnownHost(Login("rpi4", "10.0.0.4", 22, "pi", name, known_hosts=files))


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return "|1|" + "|".join(base64.b64encode(part).decode() for part in (salt, digest))


@pytest.mark.parametrize(
    ("names", "name", "right"),
    [
        ("rpi4", "rpi4", True),
        ("other,RPI4,10.0.0.4", "rpi4", True),
        ("rpi*", "rpi4", True),
        ("rpi?,!rpi4", "rpi4", False),
        ("[rpi4]:2222", "[rpi4]:2222", True),
        ("[rpi4]:2222", "r:2222", False),
        ("rpi4", "[rpi4]:2222", False),
        (hashed("rpi4"), "rpi4", True),
        (hashed("rpi5"), "rpi4", False),
        ("|1|not base64", "rpi4", False),
    ],
)
def test_lines_name_hosts_as_openssh_has_it(
    tmp_path: Path, key: paramiko.PKey, names: str, name: str, right: bool
) -> None:
    host = known(tmp_path, f"# a comment\n\n{line(names, key)}", name)
    try:
        host.check(key)
        found = True
    except CompofaError:
        found = False
    assert found == right


def test_an_unknown_key_is_shown_with_how_to_accept_it(tmp_path: Path, key: paramiko.PKey) -> None:
    with pytest.raises(UserError, match="is not known yet") as caught:
        known(tmp_path, "").check(key)
    assert f"it shows ssh-ed25519 {key.fingerprint}" in str(caught.value)
    assert key.fingerprint.startswith("SHA256:")
    assert str(caught.value).endswith("ssh pi@rpi4)")


def test_a_changed_key_is_loud_and_says_where_the_old_one_is(
    tmp_path: Path, keys: tuple[paramiko.PKey, paramiko.PKey]
) -> None:
    right, wrong = keys
    with pytest.raises(DeviceError, match="HAS CHANGED") as caught:
        known(tmp_path, "\n" + line("rpi4", right)).check(wrong)
    assert f"{tmp_path}/known_hosts:2" in str(caught.value)
    assert "ssh-keygen -R 'rpi4'" in str(caught.value)


def test_a_revoked_key_is_refused_even_where_it_is_known(
    tmp_path: Path, key: paramiko.PKey
) -> None:
    host = known(tmp_path, line("rpi4", key) + "@revoked " + line("*", key))
    with pytest.raises(DeviceError, match=r"known_hosts:2 revokes"):
        host.check(key)


def test_a_key_of_an_authority_is_no_host_s_key(tmp_path: Path, key: paramiko.PKey) -> None:
    with pytest.raises(UserError, match="not known yet"):
        known(tmp_path, "@cert-authority " + line("*", key)).check(key)


def test_the_known_kind_of_key_is_asked_for_first(tmp_path: Path, key: paramiko.PKey) -> None:
    offered = ("ecdsa-sha2-nistp256", "rsa-sha2-256", "ssh-ed25519")
    assert known(tmp_path, line("rpi4", key)).preferred(offered)[0] == "ssh-ed25519"
    assert known(tmp_path, "rpi4 ssh-rsa AAAA").preferred(offered)[0] == "rsa-sha2-256"
    assert known(tmp_path, "").preferred(offered) == offered
