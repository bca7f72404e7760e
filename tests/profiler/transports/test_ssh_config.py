"""~/.ssh/config: what is taken from it, and that the inventory beats it."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.profiler.transports.ssh.ssh_config import SshConfig


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def config(home: Path, text: str) -> SshConfig:
    (home / ".ssh" / "config").write_text(text)
    return SshConfig()


def test_without_a_file_a_host_is_what_it_is_called(home: Path) -> None:
    login = SshConfig().login("rpi4.local", "pi")
    assert (login.host, login.port, login.user) == ("rpi4.local", 22, "pi")
    assert login.key_name == "rpi4.local"
    assert login.known_hosts[0] == home / ".ssh" / "known_hosts"
    assert login.identities == ()
    assert login.jumps == ()
    assert login.proxy_command is None


def test_an_alias_brings_all_that_is_said_of_it(home: Path) -> None:
    login = config(
        home,
        """
        Host rpi4
            HostName 10.0.0.4
            User pi
            Port 2222
            IdentityFile ~/.ssh/board
            IdentitiesOnly yes
        Host *
            User nobody
            IdentityFile ~/.ssh/usual
        """,
    ).login("rpi4")
    assert (login.host, login.port, login.user) == ("10.0.0.4", 2222, "pi")
    assert login.identities == (home / ".ssh" / "board", home / ".ssh" / "usual")
    assert login.identities_only
    assert login.key_name == "[10.0.0.4]:2222"
    assert login.command == "ssh -p 2222 pi@rpi4"


def test_the_inventory_beats_the_file(home: Path) -> None:
    login = config(home, "Host rpi4\n User pi\n Port 2222\n").login("rpi4", "ann", 22)
    assert (login.user, login.port) == ("ann", 22)


def test_host_keys_may_be_filed_elsewhere(home: Path) -> None:
    login = config(
        home, "Host *\n HostKeyAlias lab\n Port 2222\n UserKnownHostsFile ~/lab /etc/lab\n"
    ).login("rpi4")
    assert login.key_name == "lab"
    assert login.known_hosts[:2] == (home / "lab", Path("/etc/lab"))


def test_jump_hosts_and_proxy_commands(home: Path) -> None:
    found = config(
        home,
        """
        Host behind
            ProxyJump ann@gate:2200, inner
        Host proxied
            ProxyCommand nc %h %p
        Host inner
            HostName 10.0.0.1
        Host direct
            ProxyJump none
        """,
    )
    assert found.login("behind").jumps == ("ann@gate:2200", "inner")
    assert found.login("direct").jumps == ()
    assert found.login("proxied").proxy_command == "nc proxied 22"
    gate = found.hop("ann@gate:2200")
    assert (gate.host, gate.user, gate.port) == ("gate", "ann", 2200)
    assert found.hop("inner").host == "10.0.0.1"
    assert found.hop("[fe80::1]:2200").host == "fe80::1"
    assert found.hop("ssh://ann@gate:2200").user == "ann"


def test_included_files_are_read_where_they_stand(home: Path) -> None:
    parts = home / ".ssh" / "conf.d"
    parts.mkdir()
    (parts / "boards").write_text("Host rpi4\n HostName 10.0.0.4\n")
    (home / "more").write_text("Port 2222\n")
    login = config(home, "Include conf.d/*\nHost rpi4\n Include ~/more\n User pi\n").login("rpi4")
    assert (login.host, login.port, login.user) == ("10.0.0.4", 2222, "pi")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Include config\n", "include each other without end"),
        ("Host a\n Port many\n", "the port of rpi4 is not a number"),
        ("nonsense\n", "not a valid SSH configuration"),
    ],
)
def test_mistakes_in_the_file_are_named(home: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{home}/.ssh/config: .*{said}"):
        config(home, text.replace("Host a", "Host *")).login("rpi4")


def test_a_jump_host_that_is_none_is_named(home: Path) -> None:
    with pytest.raises(UserError, match=r"ProxyJump 'a:b:c' is not user@host:port"):
        SshConfig().hop("a:b:c")


@pytest.mark.parametrize("name", ["x; rm -rf ~", "$(id)", "`id`", "a b", "a|b", "", "a\\b"])
def test_names_that_mean_something_to_a_shell_are_refused(home: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name of a host"):
        SshConfig().login(name)
    with pytest.raises(UserError, match="is no name of a user"):
        SshConfig().login("rpi4", name)
