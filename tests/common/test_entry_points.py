"""Parts that packages register: found by name, and a wrong name is answered with the right ones."""

from __future__ import annotations

import pytest

from compofa.common.entry_points import load_registered, registered
from compofa.common.errors import UserError
from compofa.profiler.commands import main


def test_a_registered_part_is_loaded_by_name() -> None:
    assert load_registered("console_scripts", "compofa-profile", "command") is main


def test_an_unknown_name_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UserError, match="there is no command 'compofa-profil'") as caught:
        load_registered("console_scripts", "compofa-profil", "command")
    assert "compofa-profile" in str(caught.value.hint)


def test_a_group_that_nobody_registers_in_is_empty() -> None:
    assert registered("compofa.no_such_group") == {}
    with pytest.raises(UserError, match="no package registers a thing"):
        load_registered("compofa.no_such_group", "x", "thing")
