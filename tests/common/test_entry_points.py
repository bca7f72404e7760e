"""Parts that packages register: found by name, and a wrong name is answered with the right ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import FunctionType

import pytest

from compofa.common.entry_points import all_entry_points, load_registered, registered
from compofa.common.errors import UserError
from compofa.profiler.commands import main


def test_a_registered_part_is_loaded_by_name() -> None:
    assert load_registered("console_scripts", "compofa-profile", "command", FunctionType) is main


def test_an_unknown_name_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UserError, match="there is no command 'compofa-profil'") as caught:
        load_registered("console_scripts", "compofa-profil", "command", FunctionType)
    assert "compofa-profile" in str(caught.value.hint)


def test_a_group_that_nobody_registers_in_is_empty() -> None:
    assert registered("compofa.no_such_group") == {}
    with pytest.raises(UserError, match="no package registers a thing"):
        load_registered("compofa.no_such_group", "x", "thing", object)


GROUP = "compofa.tried"

Install = Callable[..., None]


def forget() -> None:
    all_entry_points.cache_clear()
    registered.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package that registers `entries` in the group."""
    monkeypatch.syspath_prepend(tmp_path)
    forget()

    def install(package: str, code: str, **entries: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))

    yield install
    forget()


def test_what_a_package_registers_is_found_by_name(install: Install) -> None:
    install("halves", "from fractions import Fraction\nHALF = Fraction(1, 2)", half="halves:HALF")
    assert list(registered(GROUP)) == ["half"]
    assert load_registered(GROUP, "half", "number", Fraction) == Fraction(1, 2)


def test_names_come_in_their_own_order_however_they_were_installed(install: Install) -> None:
    install("sevenths", "", third="sevenths:C", first="sevenths:A")
    install("eighths", "", second="eighths:B")
    assert list(registered(GROUP)) == ["first", "second", "third"]


def test_listing_names_imports_nothing(install: Install) -> None:
    install("broken", "raise RuntimeError('imported')", half="broken:HALF")
    assert list(registered(GROUP)) == ["half"]


def test_an_extension_that_does_not_import_names_its_package(install: Install) -> None:
    install("broken", "raise RuntimeError('no such cable')", half="broken:HALF")
    with pytest.raises(UserError, match="'half' of the package broken.*RuntimeError: no such"):
        load_registered(GROUP, "half", "number", Fraction)


def test_an_extension_of_another_type_names_its_package(install: Install) -> None:
    install("texts", "HALF = 'a half'", half="texts:HALF")
    with pytest.raises(UserError, match="of the package texts.*is a str, not a Fraction"):
        load_registered(GROUP, "half", "number", Fraction)


def test_one_name_of_two_packages_is_refused(install: Install) -> None:
    install("one", "HALF = 1", half="one:HALF")
    install("other", "HALF = 1", half="other:HALF")
    with pytest.raises(
        UserError, match="two packages register 'half' in compofa.tried: .*one.*"
    ) as refused:
        registered(GROUP)
    assert "other" in str(refused.value)
