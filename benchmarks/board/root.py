"""The files of an emulated board: Debian for 64-bit ARM with sshd, Python and ONNX Runtime.

Packages are unpacked and never configured, so nothing of the board's runs here and nobody needs to
be root; what their installation scripts would have done, the few lines in `_configure` do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "base-files bash coreutils dash findutils grep sed util-linux mount iproute2 procps "
    "openssh-server python3 python3-venv python3-distutils libstdc++6 busybox-static "
    "linux-image-cloud-arm64"
)

WHEELS = ["onnxruntime", "numpy"]
PLATFORMS = ["manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64"]
PYTHON = "3.11"
"""Debian 12's; the wheels are for it."""

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"

INIT = """\
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -o remount,rw /
mount -t tmpfs none /run
mount -t tmpfs none /tmp
mkdir -p /run/sshd /dev/pts
mount -t devpts none /dev/pts
echo board > /proc/sys/kernel/hostname
ip link set lo up
device=$(basename /sys/class/net/e*)
ip link set "$device" up
ip address add 10.0.2.15/24 dev "$device"
/usr/sbin/sshd -E /dev/console
echo "the board is up"
trap 'sync; mount -o remount,ro /; poweroff -f' TERM
while :; do sleep 3600 & wait; done
"""

SSHD = """\
AuthenticationMethods publickey
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
StrictModes no
Subsystem sftp /usr/lib/openssh/sftp-server
"""


def make_root(folder: Path, key: Path) -> Path:
    """Downloads and unpacks everything into FOLDER/root; `key`.pub may log in there as root."""
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for package in _download(folder / "apt"):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(root)], check=True)
    _install_wheels(root)
    _configure(root, key)
    return root


def _download(folder: Path) -> list[Path]:
    """The packages and all they depend on, by an apt that knows of no installed package."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    apt = ["apt-get", *options, "--quiet", "--yes"]
    subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
    install = [*apt, "--download-only", "install", *PACKAGES.split()]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _install_wheels(root: Path) -> None:
    target = root / "usr/local/lib" / f"python{PYTHON}" / "dist-packages"
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *platforms,
         "--python-version", PYTHON, "--constraint", str(CONSTRAINTS), "--target", str(target),
         *WHEELS], check=True
    )  # fmt: skip


def _configure(root: Path, key: Path) -> None:
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:100::/run/sshd:/bin/false\n",
        "etc/group": "root:x:0:\nsshd:x:100:\n",
        "etc/shadow": "root:*:20000::::::\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "etc/hosts": "127.0.0.1 localhost board\n",
        "etc/machine-id": "b0a7d" + 27 * "0" + "\n",
        "etc/ssh/sshd_config": SSHD,
        "root/.ssh/authorized_keys": key.with_suffix(".pub").read_text(),
        "init": INIT,
    }
    for name in ("dev", "proc", "sys", "run", "tmp", "mnt", "root"):
        (root / name).mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "init").chmod(0o755)
    host_key = root / "etc/ssh/ssh_host_ed25519_key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "board", "-f", str(host_key)],
        check=True,
    )
