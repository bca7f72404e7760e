"""Searching a collection of model files like a space: limits, fronts, several devices, families."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compofa.common.errors import UserError
from compofa.profiler.results.table import Cell, Row, SetUp, Table, write_table
from compofa.search.accuracy.metric import Metric
from compofa.search.answer import ask
from compofa.search.candidates import Candidates
from compofa.search.commands.search_command import main
from compofa.search.measures import MEASURES, Bound
from compofa.search.request import SearchRequest, find_candidates, find_within_bounds
from rigs.commands import Run

MODELS = {  # latency in ms, mAP, MACs, parameters
    "tiny": (1.0, 30.5, 1e6, 1e4),
    "small": (2.0, 41.5, 4e6, 5e4),
    "odd": (3.0, 40.0, 9e6, 9e4),
    "large": (8.0, 50.25, 30e6, 2e6),
    "lost": (None, None, None, None),
}


def write_files_table(
    path: Path, factor: float = 1.0, extra: Sequence[str] = ("macs", "parameters", "mAP")
) -> Path:
    """A table about model files, as compofa-profile writes it."""
    rows = []
    for name, (ms, score, macs, params) in MODELS.items():
        told = {"macs": macs, "parameters": params, "weight_bytes": params and 4 * params}
        told["mAP"] = score
        rows.append(
            Row(
                cell=Cell("files", name, 0 if name == "tiny" else 64, 2),
                latency_ms=ms and ms * factor,
                ci_low_ms=ms and 0.99 * ms * factor,
                ci_high_ms=ms and 1.01 * ms * factor,
                confidence=0.95,
                p90_ms=None,
                source="measured",
                status="ok" if ms else "failed",
                n_sessions=5 if ms else 0,
                n_runs=50 if ms else 0,
                model_sha256="a" * 64,
                measured_at="2026-01-01T00:00:00Z",
                extra=tuple(told[column] for column in extra),
            )
        )
    setup = SetUp(path.stem, "onnxruntime", "1", "cpu", 1, "float32")
    write_table(path, Table(setup, tuple(rows), tuple(extra)))
    return path


def names(candidates: Candidates, **asked: Any) -> list[str]:
    return [each.subnet for each in ask(candidates, asked.pop("questions", []), **asked).results]


def test_models_are_found_by_their_own_column(tmp_path: Path) -> None:
    table = write_files_table(tmp_path / "phone.csv")
    candidates = find_candidates(SearchRequest([table], metric=Metric("mAP")))
    assert names(candidates) == ["large", "small", "tiny"]
    assert names(candidates, questions=[(4.0,)], top=1) == ["small"]
    best = ask(candidates, [(4.0,)], 1).results[0]
    assert (best.top1, best.macs, best.params, best.memory_bytes) == (41.5, 2e6, 5e4, None)


def test_accuracies_come_from_a_table_of_any_metric(tmp_path: Path) -> None:
    table = write_files_table(tmp_path / "phone.csv", extra=())
    accuracy = tmp_path / "accuracy.csv"
    accuracy.write_text(
        "space,subnet,resolution,mAP,source\n"
        "files,tiny,0,30,x\nfiles,small,64,20,x\nfiles,odd,0,45,x\n"
    )
    request = SearchRequest([table], accuracy, metric=Metric("mAP"))
    candidates = find_candidates(request)
    assert names(candidates) == ["odd", "tiny"]
    assert any("no accuracy is known of large" in note for note in candidates.notes)


def test_shares_may_be_given_in_percent(tmp_path: Path) -> None:
    table = write_files_table(tmp_path / "phone.csv", extra=())
    text = table.read_text().splitlines()
    values = ["70", "75.5", "", "80", ""]
    table.write_text(
        "\n".join([text[0] + ",top1", *(f"{a},{b}" for a, b in zip(text[1:], values, strict=True))])
        + "\n"
    )
    candidates = find_candidates(SearchRequest([table]))
    assert sorted(candidates.top1) == pytest.approx([0.7, 0.755, 0.8])


def test_without_accuracies_the_search_says_what_it_needs(tmp_path: Path) -> None:
    table = write_files_table(tmp_path / "phone.csv")
    with pytest.raises(UserError, match="nothing says the top-1 of files") as caught:
        find_candidates(SearchRequest([table]))
    assert "--accuracy" in str(caught.value)


def test_bounds_hold_on_what_the_files_cost(tmp_path: Path) -> None:
    table = write_files_table(tmp_path / "phone.csv")
    asked = SearchRequest(
        [table], metric=Metric("mAP"), constraints=[Bound(MEASURES["macs"], 2_500_000)]
    )
    assert names(find_within_bounds(asked)[0]) == ["small", "tiny"]
    unknown = SearchRequest([table], metric=Metric("mAP"), constraints=[Bound(MEASURES["size"], 1)])
    with pytest.raises(UserError, match="bytes of weights of these model files are not known"):
        find_within_bounds(unknown)


def test_several_devices_and_families(run: Run, tmp_path: Path) -> None:
    tables = [write_files_table(tmp_path / "a.csv"), write_files_table(tmp_path / "b.csv", 3.0)]
    asked = ["--table", tables[0], "--table", tables[1], "--metric", "mAP"]
    found = run(main, *asked, "--latency", 9, "--latency", 7, "--json")
    assert json.loads(found.out)["results"][0]["subnet"] == "small"
    family = run(main, *asked[:2], *asked[4:], "--latency", "1,2,3,8,9", "--family", 2)
    assert "Family of 2 from 4 cells of files" in family.out
    assert "mAP below the best" in family.out


def test_no_column_of_the_results_occurs_twice(run: Run, tmp_path: Path) -> None:
    table, out = write_files_table(tmp_path / "phone.csv"), tmp_path / "out.csv"
    run(main, "--table", table, "--metric", "mAP", "--latency", "4", "--out", out)
    header = out.read_text().splitlines()[0].split(",")
    assert len({*header}) == len(header)
    assert {"macs", "parameters", "mAP"} <= {*header}


def test_a_page_is_drawn_and_says_the_metric(run: Run, tmp_path: Path) -> None:
    table = write_files_table(tmp_path / "phone.csv")
    page = tmp_path / "front.html"
    told = run(main, "--table", table, "--metric", "mAP", "--latency", "4", "--plot", page)
    assert "small" in told.out
    assert "41.5" in told.out
    assert '"title":"mAP"' in page.read_text().replace('": "', '":"')


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--like", "phone.csv"], "--like predicts subnets"),
        (["--predict"], "--predict predicts subnets"),
        (["--latency", "4", "--verify"], "name their folder or their manifest with --models"),
        (["--metric", "m AP"], "--metric cannot be"),
        (["--max-memory", "5MB"], "are not known"),
    ],
)
def test_what_files_cannot_do_is_said(
    run: Run, options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files_table(tmp_path / "phone.csv")
    (tmp_path / "devices.yaml").write_text("phone: {transport: local}\n")
    told = run(main, "--table", "phone.csv", "--metric", "mAP", *options)
    assert told.code == 2
    assert said in told.err
