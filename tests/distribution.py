"""Builds the wheel and the source distribution, checks them, and tries them: `make dist`.

    python tests/distribution.py --repository OWNER/compofa --out dist
    python tests/distribution.py --repository OWNER/compofa --out dist --extras all

What is built is the last commit, not the working tree. Pages that are read outside the repository,
as the README is on an index, need absolute links: they are made here, of the name that
`--repository` gives, so that it stands in one place, the Makefile.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

COMMANDS = (
    "compofa-profile", "compofa-report", "compofa-search", "compofa-train", "compofa-export",
)  # fmt: skip

PLACEHOLDER = "OWNER/compofa"
"""How docs name the repository while nobody has said which it is."""

LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?!https?://|#|mailto:)(?P<target>[^)\s]+)\)"
)


def absolute_links(page: str, repository: str) -> str:
    """A page of Markdown with links that lead somewhere wherever it is read.

    Args:
        page: its text, with links relative to the repository's root.
        repository: its name on GitHub, as in `OWNER/compofa`.
    """
    pages = f"https://github.com/{repository}/blob/main"
    files = f"https://raw.githubusercontent.com/{repository}/main"

    def absolute(link: re.Match[str]) -> str:
        base = files if link["image"] else pages
        return f"{link['image']}[{link['text']}]({base}/{link['target']})"

    return LINK.sub(absolute, page)


def export_commit(folder: Path, repository: str) -> None:
    """Writes the last commit's files to `folder`, with the repository's name in them."""
    archive = folder.parent / "commit.tar"
    _run("git", "-C", str(ROOT), "archive", "--output", str(archive), "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    readme = folder / "README.md"
    readme.write_text(absolute_links(readme.read_text(), repository))
    for page in (folder / "docs").glob("*.md"):
        page.write_text(page.read_text().replace(PLACEHOLDER, repository))
    project = folder / "pyproject.toml"
    urls = f'[project.urls]\nRepository = "https://github.com/{repository}"'
    project.write_text(project.read_text().replace("[project.urls]", urls))


def try_out(python: Path, folder: Path) -> None:
    """Runs every command, and measures and searches, in an empty folder."""
    bin_ = python.parent
    for command in COMMANDS:
        _run(str(bin_ / command), "--version")
    measured = _run(
        str(bin_ / "compofa-profile"), "--device", "local", "--plan", "8", "--no-pause",
        "--max-time", "60s", cwd=folder, accepted=(0, 3, 124),
    )  # fmt: skip
    _run(str(bin_ / "compofa-search"), "--table", "local.csv", "--plot", "front.html", cwd=folder)
    print(f"  measured and searched in an empty folder (exit {measured})", flush=True)


def main() -> None:
    """Builds, checks and tries."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--repository", required=True, help="its name on GitHub: OWNER/NAME")
    parser.add_argument("--out", type=Path, required=True, help="the folder for both files")
    parser.add_argument("--extras", default="", help="extras to install: all, or tflite,openvino")
    options = parser.parse_args()
    out = options.out.resolve()
    with tempfile.TemporaryDirectory(prefix="compofa-dist-") as name:
        scratch = Path(name)
        source = scratch / "source"
        source.mkdir()
        export_commit(source, options.repository)
        _run(sys.executable, "-m", "build", "--outdir", str(out), str(source))
        files = [*sorted(out.glob("compofa-*.whl")), *sorted(out.glob("compofa-*.tar.gz"))]
        _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, files))
        wheels = [str(file) for file in files if file.suffix == ".whl"]
        _run(sys.executable, "-m", "check_wheel_contents", *wheels)
        for number, file in enumerate(files):
            python = _installed(file, options.extras, scratch / f"environment{number}")
            empty = scratch / f"empty{number}"
            empty.mkdir()
            try_out(python, empty)


def _installed(file: Path, extras: str, environment: Path) -> Path:
    """The Python of a new environment into which `file` was installed."""
    print(f"{file.name}{f' with {extras}' if extras else ''}:", flush=True)
    constraints = str(ROOT / "constraints.txt")
    if extras:
        # The plain build of torch brings gigabytes of CUDA on some platforms; the Makefile knows.
        torch = environment / "torch"
        _run("make", "--no-print-directory", f"VENV={environment}", str(torch), cwd=ROOT)
    else:
        _run(sys.executable, "-m", "venv", str(environment))
    pip = str(environment / "bin" / "pip")
    what = f"{file}[{extras}]" if extras else str(file)
    _run(pip, "install", "--quiet", "--constraint", constraints, what)
    _run(pip, "check")
    return environment / "bin" / "python"


def _run(*words: str, cwd: Path | None = None, accepted: Sequence[int] = (0,)) -> int:
    print(
        f"$ {' '.join(Path(word).name if word[:1] == '/' else word for word in words)}", flush=True
    )
    ended = subprocess.run(words, cwd=cwd, env=_outside(os.environ), check=False)
    if ended.returncode not in accepted:
        sys.exit(f"exit {ended.returncode}: {' '.join(words)}")
    return ended.returncode


def _outside(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of somebody to whom this repository is unknown."""
    return {name: value for name, value in environment.items() if name != "PYTHONPATH"}


if __name__ == "__main__":
    main()
