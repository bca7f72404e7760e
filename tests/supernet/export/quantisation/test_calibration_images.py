"""Images for int8: what is read, how it is preprocessed, and what is refused."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compofa.common.errors import MissingExtra, UserError
from compofa.supernet.export.quantisation import calibration_images as calibration
from compofa.supernet.export.quantisation.calibration_images import calibration_batches
from compofa.supernet.graph import build_graph
from compofa.supernet.preprocessing import IMAGENET
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
GRAPH = build_graph(SPACE, SPACE.parse("d22222"), 32)


def images(count: int) -> np.ndarray:
    """Images whose pixels all have the image's number."""
    numbers = np.arange(count, dtype=np.float32)
    return np.broadcast_to(numbers[:, None, None, None], (count, *GRAPH.input)).copy()


def picture(path: Path, red: int, size: tuple[int, int] = (40, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 0, 255)).save(path)


def test_batches_of_an_array_hold_its_images_in_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=images(4))
    found = calibration_batches(tmp_path / "x.npz", GRAPH, 2)
    assert [each.shape for each in found] == [(2, 3, 32, 32)] * 2
    assert np.concatenate(found)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert found[0].dtype == np.float32


@pytest.mark.parametrize(
    ("count", "size", "taken"), [(3, 2, [0, 1, 2, 0]), (2, 5, [0, 1, 0, 1, 0])]
)
def test_a_last_batch_that_is_short_begins_again(
    count: int, size: int, taken: list[int], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", images(count))
    found = calibration_batches(tmp_path / "x.npz", GRAPH, size)
    assert np.concatenate(found)[:, 0, 0, 0].tolist() == taken


def test_pictures_are_normalised_by_the_mean_and_deviation_of_imagenet(tmp_path: Path) -> None:
    picture(tmp_path / "cats" / "a.png", red=51)
    (found,) = calibration_batches(tmp_path, GRAPH, 1)
    assert found.shape == (1, 3, 32, 32)
    expected = [(51 / 255 - 0.485) / 0.229, (0 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert found.reshape(3, -1).max(1) == pytest.approx(expected, rel=1e-5)
    assert found.reshape(3, -1).min(1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [(100, 37), (37, 100), (37, 37), (9000, 3), (8, 9)])
def test_the_centre_is_cut_out_of_the_resized_picture(size: tuple[int, int]) -> None:
    """Of a ramp across the picture, the middle is kept, and its slope tells the scale."""
    ramp = np.linspace(0, 255, size[0])[None, :, None].repeat(size[1], 0).repeat(3, 2)
    found = IMAGENET.apply(Image.fromarray(ramp.astype(np.uint8)), 64)
    values = (found[0] * 0.229 + 0.485)[32]
    assert found.shape == (3, 64, 64)
    assert values.mean() == pytest.approx(0.5, abs=0.03)
    kept = 0.875 * min(size) / (size[0] - 1)
    assert values[-1] - values[0] == pytest.approx(kept, abs=0.06)


def test_of_many_pictures_evenly_spaced_ones_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MOST_PICTURES", 3)
    for red in range(5):
        picture(tmp_path / f"{red}.png", red * 50)
    found = np.concatenate(calibration_batches(tmp_path, GRAPH, 1))
    reds = (found[:, 0, 0, 0] * 0.229 + 0.485) * 255
    assert reds == pytest.approx([0, 100, 200], abs=0.01)


def test_pictures_of_any_mode_become_rgb(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P", "1", "CMYK"):
        Image.new(mode, (40, 40)).save(tmp_path / f"{mode}.tiff")
    assert len(calibration_batches(tmp_path, GRAPH, 1)) == 5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            [np.zeros((2, 3, 64, 64))],
            "the array of images is 2x3x64x64, but the subnet needs nx3x32x32",
        ),
        ([np.zeros((0, 3, 32, 32))], "the array of images is 0x3x32x32"),
        ([np.zeros(())], "the array of images is one number"),
        ([np.zeros((1, 3, 32, 32), np.uint8)], "not preprocessed: their values must be"),
        ([np.full((1, 3, 32, 32), np.nan)], "not preprocessed: their values must be finite"),
        ([np.zeros(2), np.zeros(2)], "has 2 arrays instead of one of images"),
        ([np.array([{}], dtype=object)], "not an archive of plain arrays, or it is damaged"),
    ],
)
def test_arrays_that_are_no_inputs_are_refused(
    arrays: list[np.ndarray], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, *arrays)
    with pytest.raises(UserError, match=message):
        calibration_batches(path, GRAPH, 1)


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    text, cut, whole = (tmp_path / name for name in ("a.npz", "b.npz", "c.npz"))
    text.write_text("images")
    np.savez(whole, images(2))
    cut.write_bytes(whole.read_bytes()[:-100])
    for path in (text, cut):
        with pytest.raises(UserError, match="not an archive of plain arrays, or it is damaged"):
            calibration_batches(path, GRAPH, 1)


def test_a_file_that_grows_beyond_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LARGEST", 10_000)
    np.savez_compressed(tmp_path / "x.npz", images(2))
    with pytest.raises(UserError, match="holds more than 10,000 bytes"):
        calibration_batches(tmp_path / "x.npz", GRAPH, 1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no.npz: cannot read the calibration file: no such"):
        calibration_batches(tmp_path / "no.npz", GRAPH, 1)
    with pytest.raises(UserError, match=r"has no pictures \(such as .jpg"):
        calibration_batches(tmp_path, GRAPH, 1)


def test_a_damaged_picture_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(UserError, match="none of the pictures can be read"):
        calibration_batches(tmp_path, GRAPH, 1)
    picture(tmp_path / "b.png", red=51)
    assert len(calibration_batches(tmp_path, GRAPH, 1)) == 1
    assert f"left out, 1 so far: {tmp_path}/a.jpg: it is not a picture" in capsys.readouterr().err


def test_hidden_files_are_passed_over_as_in_training(tmp_path: Path) -> None:
    picture(tmp_path / "cats" / "a.png", red=51)
    (tmp_path / "cats" / "._a.png").write_bytes(b"\0\5\x16\7")
    assert len(calibration_batches(tmp_path, GRAPH, 1)) == 1


@pytest.mark.parametrize("level", [2_000, 40_000])
def test_grey_of_16_bits_keeps_its_brightness(tmp_path: Path, level: int) -> None:
    deep = np.full((40, 40), level, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (found,) = calibration_batches(tmp_path, GRAPH, 1)
    assert found[0, 0] * 0.229 + 0.485 == pytest.approx(level / 65535, abs=1 / 255)


def test_a_picture_whose_white_nothing_tells_is_left_out_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "b.png", red=51)
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "float.tiff")
    assert len(calibration_batches(tmp_path, GRAPH, 1)) == 1
    assert "it has floating-point numbers" in capsys.readouterr().err


def test_an_archive_of_other_files_is_refused_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.txt", "not an array")
    with pytest.raises(UserError, match="not an archive of plain arrays, or it is damaged"):
        calibration_batches(tmp_path / "x.npz", GRAPH, 1)


def test_an_encrypted_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images(1))
    content = bytearray(path.read_bytes())
    # The first bit of a member's flags says that it is encrypted: in its header, and in the list
    # of members at the end.
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="not an archive of plain arrays, or it is damaged"):
        calibration_batches(path, GRAPH, 1)


@pytest.mark.parametrize(("channels", "value"), [(1, (0.299 - 0.449) / 0.226), (3, 0.514 / 0.229)])
def test_pictures_become_what_the_space_takes(channels: int, value: float, tmp_path: Path) -> None:
    space = replace(SPACE, name="mine", in_channels=channels)
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "a.png")
    graph = build_graph(space, space.extreme(False), 32)
    (found,) = calibration_batches(tmp_path, graph, 1)
    assert found.shape == (1, channels, 32, 32)
    # Pillow rounds shades of grey to whole numbers of 255.
    assert found[0, 0, 0, 0] == pytest.approx(value, abs=0.01)


def test_pictures_for_a_space_of_other_channels_are_refused(tmp_path: Path) -> None:
    space = replace(SPACE, name="mine", in_channels=4)
    picture(tmp_path / "a.png", red=0)
    with pytest.raises(UserError, match="make 4 input channels of pictures .give an .npz file"):
        calibration_batches(tmp_path, build_graph(space, space.extreme(False), 32), 1)


def test_without_pillow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.png", red=0)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match="pillow is not installed"):
        calibration_batches(tmp_path, GRAPH, 1)


def test_a_folder_without_pictures_is_told_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"the folder has no pictures \(such as \.jpg, \.jpeg, \.png\)"
    ):
        calibration_batches(tmp_path, GRAPH, 1)
