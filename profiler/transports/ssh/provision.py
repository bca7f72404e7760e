"""A Python environment of our own on an SSH host, with the runtime that its networks need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from compofa.common.console import printable
from compofa.common.errors import DeviceError, UserError, file_error
from compofa.profiler.transports.ssh.host import ENVIRONMENT, READY, Host
from compofa.profiler.transports.ssh.remote_process import ProgramEnd, run

INSTALL_S = 3600.0
"""How long pip may take: a slow board with a slow card needs long for a large wheel."""

WHEELS = "wheels"
"""Where wheels are while they are installed; pip wants them under their own names."""

MAKE = 'rm -rf "$2"; exec "$1" -m venv "$2"'
MAKE_WITHOUT_PIP = 'rm -rf "$2"; exec "$1" -m venv --without-pip "$2"'
NAME_WHEEL = 'mkdir -p "$1" && ln -f "$2" "$1/$3"'
FINISH = 'rm -rf "$1"; : > "$2"'


def provision(host: Host, packages: Sequence[str], wheels: Path | None) -> None:
    """Makes the environment anew and installs `packages` there.

    Args:
        host: needs a Python with the module venv; from then on its agents run in the environment.
        packages: as pip calls them.
        wheels: a folder with the wheels of all of them, for hosts without a network. A wheel of pip
            among them serves where the host's Python cannot bring its own, as Debian's.

    Raises:
        LinkLost: the connection broke; the environment does not count then.
        UserError: there are no wheels in that folder, or the inventory names another Python.
        DeviceError: the host's Python makes no environments, or pip failed there.
    """
    if host.named_python is not None:
        raise UserError(
            f"the inventory has {host.alias} run its agents with {host.named_python}, and nothing "
            "is installed there",
            hint="remove `python` from the inventory to use an environment that --provision makes",
        )
    files = [] if wheels is None else _wheels(wheels)
    environment = host.files.path(ENVIRONMENT)
    folder = host.files.path(WHEELS)
    for file in files:
        _put(host, file, folder)
    pip = next((file.name for file in files if file.name.startswith("pip-")), None)
    made = run(
        host.connection,
        # venv's own pip needs ensurepip, which Debian leaves out.
        MAKE_WITHOUT_PIP if pip else MAKE,
        host.system_python(),
        environment,
        deadline_s=INSTALL_S,
    )
    if made.code:
        raise _failed(host, "make a Python environment", made)
    words = [f"{environment}/bin/python", *((f"{folder}/{pip}/pip",) if pip else ("-m", "pip"))]
    words += ["install", "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    if files:
        words += ["--no-index", "--find-links", folder]
    installed = run(host.connection, 'exec "$@"', *words, *packages, deadline_s=INSTALL_S)
    if installed.code:
        raise _failed(host, f"install {' and '.join(packages)}", installed)
    run(host.connection, FINISH, folder, host.files.path(READY))


def _wheels(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise file_error(error, folder, "cannot read the wheels") from None
    wheels = [file for file in files if re.fullmatch(r"\w[\w.+!-]*\.whl", file.name)]
    if not wheels:
        raise UserError("the folder holds no wheels (*.whl)", path=folder)
    return wheels


def _put(host: Host, file: Path, folder: str) -> None:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    host.files.put(file, digest)
    named = run(host.connection, NAME_WHEEL, folder, host.files.path(digest), file.name)
    if named.code:
        raise _failed(host, f"keep {file.name}", named)


def _failed(host: Host, doing: str, how: ProgramEnd) -> DeviceError:
    said = (how.errors or how.output).splitlines()
    lacking = "ensurepip" in how.output + how.errors or "No module named venv" in how.errors
    hint = "on Debian and Ubuntu: sudo apt install python3-venv" if lacking else None
    # pip's first error is the cause; what it prints last is advice.
    why = printable(next((line for line in said if "ERROR" in line), said[-1] if said else "?"))
    return DeviceError(f"cannot {doing} on {host.alias}: {why}", hint=hint)
