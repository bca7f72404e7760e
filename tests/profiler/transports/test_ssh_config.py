"""~/.ssh/config: what is taken from it, and that the inventory beats it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.profiler.transports.ssh.login import ssh_config
from compofa.profiler.transports.ssh.login.ssh_config import SshConfig


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ssh_config, "SYSTEM_CONFIG", tmp_path / "nothing")
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
    assert login.identities is None
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
    with pytest.raises(UserError, match="must be the name or address of a host"):
        SshConfig().login(name)
    with pytest.raises(UserError, match="is not a valid user name"):
        SshConfig().login("rpi4", name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pi@rpi4", "write host: rpi4, user: pi"),
        ("rpi4:2222", "write host: rpi4, port: 2222"),
        ("pi@rpi4:2222", "write host: rpi4, user: pi, port: 2222"),
        ("ssh://pi@rpi4:2222/", "write host: rpi4, user: pi, port: 2222"),
        ("[fe80::1]:2222", "write host: fe80::1, port: 2222"),
        ("[fe80::1]", "write host: fe80::1"),
    ],
)
def test_more_than_a_host_s_name_is_taken_apart(home: Path, name: str, said: str) -> None:
    with pytest.raises(UserError, match=r"its name or address alone \(write ") as caught:
        SshConfig().login(name)
    assert f"({said})" in str(caught.value)


@pytest.mark.parametrize("name", ["rpi4", "10.0.0.4", "fe80::1", "fe80::1%eth0", "x_y.local"])
def test_names_and_addresses_are_hosts(home: Path, name: str) -> None:
    assert SshConfig().login(name).host == name


def test_what_the_inventory_says_counts_before_a_section_is_chosen(home: Path) -> None:
    text = "Match user ann\n IdentityFile ~/.ssh/%r@%h\nMatch user pi\n IdentityFile ~/.ssh/pi\n"
    login = config(home, text).login("rpi4", "ann")
    assert login.identities == (home / ".ssh" / "ann@rpi4",)


def test_the_system_s_own_file_comes_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = home / "ssh_config"
    whole.write_text("Host *\n User nobody\n IdentityAgent ~/lab\n")
    monkeypatch.setattr(ssh_config, "SYSTEM_CONFIG", whole)
    login = config(home, "Host rpi4\n User pi\n").login("rpi4")
    assert (login.user, login.agent) == ("pi", str(home / "lab"))


def test_a_criterion_that_is_not_known_is_named_where_it_counts(home: Path) -> None:
    text = "Match host other tagged lab\n User x\nMatch host rpi4 tagged lab\n User y\n"
    found = config(home, text)
    assert found.login("rpi5").port == 22
    with pytest.raises(UserError, match="`Match tagged` is not supported here"):
        found.login("rpi4")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_configuration_or_a_mistake_of_the_user(home: Path, text: str) -> None:
    (home / ".ssh" / "config").write_text(text.replace("exec", "e"))
    with suppress(UserError):
        SshConfig().login("rpi4")


KEYWORDS = (
    "Host", "Match", "Port", "IdentityFile", "Include", "ProxyJump", "CanonicalizeHostname",
    "CanonicalizeMaxDots", "HostName", "CertificateFile", "IdentityAgent", "UserKnownHostsFile",
    "User",
)  # fmt: skip

VALUES = (
    "*", "rpi4", "yes", "always", "'", '"', "a b", "final", "all x", "user", "%h", "%", "${",
    "~nobody0/x", "x" * 300, "none", "-1", "99999", "!x",
)  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KEYWORDS),
            st.sampled_from([" ", "=", " = ", "\t"]),
            st.sampled_from(VALUES),
        ),
        max_size=6,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lines_are_a_configuration_or_a_mistake_of_the_user(
    home: Path, lines: list[tuple[str, str, str]]
) -> None:
    (home / ".ssh" / "config").write_text("".join("".join(line) + "\n" for line in lines))
    with suppress(UserError):
        SshConfig().login("rpi4")
