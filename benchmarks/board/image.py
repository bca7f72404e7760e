"""The disk of an emulated board and the small system in memory that mounts it."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from board.root import make_root

DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net", "virtio-rng", "ext4")
DISK = "1500M"

START = """\
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
for driver in {drivers}; do /bin/busybox insmod /drivers/$driver; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /disk
for folder in dev proc sys; do /bin/busybox mount --move /$folder /disk/$folder; done
exec /bin/busybox switch_root /disk /init
"""


@dataclass(frozen=True)
class Image:
    """What a board boots from, and the key that opens it."""

    folder: Path

    @property
    def kernel(self) -> Path:
        """The uncompressed Linux."""
        return self.folder / "kernel"

    @property
    def memory(self) -> Path:
        """The first files that the kernel sees."""
        return self.folder / "memory.cpio"

    @property
    def disk(self) -> Path:
        """All others; the board writes to it."""
        return self.folder / "disk.ext4"

    @property
    def key(self) -> Path:
        """Logs in as root."""
        return self.folder / "key"

    @property
    def host_key(self) -> str:
        """The board's own public key: what it proves to be."""
        return (self.folder / "host_key.pub").read_text().strip()


def make_image(folder: Path) -> Image:
    """The image in `folder`, made the first time; takes a minute and 500 MB of disk."""
    image = Image(folder)
    if image.disk.exists():
        return image
    folder.mkdir(parents=True, exist_ok=True)
    if not image.key.exists():
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(image.key)]
        subprocess.run(words, check=True)
    root = make_root(folder, image.key)
    (kernel,) = root.glob("boot/vmlinuz-*")
    shutil.copy(kernel, image.kernel)
    shutil.copy(root / "etc/ssh/ssh_host_ed25519_key.pub", folder / "host_key.pub")
    image.memory.write_bytes(_memory(root))
    _make_disk(root, image.disk)
    shutil.rmtree(root)
    return image


def _make_disk(root: Path, disk: Path) -> None:
    """A file system with the files of `root`, which belong to root there."""
    unfinished = disk.with_suffix(".part")
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(root), str(unfinished),
         DISK], check=True
    )  # fmt: skip
    unfinished.rename(disk)


def _memory(root: Path) -> bytes:
    """A cpio archive with busybox, the drivers and what loads them in their order."""
    drivers = _drivers(root)
    files = {f"drivers/{path.name}": path.read_bytes() for path in drivers}
    files["bin/busybox"] = (root / "bin/busybox").read_bytes()
    files["init"] = START.format(drivers=" ".join(path.name for path in drivers)).encode()
    folders = ("bin", "drivers", "proc", "sys", "dev", "disk")
    archive = b"".join(_entry(name, stat.S_IFDIR | 0o755, b"") for name in folders)
    archive += b"".join(_entry(name, stat.S_IFREG | 0o755, data) for name, data in files.items())
    return archive + _entry("TRAILER!!!", 0, b"")


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """One file as the kernel's cpio reader takes it (format newc: 13 numbers in hexadecimal)."""
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _drivers(root: Path) -> list[Path]:
    """The drivers that are not part of the kernel, each after those it depends on."""
    known = {path.stem.replace("-", "_"): path for path in root.glob("lib/modules/*/**/*.ko")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = known.get(name.replace("-", "_"))
        if path is None or path in ordered:
            return
        said = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for needed in said.group(1).decode().split(",") if said else []:
            add(needed)
        ordered.append(path)

    for name in DRIVERS:
        add(name)
    return ordered
