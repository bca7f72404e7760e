"""Spaces: their sizes, the names of their subnets, and space files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES, get_space
from compofa.supernet.subnet import Subnet, divisible

NAMES = sorted(SPACES)


@st.composite
def spaces_and_subnets(draw: st.DrawFn) -> tuple[Space, Subnet]:
    """A space and one of its subnets, each choice drawn freely."""
    space = SPACES[draw(st.sampled_from(NAMES))]
    return space, draw_subnet(draw, space)


def draw_subnet(draw: Callable[[st.SearchStrategy[int]], int], space: Space) -> Subnet:
    seed = draw(st.integers(0, 2**32 - 1))
    return space.sample(np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("compofa", 243),
        ("compofa-w1.2", 243),
        ("compofa-elastic", 21_924_480_357),
        ("compofa-elastic-w1.2", 21_924_480_357),
        ("ofa-mbv3", 21_758_655_492_572_485_851),
        ("ofa-mbv3-w1.2", 21_758_655_492_572_485_851),
        ("compofa-proxyless-w1.3", 243),
    ],
)
def test_sizes_of_the_published_spaces(name: str, size: int) -> None:
    assert SPACES[name].size == size


@pytest.mark.parametrize("name", NAMES)
def test_a_space_that_can_be_listed_has_as_many_subnets_as_it_says(name: str) -> None:
    space = SPACES[name]
    if space.size > 1_000_000:
        with pytest.raises(UserError, match="too many to list"):
            space.enumerate()
    else:
        assert len(set(space.enumerate())) == space.size


@given(spaces_and_subnets())
@settings(max_examples=150)
def test_keys_parse_back_to_the_same_subnet(drawn: tuple[Space, Subnet]) -> None:
    space, subnet = drawn
    assert subnet in space
    assert space.parse(space.key(subnet)) == subnet


@given(st.data(), st.sampled_from(NAMES))
@settings(max_examples=150)
def test_two_subnets_have_two_keys(data: st.DataObject, name: str) -> None:
    space = SPACES[name]
    first, second = (draw_subnet(data.draw, space) for _ in range(2))
    assert (space.key(first) == space.key(second)) == (first == second)


@pytest.mark.parametrize("name", [name for name in NAMES if SPACES[name].size <= 1_000_000])
def test_no_two_subnets_of_a_listed_space_share_a_key(name: str) -> None:
    space = SPACES[name]
    assert len({space.key(subnet) for subnet in space.enumerate()}) == space.size


@given(st.sampled_from(NAMES), st.text(max_size=80) | st.from_regex(r"d[0-9]{1,6}(-[ekw][0-9]*)*"))
@settings(max_examples=150)
def test_a_text_is_a_key_or_a_clear_error(name: str, text: str) -> None:
    space = SPACES[name]
    try:
        subnet = space.parse(text)
    except UserError as caught:
        message = str(caught)
    else:
        message = ""
        assert space.key(subnet) == text
    assert "\n" not in message


MALFORMED = [
    ("compofa", "", "keys look like dNNNNN"),
    ("compofa", "d2342", "it has 4 depths, not 5"),
    ("compofa", "d23425", "unit 5: depth 5 is not one of 2, 3, 4"),
    ("compofa", "d23422\n", "keys look like dNNNNN"),
    ("compofa", "d2342٢", "keys look like dNNNNN"),
    ("compofa", "d23422-k3355333333333355", "its key is d23422|kernel digits"),
    ("compofa-elastic", "d22222", "it lacks its -k digits"),
    ("compofa-elastic", "d22222-k333333333", "it has 9 kernel digits for 10 blocks"),
    ("compofa-elastic", "d22222-k3333333334", "kernel digit 4 is not one of 3, 5, 7"),
    ("ofa-mbv3", "d22222", "it lacks its -e digits"),
    ("ofa-mbv3", "d22222-e" + "3300" * 5, "it lacks its -k digits"),
    ("ofa-mbv3", "d22222-e" + "3330" * 5 + "-k" + "3300" * 5, "blocks beyond its depth 2"),
    ("ofa-mbv3", "d22222-e" + "3500" * 5 + "-k" + "3300" * 5, "expand digit 5"),
    ("ofa-mbv3", "d22222-e" + "3000" * 5 + "-k" + "3300" * 5, "expand 0"),
    ("ofa-resnet50", "d00000", "it lacks its -e digits"),
]


@pytest.mark.parametrize(("name", "key", "message"), MALFORMED)
def test_malformed_keys_are_told_apart(name: str, key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SPACES[name].parse(key)


def test_a_subnet_of_another_space_has_no_key() -> None:
    subnet = SPACES["ofa-mbv3"].sample(np.random.default_rng(0))
    with pytest.raises(UserError, match="not a subnet of space compofa"):
        SPACES["compofa"].key(subnet)


def test_enumeration_takes_less_than_5_ms() -> None:
    times = []
    for _ in range(7):
        space = Space("fresh", "mbv3", SPACES["compofa"].units)
        start = time.perf_counter()
        assert len(space.enumerate()) == 243
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005


@given(spaces_and_subnets())
def test_unit_choices_are_the_inverse_of_subnet(drawn: tuple[Space, Subnet]) -> None:
    space, subnet = drawn
    assert space.subnet(space.unit_choices(subnet)) == subnet


@pytest.mark.parametrize("name", NAMES)
def test_the_extremes_are_of_the_space(name: str) -> None:
    space = SPACES[name]
    assert space.extreme(largest=True) in space
    assert space.extreme(largest=False) in space


def test_arrays_hold_the_subnets_row_by_row() -> None:
    space = SPACES["ofa-mbv3"]
    rng = np.random.default_rng(0)
    subnets = [space.sample(rng) for _ in range(5)]
    arrays = space.arrays(subnets)
    for row, subnet in enumerate(subnets):
        assert tuple(arrays.depths[row]) == subnet.depths
        assert tuple(arrays.expands[row]) == subnet.expands
        assert tuple(arrays.kernels[row]) == subnet.kernels
    assert space.arrays([]).kernels.shape == (0, space.slots)


@pytest.mark.parametrize(
    ("base", "width", "channels"),
    [
        ((16, 16, 24, 40, 80, 112, 160, 960, 1280), 1.0, (16, 16, 24, 40, 80, 112, 160, 960, 1280)),
        (
            (16, 16, 24, 40, 80, 112, 160, 960, 1280),
            1.2,
            (24, 24, 32, 48, 96, 136, 192, 1152, 1536),
        ),
    ],
)
def test_channels_are_the_published_ones(
    base: tuple[int, ...], width: float, channels: tuple[int, ...]
) -> None:
    assert tuple(divisible(each * width) for each in base) == channels


def test_an_unknown_space_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean 'compofa-elastic'"):
        get_space("compofa-elastik")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def test_a_space_file_changes_what_it_names_and_nothing_else(path: Path) -> None:
    path.write_text("name: mine\nwidth: 0.35\nclasses: 10\ninput_channels: 1\nstem_stride: 1\n")
    space, base = get_space(str(path)), SPACES["compofa"]
    assert (space.name, space.width, space.classes) == ("mine", 0.35, 10)
    assert (space.in_channels, space.stem_stride) == (1, 1)
    assert (space.units, space.resolutions) == (base.units, base.resolutions)


def test_a_space_file_can_free_what_is_coupled(path: Path) -> None:
    path.write_text("name: mine\ncoupling: free\nkernels: elastic\nresolutions: [32, 48]\n")
    space = get_space(str(path))
    assert space.size == SPACES["ofa-mbv3"].size
    assert space.resolutions == (32, 48)


def test_a_space_file_can_couple_what_is_free(path: Path) -> None:
    path.write_text(
        "name: mine\nbase: ofa-mbv3\ncoupling: {2: 3, 3: 4, 4: 6}\nkernels: [3, 5, 3, 3, 5]\n"
    )
    assert get_space(str(path)).units == SPACES["compofa"].units


@given(st.data())
@settings(max_examples=50)
def test_keys_of_a_space_file_round_trip(data: st.DataObject) -> None:
    import tempfile

    coupling = data.draw(
        st.just("free")
        | st.fixed_dictionaries({depth: st.sampled_from([3, 4, 6]) for depth in (2, 3, 4)})
    )
    kernels = data.draw(
        st.just("elastic") | st.lists(st.sampled_from([3, 5, 7]), min_size=5, max_size=5)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(f"name: mine\ncoupling: {coupling}\nkernels: {kernels}\n")
        space = get_space(str(path))
    subnet = draw_subnet(data.draw, space)
    assert space.parse(space.key(subnet)) == subnet


BAD_FILES = [
    ("", 1, "a space file is a mapping"),
    ("- 1\n", 1, "a space file is a mapping"),
    ("width: 1\n", 1, "the space has no name"),
    ("name: mine\nwidht: 1\n", 2, "unknown field 'widht'.*did you mean 'width'"),
    ("name: mine\n\nwidth: wide\n", 3, "width must be a number from 0.05 to 8, not 'wide'"),
    ("name: mine\nwidth: .nan\n", 2, "width must be a number"),
    ("name: mine\nclasses: 0\n", 2, "classes must be a whole number"),
    ("name: mine\nclasses: true\n", 2, "classes must be a whole number"),
    ("name: mine\nstem_stride: 3\n", 2, "stem_stride must be 1 or 2"),
    ("name: mine\nresolutions: []\n", 2, "resolutions must be a list"),
    ("name: mine\nbase: compofe\n", 2, "unknown base 'compofe'.*did you mean"),
    ("name: mine\nkernels: [3, 5]\n", 2, "kernels must be 5 of 3, 5 and 7, or 'elastic'"),
    ("name: mine\nkernels: [3, 5, 3, 3, 4]\n", 2, "kernels must be 5 of 3, 5 and 7"),
    ("name: mine\ncoupling: {2: 3}\n", 2, "depth 3 must be coupled to one of"),
    ("name: mine\ncoupling:\n  2: 3\n  3: 5\n  4: 6\n", 4, "depth 3 must be coupled"),
    ("name: compofa\n", 1, "'compofa' is the name of a built-in space"),
    ("name: a/b\n", 1, "name must be a short name"),
    ("name: mine\nname: yours\n", 2, "'name' is given twice"),
    ("name: mine\nwidth: [1\n", 3, "not valid YAML"),
    ("name: !!python/object/apply:os.system [true]\n", 1, "the tag !!python.* is not allowed"),
]


@pytest.mark.parametrize(("text", "line", "message"), BAD_FILES)
def test_errors_in_a_space_file_say_where(path: Path, text: str, line: int, message: str) -> None:
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        get_space(str(path))
    assert (error.value.path, error.value.line) == (path, line)


def test_a_space_file_that_is_not_text_says_so(path: Path) -> None:
    path.write_bytes(b"name: mine\nwidth: \xff\xfe\n")
    with pytest.raises(UserError, match="not UTF-8 text") as error:
        get_space(str(path))
    assert error.value.line == 2


def test_a_missing_space_file_is_an_error(path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the space file: no such file"):
        get_space(str(path))
