"""What is published: links that lead somewhere, and a source distribution that can be tested."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from distribution import ROOT, absolute_links


@pytest.mark.parametrize(
    ("link", "absolute"),
    [
        ("[a](docs/a.md)", "[a](https://github.com/o/n/blob/main/docs/a.md)"),
        ("[a](docs/a.md#b)", "[a](https://github.com/o/n/blob/main/docs/a.md#b)"),
        ("![a\nb](docs/a.png)", "![a\nb](https://raw.githubusercontent.com/o/n/main/docs/a.png)"),
        ("[a](https://example.org/a)", "[a](https://example.org/a)"),
        ("[a](#below)", "[a](#below)"),
    ],
)
def test_links_lead_somewhere_outside_the_repository(link: str, absolute: str) -> None:
    assert absolute_links(f"See {link}.", "o/n") == f"See {absolute}."


def test_no_link_of_the_published_readme_is_relative() -> None:
    page = absolute_links((ROOT / "README.md").read_text(), "o/n")
    links = [part.split(")")[0] for part in page.split("](")[1:]]
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_every_file_that_the_manifest_names_is_there() -> None:
    lines = (ROOT / "MANIFEST.in").read_text().splitlines()
    named = [
        word for line in lines if line.startswith(("include", "graft")) for word in line.split()[1:]
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_folder_of_code_is_a_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["setuptools"]["packages"])
    rooms = ("common", "supernet", "profiler", "search")
    folders = {path.parent for room in rooms for path in (ROOT / room).rglob("__init__.py")}
    found = {".".join(("compofa", *each.relative_to(ROOT).parts)) for each in folders}
    # The shipped accuracies are a package of data alone.
    assert found | {"compofa.search.data"} == packages


def test_the_citation_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert citation["preferred-citation"]["url"] == project["urls"]["Paper"]
    assert Path(ROOT / project["readme"]).exists()
