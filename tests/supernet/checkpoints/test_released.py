"""Import of released checkpoints: every layout, into every space that can hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from compofa.common.errors import UserError
from compofa.supernet.checkpoints.released import import_released
from compofa.supernet.export.onnx import write_onnx
from compofa.supernet.export.weights import folded_weights
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet

File = Callable[[str], Path]
State = Callable[[str], dict[str, torch.Tensor]]

FULL = ("ofa-mbv3", "compofa", "ofa-mbv3-w1.2", "ofa-proxyless-w1.3")


def in_onnxruntime(supernet: Supernet, subnet: Subnet, image: np.ndarray) -> np.ndarray:
    graph = build_graph(supernet.space, subnet, image.shape[-1])
    model = write_onnx(graph, folded_weights(supernet, subnet), batch_size=len(image))
    found: np.ndarray = onnxruntime.InferenceSession(model).run(None, {"input": image})[0]
    return found


def in_torch(supernet: Supernet, subnet: Subnet, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = supernet(torch.from_numpy(image), subnet).numpy()
    return found


@pytest.mark.parametrize("layout", FULL)
def test_the_worked_examples_come_out(
    released_file: File, examples: list[Any], layout: str
) -> None:
    """Through the module and through the exported model, within 1e-4."""
    cases = [example for example in examples if example.layout == layout]
    assert len(cases) == 2
    space = SPACES[cases[0].space]
    supernet = import_released(released_file(layout), space)
    for case in cases:
        subnet = case.subnet(space)
        assert case.error(in_torch(supernet, subnet, case.image)) < 1e-4
        assert case.error(in_onnxruntime(supernet, subnet, case.image)) < 1e-4


FIXED = {
    "ofa-mbv3": "compofa",
    "compofa": "compofa",
    "ofa-mbv3-w1.2": "compofa-w1.2",
    "ofa-proxyless-w1.3": "compofa-proxyless-w1.3",
}


@pytest.mark.parametrize("layout", FULL)
def test_a_fixed_kernel_space_takes_the_kernels_in_effect(
    released_file: File, examples: list[Any], layout: str
) -> None:
    """Transform matrices are baked in where the file has them; crops are taken where not."""
    (case,) = (each for each in examples if each.layout == layout and each.compound)
    space = SPACES[FIXED[layout]]
    supernet = import_released(released_file(layout), space)
    assert not supernet.kernel_transform
    assert case.error(in_torch(supernet, case.subnet(space), case.image)) < 1e-4
    assert case.error(in_onnxruntime(supernet, case.subnet(space), case.image)) < 1e-4


COMBINATIONS = [
    ("ofa-mbv3", "compofa"),
    ("ofa-mbv3", "compofa-elastic"),
    ("compofa", "compofa"),
    ("compofa", "compofa-elastic"),
    ("compofa", "ofa-mbv3"),
    ("ofa-mbv3-w1.2", "compofa-w1.2"),
    ("ofa-mbv3-w1.2", "compofa-elastic-w1.2"),
    ("ofa-proxyless-w1.3", "compofa-proxyless-w1.3"),
]


@pytest.mark.parametrize(("layout", "name"), COMBINATIONS)
def test_a_smaller_space_computes_what_the_full_space_does(
    released_file: File, layout: str, name: str
) -> None:
    whole = import_released(released_file(layout), SPACES[FULL_SPACE[layout]])
    part = import_released(released_file(layout), SPACES[name])
    rng = np.random.default_rng(5)
    image = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
    for _ in range(3):
        subnet = part.space.sample(rng)
        expected = in_torch(whole, subnet, image)
        np.testing.assert_allclose(in_torch(part, subnet, image), expected, rtol=1e-4, atol=1e-4)


FULL_SPACE = {layout: layout if layout != "compofa" else "ofa-mbv3" for layout in FULL}


def test_kernel_transforms_are_kept_where_kernels_are_elastic(released_file: File) -> None:
    assert import_released(released_file("ofa-mbv3"), SPACES["compofa-elastic"]).kernel_transform
    assert not import_released(released_file("compofa"), SPACES["compofa-elastic"]).kernel_transform


def test_a_space_file_with_another_coupling_takes_the_channels_it_needs(
    released_file: File,
) -> None:
    narrow = replace(
        SPACES["compofa"],
        name="narrow",
        units=tuple(
            replace(unit, coupling=((2, 3, 1.0), (3, 3, 1.0), (4, 4, 1.0)))
            for unit in SPACES["compofa"].units
        ),
    )
    supernet = import_released(released_file("compofa"), narrow)
    whole = import_released(released_file("compofa"), SPACES["ofa-mbv3"])
    assert supernet.state_dict()["units.0.1.expand.conv.weight"].shape[0] == 24 * 4
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    subnet = narrow.extreme(True)
    expected = in_torch(whole, subnet, image)
    np.testing.assert_allclose(in_torch(supernet, subnet, image), expected, rtol=1e-4, atol=1e-4)


def test_kernels_stored_at_their_fixed_size_are_read(released_state: State, tmp_path: Path) -> None:
    """Not every file carries 7x7 kernels that only a crop of is used."""
    state = released_state("compofa")
    sizes = dict(enumerate((3, 5, 3, 3, 5)))
    for name, tensor in state.items():
        if name.endswith("depth_conv.conv.conv.weight"):
            size = sizes[(int(name.split(".")[1]) - 1) // 4]
            start = (7 - size) // 2
            end = start + size
            state[name] = tensor[:, :, start:end, start:end].clone()
    path = tmp_path / "small.pth"
    torch.save(state, path)
    small = import_released(path, SPACES["compofa"]).state_dict()
    torch.save(released_state("compofa"), path)
    cropped = import_released(path, SPACES["compofa"]).state_dict()
    assert all(torch.equal(small[name], cropped[name]) for name in cropped)
    torch.save(state, path)
    with pytest.raises(UserError, match=r"depth_conv.conv.conv.weight is \d+x1x3x3, not \d+x1x7x7"):
        import_released(path, SPACES["ofa-mbv3"])


Wrapping = Callable[[dict[str, torch.Tensor]], object]
WRAPPINGS: dict[str, Wrapping] = {
    "bare": lambda state: state,
    "module. prefixes": lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
    "a training checkpoint": lambda state: {"epoch": 3, "best_acc": 0.7, "state_dict": state},
    "half precision": lambda state: {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    },
    "without counts of batches": lambda state: {
        name: tensor for name, tensor in state.items() if "num_batches" not in name
    },
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS.keys())
def test_state_dicts_are_read_as_people_save_them(
    released_state: State, tmp_path: Path, wrap: Wrapping
) -> None:
    path = tmp_path / "x.pth"
    state = released_state("compofa")
    torch.save(wrap(state), path)
    found = import_released(path, SPACES["compofa"]).state_dict()["stem.conv.weight"]
    assert torch.allclose(found, state["first_conv.conv.weight"], rtol=1e-3, atol=1e-4)
    assert found.dtype is torch.float32


MISFITS = [
    ("ofa-mbv3-w1.2", "compofa", "they fit compofa-w1.2, compofa-elastic-w1.2, ofa-mbv3-w1.2"),
    ("compofa", "ofa-mbv3-w1.2", "they fit compofa, compofa-elastic, ofa-mbv3"),
    ("ofa-proxyless-w1.3", "ofa-mbv3", "they fit compofa-proxyless-w1.3, ofa-proxyless-w1.3"),
]


@pytest.mark.parametrize(("layout", "name", "hint"), MISFITS)
def test_a_wrong_space_is_an_error_that_names_those_that_fit(
    released_file: File, layout: str, name: str, hint: str
) -> None:
    path = released_file(layout)
    with pytest.raises(UserError, match=f"its weights are not those of space {name}") as error:
        import_released(path, SPACES[name])
    assert error.value.path == path
    assert error.value.hint == hint


def changed(space: Space, **fields: Any) -> Space:
    return replace(space, name="mine", **fields)


def test_another_number_of_classes_is_named(released_file: File) -> None:
    with pytest.raises(UserError, match=r"classifier.linear.weight is 1000x1280, not 10x1280"):
        import_released(released_file("compofa"), changed(SPACES["compofa"], classes=10))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("7to5_matrix", "20 missing: blocks.1.mobile_inverted_conv.depth_conv.conv.7to5_matrix"),
        ("classifier.linear.bias", "1 missing: classifier.linear.bias$"),
    ],
)
def test_missing_tensors_are_named(
    released_state: State, tmp_path: Path, lost: str, message: str
) -> None:
    state = {k: v for k, v in released_state("ofa-mbv3").items() if not k.endswith(lost)}
    path = tmp_path / "x.pth"
    torch.save(state, path)
    with pytest.raises(UserError, match=message):
        import_released(path, SPACES["compofa"])


def test_other_files_are_refused_by_name(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"8 unexpected: 0.weight"):
        import_released(reference / "acc_predictor.pth", SPACES["compofa"])
    text = tmp_path / "page.pth"
    text.write_text("<html>404</html>")
    with pytest.raises(
        UserError, match=r"page.pth: the released checkpoint is not a file of torch"
    ):
        import_released(text, SPACES["compofa"])
