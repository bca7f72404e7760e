"""Core ML packages on disk: replaced whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.supernet.export.packages import write_package, zipped

FILES = {"Manifest.json": b"{}", "Data/com.apple.CoreML/model.mlmodel": b"model"}


def content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_package_becomes_a_folder(tmp_path: Path) -> None:
    write_package(tmp_path / "x.mlpackage", zipped(FILES))
    assert content(tmp_path / "x.mlpackage") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["x.mlpackage"]


def test_the_same_files_give_the_same_zip_in_any_order() -> None:
    assert zipped(FILES) == zipped(dict(reversed(FILES.items())))


def test_an_old_package_is_replaced_with_all_its_files(tmp_path: Path) -> None:
    path = tmp_path / "x.mlpackage"
    write_package(path, zipped(FILES | {"Data/old": b"old"}))
    write_package(path, zipped(FILES))
    assert content(tmp_path) == {f"x.mlpackage/{name}": each for name, each in FILES.items()}


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.mlpackage", tmp_path / "x.mlpackage"
    write_package(real, zipped(FILES | {"Data/old": b"old"}))
    link.symlink_to(real)
    write_package(link, zipped(FILES))
    assert link.is_symlink()
    assert content(real) == FILES


@pytest.mark.parametrize("folder", [True, False], ids=["a folder", "a file"])
def test_what_is_no_package_is_never_replaced(folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.mlpackage"
    kept = path / "thesis.txt" if folder else path
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("years of work")
    with pytest.raises(
        UserError, match="exists and is not a Core ML package, so it is not replaced"
    ):
        write_package(path, zipped(FILES))
    assert kept.read_text() == "years of work"


def test_the_old_package_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.mlpackage"
    write_package(path, zipped(FILES))
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_package(path, zipped(FILES | {"Data/new": b"new"}))
    assert content(tmp_path) == {f"x.mlpackage/{name}": each for name, each in FILES.items()}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "x.mlpackage"
    with pytest.raises(UserError, match=r"no/x.mlpackage: cannot write the exported file: no such"):
        write_package(path, zipped(FILES))
