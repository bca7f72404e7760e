"""The cache on a phone: files named by the SHA-256 of their content, in a private folder.

Files arrive under another name, are checked there, and are renamed: a name that is a hash holds
what it says. Beyond a bound the files used longest ago are deleted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from shlex import quote

from compofa.common.errors import DeviceError, file_error
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.base import LinkLost

CAPACITY = 2_000_000_000
"""Bytes of files that are kept on the phone."""

HASHING_S = 60.0
"""How long a phone may take to read a file of 100 MB."""

PREPARE = """\
umask 077 && mkdir -p {folder} && cd {folder} && [ -O . ] && [ ! -L {folder} ] && chmod 700 . \
&& {{ find . -maxdepth 1 -name '*.part' -mmin +10 -delete || :; }}"""

HASHES = ("sha256sum", "sha1sum", "md5sum")
"""Programs that tell whether a file is what was sent, the best first.

Android has sha256sum since version 8. The folder is private, so what is looked for is damage, and
any of them finds that.
"""

WHICH = "for each in {programs}; do echo | $each > /dev/null 2>&1 && echo $each && break; done"

FIND = "cd {folder} && [ -f {name} ] && {hash} {name} && touch {name}"

LIST = "cd {folder} && stat -c '%Y %s %n' *"

# Renamed only if what arrived is what was sent; 65 tells that from a failing command.
ACCEPT = """\
cd {folder} && set -- $({hash} {part}) && {{ [ "$1" = {digest} ] || exit 65; }} \
&& chmod {mode:o} {part} && touch {part} && mv -f {part} {name}"""

DAMAGED = 65


@dataclass
class AdbFolder:
    """The folder at `path` on a phone.

    Attributes:
        capacity: bytes that it may hold; files of this session stay in any case.
    """

    phone: Phone
    path: str
    capacity: int = CAPACITY
    _there: set[str] = field(default_factory=set, init=False)
    _hash: str = field(default="", init=False)

    def prepare(self) -> None:
        """Makes the folder, private, and clears what interrupted uploads left there.

        Raises:
            DeviceError: it cannot be made, or is somebody else's.
        """
        done = self.phone.run(PREPARE.format(folder=quote(self.path)))
        if done.code:
            raise DeviceError(
                f"cannot use the folder {self.path} on {self.phone.serial}: {done.last_words}",
                hint="name another with `folder` in the inventory",
            )

    def put(self, file: Path, sha256: str, mode: int = 0o600) -> str:
        """Makes sure that `file` is there, and returns its path on the phone.

        Raises:
            LinkLost: the connection broke.
            DeviceError: no room, or the file arrived damaged.
            UserError: `file` cannot be read.
        """
        if sha256 not in self._there:
            digest = self._digest(file, sha256)
            told = self.phone.run(self._command(FIND, sha256), HASHING_S)
            if told.code or told.text.split()[:1] != [digest]:
                self._upload(file, sha256, mode)
            self._there.add(sha256)
        return f"{self.path}/{sha256}"

    def _digest(self, file: Path, sha256: str) -> str:
        """What the phone's own program should say of `file`, whose SHA-256 is known.

        Raises:
            DeviceError: the phone has no such program.
        """
        if not self._hash:
            self._hash = self.phone.run(WHICH.format(programs=" ".join(HASHES))).text.strip()
        if self._hash not in HASHES:
            raise DeviceError(
                f"{self.phone.serial} has none of the programs {', '.join(HASHES)}, so it cannot "
                "check whether a file arrived intact"
            )
        if self._hash == HASHES[0]:
            return sha256
        try:
            content = file.read_bytes()
        except OSError as error:
            raise file_error(error, file, "cannot send the file") from None
        name = self._hash.removesuffix("sum")
        return hashlib.new(name, content, usedforsecurity=False).hexdigest()

    def _upload(self, file: Path, sha256: str, mode: int) -> None:
        try:
            self._make_room(file.stat().st_size)
        except OSError as error:
            raise file_error(error, file, "cannot send the file") from None
        # adbd deletes the file of a broken push some time later, perhaps during the next push:
        # so no two have the same name.
        part = f"{sha256}.{token_hex(4)}.part"
        try:
            self.phone.push(file, f"{self.path}/{part}", mode)
            digest = self._digest(file, sha256)
            accept = self._command(ACCEPT, sha256, mode=mode, part=part, digest=digest)
            accepted = self.phone.run(accept, HASHING_S)
            if accepted.code == DAMAGED:
                raise DeviceError(f"{file.name} arrived damaged on {self.phone.serial}")
            if accepted.code:
                raise DeviceError(
                    f"cannot keep a file on {self.phone.serial}: {accepted.last_words}"
                )
        except LinkLost:
            raise
        except DeviceError:
            self.phone.run(f"cd {quote(self.path)} && rm -f {quote(part)}")
            raise

    def _make_room(self, size: int) -> None:
        """Deletes files that were used longest ago until `size` bytes more fit."""
        files = []
        for line in self.phone.run(self._command(LIST)).text.splitlines():
            words = line.split(" ", 2)
            if len(words) == 3 and words[0].isdigit() and words[1].isdigit():
                files.append((int(words[0]), int(words[1]), words[2]))
        excess = sum(size for _, size, _ in files) + size - self.capacity
        dropped = []
        for _, bytes_, name in sorted(files):
            if excess <= 0:
                break
            # Whole files that this session has not used; what is half there may still be arriving.
            if len(name) == 64 and name not in self._there:
                dropped.append(name)
                excess -= bytes_
        if dropped:
            names = " ".join(map(quote, dropped))
            self.phone.run(f"cd {quote(self.path)} && rm -f -- {names}")

    def _command(
        self, form: str, name: str = "", *, mode: int = 0, part: str = "", digest: str = ""
    ) -> str:
        return form.format(
            folder=quote(self.path),
            name=quote(name),
            mode=mode,
            part=quote(part),
            digest=quote(digest),
            hash=self._hash,
        )
