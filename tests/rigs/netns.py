"""A network namespace of a test's own, joined to this computer by a cable that can be cut."""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import subprocess

from compofa.common.closing import Closing

BENCH = ipaddress.ip_network("198.18.0.0/15")


class Namespace(Closing):
    """Needs root.

    Attributes:
        name: for `ip netns exec`.
        address: of the device inside; this computer is one below.
    """

    def __init__(self) -> None:
        number = secrets.randbelow(1 << 15)
        # Four addresses of those that RFC 2544 sets aside for test benches.
        here, there = (str(BENCH[4 * number + n]) for n in (1, 2))
        self.name, self.address = f"compofa-{number}", there
        self._link = f"cofa{number}"
        ip("netns", "add", self.name)
        try:
            peer = ("peer", "name", "wire", "netns", self.name)
            ip("link", "add", self._link, "type", "veth", *peer)
            ip("address", "add", f"{here}/30", "dev", self._link)
            ip("link", "set", self._link, "up")
            ip("-n", self.name, "address", "add", f"{there}/30", "dev", "wire")
            ip("-n", self.name, "link", "set", "lo", "up")
            self.mend()
        except subprocess.CalledProcessError:
            self.close()
            raise

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` inside, where mounts are nobody else's business."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """From now on bytes vanish and nobody is told."""
        ip("-n", self.name, "link", "set", "wire", "down")

    def mend(self) -> None:
        """Makes the line whole again."""
        ip("-n", self.name, "link", "set", "wire", "up")

    def close(self) -> None:
        """Deletes it; the cable goes with it."""
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)


def may_make_namespaces() -> bool:
    """Whether this process can make one."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


def ip(*words: str) -> None:
    """Runs iproute2's `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)
