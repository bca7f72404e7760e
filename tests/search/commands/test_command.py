"""compofa-search as people call it: answers, files, exit codes, and one-line errors."""

from __future__ import annotations

import csv
import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from compofa.profiler.results.table import read_table, write_table
from compofa.search.commands.search_command import main
from compofa.search.commands.search_options import parse_amount
from rigs.tables import make_table

COMMAND = [sys.executable, "-c", "from compofa.search.commands.search_command import main; main()"]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Search = Callable[..., Ran]


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Search:
    """Runs the command in this process."""

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["compofa-search", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return Ran(int(left.value.code or 0), captured.out, captured.err)

    return run


def refused(ran: Ran) -> str:
    """The one-line error with which a command left, as the user's mistake."""
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", ran.err), ran.err
    return ran.err.removeprefix("error: ").strip()


@pytest.fixture(scope="module")
def note10(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The published Note10 table as a table of whole subnets, and the released predictor."""
    from compofa.profiler.block_tables.block_table import import_lut
    from compofa.supernet.spaces import SPACES

    path = tmp_path_factory.mktemp("note10") / "note10.csv"
    write_table(path, import_lut(reference / "note10_lut", SPACES["compofa-w1.2"], "note10"))
    return path, reference / "acc_predictor.pth"


@pytest.mark.parametrize(("limit", "top1", "latency"), [(20, 0.7965, 19.887), (30, 0.8142, 29.513)])
def test_the_published_table_gives_the_known_best(
    search: Search, note10: tuple[Path, Path], limit: int, top1: float, latency: float
) -> None:
    table, accuracy = note10
    ran = search("--table", table, "--accuracy", accuracy, "--latency", limit, "--json")
    assert ran.code == 0
    best = ran.json["results"][0]
    assert best["top1"] == pytest.approx(top1, abs=5e-5)
    assert best["latency_ms"] == [pytest.approx(latency, abs=5e-4)]


def test_a_large_space_does_not_say_how_many_more_there_are(
    search: Search, note10: tuple[Path, Path], reference: Path
) -> None:
    given = ["--table", reference / "note10_lut", "--space", "ofa-mbv3-w1.2"]
    given += ["--accuracy", note10[1], "--resolutions", 160]
    ran = search(*given, "--latency", 20, "--json")
    assert (ran.code, ran.json["more"]) == (0, [])
    message = refused(search(*given, "--latency", 20, "--minimise", "macs"))
    assert message.startswith("--minimise MACs cannot be used in a large space")


def test_a_folder_of_block_tables_gives_the_same(
    search: Search, note10: tuple[Path, Path], reference: Path
) -> None:
    arguments = ["--accuracy", note10[1], "--latency", 20, "--json", "--space", "compofa-w1.2"]
    from_folder = search("--table", reference / "note10_lut", *arguments)
    from_table = search("--table", note10[0], *arguments)
    assert from_folder.json["results"] == from_table.json["results"]


def test_the_json_object_is_as_documented(search: Search, phone: Path) -> None:
    ran = search("--table", phone, "--latency", 15, "--json")
    found = ran.json
    assert found.keys() == {
        "results", "infeasible", "space", "accuracy", "accuracy_predicted", "metric", "more",
        "tables", "candidates", "notes",
    }  # fmt: skip
    assert found["results"][0].keys() == {
        "space", "subnet", "resolution", "batch_size", "top1", "latency_ms", "ci_low_ms",
        "ci_high_ms", "source", "status", "limit_ms", "macs", "params", "weight_bytes",
        "memory_bytes", "extra", "probability", "joint_probability", "indistinguishable_from",
        "chance", "joint_chance", "rival",
    }  # fmt: skip
    assert found["tables"][0] == {
        "path": str(phone), "device": "phone", "runtime": "onnxruntime",
        "runtime_version": "1.2", "accelerator": "cpu", "threads": 1, "dtype": "float32",
    }  # fmt: skip
    assert len(found["results"]) == 5
    top1 = [each["top1"] for each in found["results"]]
    assert top1 == sorted(top1, reverse=True)
    assert all(each["latency_ms"][0] <= 15 for each in found["results"])


def test_the_text_says_what_was_asked_and_found_in_percent(search: Search, phone: Path) -> None:
    ran = search("--table", phone, "--latency", 15, "--top", 1)
    best = search("--table", phone, "--latency", 15, "--json").json["results"][0]
    heading, header, row, more, accuracy = ran.out.splitlines()
    assert heading == "Best of 486 cells of compofa on phone within 15 ms"
    assert header.split("  ")[0] == "subnet"
    assert "predicted top-1 %" in header
    assert best["subnet"] in row
    assert re.fullmatch(r"and \d+ more: --top shows more of them", more)
    assert f"{100 * best['top1']:.2f}" in row
    assert accuracy == "accuracy: predicted by OFA's released predictor"


def test_columns_stand_below_their_names_with_numbers_to_the_right(
    search: Search, phone: Path, board: Path
) -> None:
    table = read_table(phone)
    rows = [replace(row, extra=(1234.5,)) for row in table.rows]
    write_table(phone, replace(table, rows=tuple(rows), extra=("energy_mj",)))
    question = ["--table", phone, "--latency", 15, "--table", board, "--latency", 40, "--top", 2]
    first, second = search(*question, "--json").json["results"]
    _, header, *lines = search(*question).out.splitlines()

    def cells(name: str) -> list[str]:
        """What ends where the name ends, up to the gap before it."""
        end = header.index(name) + len(name)
        assert all(line[end : end + 1] in ("", " ") for line in lines[:2]), name
        return [re.split(r"  +", line[:end])[-1] for line in lines[:2]]

    both = (first, second)
    assert cells("M MACs") == [f"{each['macs'] / 1e6:.0f}" for each in both]
    assert cells("M params") == [f"{each['params'] / 1e6:.2f}" for each in both]
    assert cells("ms on phone") == [f"{each['latency_ms'][0]:.3f}" for each in both]
    assert cells("ms on board") == [f"{each['latency_ms'][1]:.3f}" for each in both]
    assert cells("energy_mj on phone") == ["1234.5", "1234.5"]
    assert [len(each) for each in cells("interval")] == [len("14.700 to 15.300")] * 2
    many = ["--table", phone, "--latency", 15, "--top", 20]
    _, names, *rows_of_many = search(*many).out.splitlines()[:22]
    end = names.index("M MACs") + len("M MACs")
    megamacs = [f"{each['macs'] / 1e6:.0f}" for each in search(*many, "--json").json["results"]]
    assert [line[:end].split(" ")[-1] for line in rows_of_many] == megamacs
    subnet = header.index("subnet")
    assert all(line[subnet:].startswith(r["subnet"]) for line, r in zip(lines, both, strict=False))
    alone = search("--table", phone, "--latency", 15, "--top", 1).out.splitlines()[1]
    assert "latency ms" in alone
    assert "ms on" not in alone


def test_a_narrow_terminal_never_cuts_a_key_short(
    search: Search, phone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    ran = search("--table", phone, "--latency", 15)
    results = search("--table", phone, "--latency", 15, "--json").json["results"]
    assert "─" in ran.out
    for each in results:
        assert each["subnet"] in ran.out
        assert f"{each['latency_ms'][0]:.3f}" in ran.out


def test_without_a_limit_the_answer_is_the_front_best_first(search: Search, phone: Path) -> None:
    results = search("--table", phone, "--json").json["results"]
    top1 = [each["top1"] for each in results]
    latency = [each["latency_ms"][0] for each in results]
    assert len(results) > 5
    assert top1 == sorted(set(top1), reverse=True)
    assert latency == sorted(set(latency), reverse=True)
    assert all(each["limit_ms"] is None for each in results)
    assert len(search("--table", phone, "--json", "--top", 3).json["results"]) == 3


def test_several_limits_on_one_table_are_answered_one_by_one(search: Search, phone: Path) -> None:
    ran = search("--table", phone, "--latency", 20, "--latency", 12, "--json")
    assert [each["limit_ms"] for each in ran.json["results"]] == [[20.0], [12.0]]
    alone = [search("--table", phone, "--latency", limit, "--json") for limit in (20, 12)]
    assert ran.json["results"] == [each.json["results"][0] for each in alone]


def test_pairs_of_tables_and_limits_give_one_subnet_that_suits_all(
    search: Search, phone: Path, board: Path
) -> None:
    arguments = ["--table", phone, "--latency", 16, "--table", board, "--latency", 40, "--json"]
    both = search(*arguments).json["results"]
    assert both
    assert all(each["latency_ms"][0] <= 16 and each["latency_ms"][1] <= 40 for each in both)
    on_phone = search("--table", phone, "--latency", 16, "--top", 1000, "--json").json["results"]
    on_board = search("--table", board, "--latency", 40, "--top", 1000, "--json").json["results"]
    cells = {(each["subnet"], each["resolution"]) for each in on_board}
    shared = [each for each in on_phone if (each["subnet"], each["resolution"]) in cells]
    assert both[0]["top1"] == shared[0]["top1"]


def test_tables_and_limits_that_do_not_pair_are_refused(
    search: Search, phone: Path, board: Path
) -> None:
    message = refused(search("--table", phone, "--table", board, "--latency", 20))
    assert message.startswith("2 --table need 2 --latency, not one --latency")


def test_a_limit_that_nothing_meets_leaves_with_1_and_names_the_fastest(
    search: Search, phone: Path
) -> None:
    ran = search("--table", phone, "--latency", 5)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "no subnet meets 5 ms on phone: the fastest is d22222 at 160, 10.000 ms\n"
    as_json = search("--table", phone, "--latency", 5, "--json")
    assert as_json.code == 1
    assert as_json.json["results"] == []
    assert as_json.json["infeasible"][0]["nearest"]["subnet"] == "d22222"


def test_limits_that_no_one_subnet_meets_name_the_nearest(
    search: Search, phone: Path, board: Path
) -> None:
    ran = search("--table", phone, "--latency", 12, "--table", board, "--latency", 5)
    assert ran.code == 1
    assert ran.err.startswith("no subnet meets 12 ms on phone and 5 ms on board: the nearest is d2")


def test_what_can_be_answered_is_answered_beside_what_cannot(search: Search, phone: Path) -> None:
    ran = search("--table", phone, "--latency", 5, "--latency", 20, "--json")
    assert ran.code == 1
    assert [each["limit_ms"] for each in ran.json["results"]] == [[20.0]]
    assert [each["limit_ms"] for each in ran.json["infeasible"]] == [[5.0]]


def test_limits_may_come_as_a_list_or_a_range(search: Search, phone: Path) -> None:
    one_by_one = ["--latency", 12, "--latency", 16, "--latency", 20]
    expected = search("--table", phone, *one_by_one, "--json").json["results"]
    for limits in ("12,16,20", "12-20:4", "12-16:4,20ms"):
        assert search("--table", phone, "--latency", limits, "--json").json["results"] == expected


def test_each_table_and_limit_gets_a_subnet_of_its_own(
    search: Search, phone: Path, board: Path
) -> None:
    arguments = ["--table", phone, "--latency", "12,16", "--table", board, "--latency", 40]
    found = search(*arguments, "--each", "--json").json["results"]
    assert [each["limit_ms"] for each in found] == [[12, None], [16, None], [None, 40]]
    assert [each["chance"].count(None) for each in found] == [1, 1, 1]
    alone = search("--table", board, "--latency", 40, "--json").json["results"][0]
    assert (found[2]["subnet"], found[2]["top1"]) == (alone["subnet"], alone["top1"])


def test_a_family_serves_every_table_and_limit(search: Search, phone: Path, board: Path) -> None:
    arguments = ["--table", phone, "--latency", "12-28:4", "--table", board, "--latency", "40,60"]
    found = search(*arguments, "--family", 2, "--json").json
    assert len(found["results"]) == 2
    assert len(found["family"]["served"]) == 7
    for each in found["family"]["served"]:
        table = 0 if each["device"] == "phone" else 1
        member = found["results"][each["member"]]
        assert member["latency_ms"][table] <= each["limit_ms"]
        assert member["top1"] == each["top1"] <= each["best_top1"]
    text = search(*arguments, "--family", 2).out
    assert text.startswith("Family of 2 from 486 cells of compofa for 7 limits on phone, board: ")


def test_one_limit_serves_all_tables_where_each_is_asked_alone(
    search: Search, phone: Path, board: Path
) -> None:
    ran = search("--table", phone, "--table", board, "--latency", 30, "--each", "--json")
    assert [each["limit_ms"] for each in ran.json["results"]] == [[30, None], [None, 30]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--each"], "--each and --family answer the limits of --latency, of which there is none"),
        (
            ["--latency", "20,25", "--latency", 9],
            "with several tables, each can have only one limit",
        ),
        (["--latency", "20-1:5", "--each"], "--latency '20-1:5' spans 0 limits (at most 10000"),
        (["--latency", "1-9e9:1", "--each"], "--latency must be a number above zero"),
    ],
)
def test_limits_that_make_no_question_are_refused(
    search: Search, phone: Path, board: Path, arguments: list[str], said: str
) -> None:
    assert refused(search("--table", phone, "--table", board, *arguments)).startswith(said)


def test_a_space_too_large_to_list_is_searched(search: Search, reference: Path) -> None:
    arguments = ["--table", reference / "note10_lut", "--space", "ofa-mbv3-w1.2"]
    arguments += ["--accuracy", reference / "acc_predictor.pth", "--seed", 1]
    ran = search(*arguments, "--latency", 20, "--json")
    assert ran.code == 0
    assert ran.json["results"][0]["top1"] > 0.8042
    assert ran.json["candidates"] > 1000
    assert "of 1.1e+20 cells (seed 1): a better one may exist" in ran.err
    impossible = search(*arguments, "--latency", 5)
    assert impossible.code == 1
    assert "no subnet meets 5 ms on note10_lut: the fastest is d22222-e3" in impossible.err


def test_macs_and_parameters_can_be_limited(search: Search, phone: Path) -> None:
    free = search("--table", phone, "--latency", 25, "--json").json["results"][0]
    macs = search("--table", phone, "--latency", 25, "--max-macs", "150M", "--json").json
    params = search("--table", phone, "--latency", 25, "--max-params", "4.5M", "--json").json
    assert free["macs"] > 150e6
    assert free["params"] > 4.5e6
    assert all(each["macs"] <= 150e6 for each in macs["results"])
    assert all(each["params"] <= 4.5e6 for each in params["results"])
    assert macs["candidates"] < 486
    ran = search("--table", phone, "--max-macs", "1M")
    assert ran.code == 1
    assert ran.err.startswith("no subnet has at most 1,000,000 MACs: d22222 at 160 has the least")


def test_risk_leaves_room_for_the_interval(search: Search, phone: Path) -> None:
    plain = search("--table", phone, "--latency", 15, "--json").json["results"][0]
    careful = search("--table", phone, "--latency", 15, "--risk", "2.5%", "--json").json
    assert plain["ci_high_ms"][0] > 15
    assert all(each["ci_high_ms"][0] <= 15 + 1e-9 for each in careful["results"])


def test_risk_needs_intervals(search: Search, note10: tuple[Path, Path]) -> None:
    table, accuracy = note10
    arguments = ["--accuracy", accuracy, "--latency", 20, "--risk", "5%"]
    assert refused(search("--table", table, *arguments)).startswith("--risk needs latencies with")


def test_results_are_written_as_csv(search: Search, phone: Path, board: Path) -> None:
    out = phone.with_name("results.csv")
    ran = search("--table", phone, "--table", board, "--out", out, "--json")
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 2 * len(ran.json["results"])
    first = ran.json["results"][0]
    assert [row["device"] for row in rows[:2]] == ["phone", "board"]
    assert [float(row["latency_ms"]) for row in rows[:2]] == first["latency_ms"]
    assert {(row["subnet"], float(row["top1"])) for row in rows[:2]} == {
        (first["subnet"], first["top1"])
    }


def test_unknown_accuracies_name_the_options_there_are(
    search: Search, note10: tuple[Path, Path]
) -> None:
    message = refused(search("--table", note10[0], "--latency", 20))
    assert message.startswith(
        "no accuracies ship for space compofa-w1.2 (give them with --accuracy FILE"
    )


def test_a_resolution_the_predictor_never_saw_is_refused_by_name(
    search: Search, tmp_path: Path, reference: Path
) -> None:
    write_table(tmp_path / "low.csv", make_table(resolutions=(128, 172)))
    arguments = ["--accuracy", reference / "acc_predictor.pth"]
    message = refused(search("--table", tmp_path / "low.csv", *arguments))
    assert message.startswith("no accuracy is known at resolutions 128, 172")


@pytest.mark.parametrize("limit", ["fast", "", "0", "-5", "nan", "inf", "1e999", "1_0", "5 m"])
def test_a_limit_that_is_not_a_number_above_zero_is_refused(
    search: Search, phone: Path, limit: str
) -> None:
    message = refused(search("--table", phone, f"--latency={limit}"))
    assert message.startswith(f"--latency must be a number above zero, not '{limit}'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-macs", "many"], "--max-macs must be a number above zero, not 'many'"),
        (["--max-params", "-3"], "--max-params must be a number above zero, not '-3'"),
        (["--max-size", "20"], "--max-size 20 has no unit (as in 20MB)"),
        (["--max-memory", "8"], "--max-memory 8 has no unit (as in 8MB)"),
        (["--max-macs", "250"], "--max-macs 250 has no unit (as in 250M)"),
        (["--max-params", "5"], "--max-params 5 has no unit (as in 5M)"),
        (["--min-top1", "76"], "less than 100%, not '76' (as in 76% or 0.76)"),
        (["--minimise", ""], "--minimise needs the name of what to minimise"),
        (["--minimise", "macs,macs"], "--minimise 'macs' is given twice"),
        (["--risk", "2"], "--risk must be more than"),
        (["--at-most", "energy_mj=1"], "no table has a column energy_mj"),
        (["--at-most", "energy_mj"], "--at-most 'energy_mj': the bound must be a finite number"),
        (["--minimise", "param"], "no table has a column param (did you mean 'params'?)"),
        (["--minimise", "macs", "--predict"], "--minimise cannot be combined"),
        (["--min-top1", "many"], "--min-top1 must be more than 0% and less than 100%"),
        (["--resolutions", "big"], "--resolutions must be a list of sizes"),
        (["--resolutions", "192"], "no cells of resolution 192 (it has 160, 224)"),
        (["--space", "compfa"], "unknown space 'compfa' (did you mean 'compofa'?)"),
        (["--space", "compofa-w1.2"], "the table is of space compofa, not compofa-w1.2"),
        (["--plot", "p.pdf"], "p.pdf: a plot's name ends in .html or .png"),
        (["--accuracy", "none.csv"], "none.csv: cannot read the accuracy table: no such file"),
        (["--accuracy", "none.pth"], "none.pth: cannot read the predictor: no such file"),
        (["--out", "results.json"], "results.json: this file is written as .csv, not as .json"),
        (["--out", "none/o.csv"], "none/o.csv: cannot write the results: no such file"),
        (["--out", "/dev/full"], "/dev/full: cannot write the results: no space left on device"),
        (["--plot", "none/p.html"], "none/p.html: cannot write the plot: no such file"),
    ],
)
def test_a_wrong_option_is_one_line(
    search: Search, phone: Path, arguments: list[str], said: str
) -> None:
    assert said in refused(search("--table", phone, *arguments))


def test_the_fastest_that_is_accurate_enough_comes_first(search: Search, phone: Path) -> None:
    arguments = ["--table", phone, "--min-top1", "77%"]
    every = search(*arguments, "--json", "--top", 1000).json["results"]
    assert all(each["top1"] >= 0.77 for each in every)
    assert [each["latency_ms"] for each in every] == sorted(each["latency_ms"] for each in every)
    asked = search(*arguments, "--json").json
    assert asked["results"] == every[:5]
    assert asked["more"] == [len(every) - 5]
    assert search(*arguments, "--minimise", "latency_ms", "--json").json["results"] == every[:5]
    text = search(*arguments).out
    heading = "Fastest of 243 cells of compofa on phone with at least 77 % predicted top-1"
    assert re.sub(r"\d+ cells", "243 cells", text.splitlines()[0]) == heading
    assert f"and {len(every) - 5} more: --top shows more of them" in text


def test_the_least_of_something_without_bounds_is_first_in_a_front(
    search: Search, phone: Path
) -> None:
    front = search("--table", phone, "--json").json["results"]
    fastest = search("--table", phone, "--minimise", "latency_ms", "--json").json["results"]
    assert fastest == front[::-1]
    assert search("--table", phone, "--minimise", "latency_ms", "--json").json["more"] == [0]


def test_a_front_says_how_many_more_it_has(search: Search, phone: Path) -> None:
    front = search("--table", phone, "--json").json
    assert len(front["results"]) > 5
    least = ["--table", phone, "--minimise", "latency_ms", "--json", "--top"]
    for top in (3, 5, 1000):
        shown = search(*least, top).json
        assert len(shown["results"]) + shown["more"][0] == len(front["results"])


def test_several_objectives_give_the_front_over_them(search: Search, phone: Path) -> None:
    arguments = ["--table", phone, "--min-top1", "77%"]
    both = search(*arguments, "--minimise", "latency_ms,memory", "--json").json["results"]
    again = search(*arguments, "--minimise", "latency_ms", "--minimise", "memory", "--json")
    assert again.json["results"] == both
    costs = [(each["latency_ms"][0], each["memory_bytes"]) for each in both]
    assert costs == sorted(costs)
    every = search(*arguments, "--top", 1000, "--json").json["results"]
    for one in every:
        mine = one["latency_ms"][0], one["memory_bytes"]
        assert any(each[0] <= mine[0] and each[1] <= mine[1] for each in costs)
    text = search(*arguments, "--minimise", "latency_ms,memory").out
    assert text.startswith("Pareto front (latency, bytes of activations) of")
    assert "MB of activations" in text


def test_a_front_over_two_objectives_has_all_that_none_is_better_than_in_both(
    search: Search, board: Path
) -> None:
    question = ["--table", board, "--min-top1", "77%", "--json"]

    def costs(*arguments: object) -> set[tuple[float, int]]:
        results = search(*question, *map(str, arguments)).json["results"]
        return {(each["latency_ms"][0], each["params"]) for each in results}

    every = costs("--top", 1000)
    best = {
        (a, b)
        for a, b in every
        if not any(c <= a and d <= b and (c, d) != (a, b) for c, d in every)
    }
    assert len(best) > 1
    assert costs("--minimise", "latency_ms,params") == best


def test_objectives_within_a_limit(search: Search, phone: Path) -> None:
    within = ["--table", phone, "--latency", 15, "--json"]
    (first, *_) = search(*within, "--minimise", "macs").json["results"]
    every = search(*within, "--top", 1000).json["results"]
    assert first["macs"] == min(each["macs"] for each in every)
    front = search(*within, "--minimise", "macs,params").json["results"]
    assert front[0]["macs"] == first["macs"]


def test_a_list_of_limits_says_nothing_of_what_else_meets_them(search: Search, phone: Path) -> None:
    assert "more" not in search("--table", phone, "--latency", "12,15").out
    assert (
        "within these limits: --top"
        in search("--table", phone, "--latency", "12,15", "--top", 2).out
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("2KiB", 2 * 1024), ("3miB", 3 * 1024**2), ("1.5GiB", 3 * 1024**3 // 2), ("2k", 2000),
     ("8MB", 8_000_000), ("0.25G", 250_000_000), ("1000", 1000)],
)  # fmt: skip
def test_amounts_have_units(text: str, number: int) -> None:
    assert parse_amount(text, "max-size") == number


@pytest.mark.parametrize("limit", ["15ms", "15000us", "15000 µs", "0.015s", "1.5e1"])
def test_a_limit_may_have_a_unit(search: Search, phone: Path, limit: str) -> None:
    plain = search("--table", phone, "--latency", 15, "--json").json["results"]
    assert search("--table", phone, "--latency", limit, "--json").json["results"] == plain


def test_a_range_may_have_a_unit(search: Search, phone: Path) -> None:
    ran = search("--table", phone, "--latency", "12000-15000:1000us", "--json")
    assert [each["limit_ms"] for each in ran.json["results"]] == [[12.0], [13.0], [14.0], [15.0]]


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["--latency", "1000"], "every cell meets 1000 ms on phone: that limit excludes none"),
        (["--latency", "15,900,1000"], "every cell meets limits from 900 ms up on phone"),
        (["--max-macs", "900G"], "every cell has at most 900,000,000,000 MACs: that bound"),
        (["--min-top1", "10%"], "every cell reaches 10 %: that bound excludes none"),
        (["--min-top1", "77%"], "77 % is compared with predicted accuracies (predicted by OFA's"),
    ],
)
def test_a_bound_that_means_little_is_said_to(
    search: Search, phone: Path, arguments: list[str], note: str
) -> None:
    ran = search("--table", phone, *arguments)
    assert ran.code == 0
    assert f"note: {note}" in ran.err


def test_a_bound_that_leaves_something_out_is_not_remarked_upon(
    search: Search, phone: Path
) -> None:
    assert search("--table", phone, "--latency", 15, "--max-macs", "300M").err == ""


def test_accuracies_that_were_measured_are_not_called_predicted(
    search: Search, phone: Path, tmp_path: Path
) -> None:
    accuracy = tmp_path / "measured.csv"
    rows = [f"compofa,{row.cell.subnet},160,0.7,evaluated" for row in read_table(phone).rows[:243]]
    accuracy.write_text("\n".join(["space,subnet,resolution,top1,source", *rows, ""]))
    ran = search("--table", phone, "--accuracy", accuracy, "--min-top1", "60%")
    assert "predicted top-1" not in ran.out
    assert "compared with predicted" not in ran.err


def test_a_name_that_is_a_formula_stays_text_in_the_results(search: Search, phone: Path) -> None:
    phone.write_text(phone.read_text().replace("phone", "=1+1"))
    out = phone.with_name("out.csv")
    search("--table", phone, "--latency", 15, "--out", out)
    assert {row["device"] for row in csv.DictReader(out.open())} == {"'=1+1"}


def _bad_tables() -> dict[str, tuple[Callable[[str], bytes], str]]:
    def encoded(change: Callable[[list[str]], list[str]]) -> Callable[[str], bytes]:
        return lambda text: "".join(change(text.splitlines(keepends=True))).encode()

    return {
        "empty": (lambda _: b"", "the table is empty"),
        "truncated": (lambda text: text[:-60].encode(), "21 columns"),
        "not UTF-8": (lambda text: text.encode("utf-16"), ":1: the table is not UTF-8 text"),
        "duplicate row": (encoded(lambda rows: [*rows, rows[1]]), "the same cell as on line 2"),
        "mixed devices": (
            encoded(lambda rows: [*rows[:2], rows[2].replace("phone", "tablet", 1), *rows[3:]]),
            ":3: a table holds one set-up, but device is 'tablet' here",
        ),
        "NaN": (
            encoded(lambda rows: [rows[0], re.sub(r",160,1,10\.0,", ",160,1,nan,", rows[1])]),
            ":2: latency_ms must be a finite number, not 'nan'",
        ),
        "foreign keys": (
            encoded(lambda rows: [rows[0], rows[1].replace("d22222", "d55555")]),
            "'d55555' is not a subnet of space compofa",
        ),
    }


@pytest.mark.parametrize("kind", list(_bad_tables()))
def test_a_bad_table_is_one_line(search: Search, phone: Path, kind: str) -> None:
    spoil, said = _bad_tables()[kind]
    phone.write_bytes(spoil(phone.read_text()))
    message = refused(search("--table", phone, "--latency", 25))
    assert message.startswith(str(phone))
    assert said in message


def test_a_table_of_another_batch_size_to_learn_from_is_named(search: Search, phone: Path) -> None:
    other = phone.with_name("other.csv")
    write_table(other, make_table("board", batch_size=8))
    message = refused(search("--table", phone, "--like", other, "--latency", 15))
    assert message.startswith(f"{phone}: the table is of batch size 1, but {other} of 8")


def test_a_table_without_its_option_is_told_how(search: Search, phone: Path) -> None:
    message = refused(search(phone, "--latency", 15))
    assert message.startswith(repr(str(phone)[:60]))
    assert message.endswith(f"did you mean compofa-search --table {phone}?)")


def test_a_missing_table_is_one_line(search: Search, tmp_path: Path) -> None:
    message = refused(search("--table", tmp_path / "none.csv"))
    assert message.endswith("none.csv: cannot read the table: no such file or directory")


def test_names_from_a_table_cannot_write_to_the_terminal(search: Search, phone: Path) -> None:
    phone.write_text(phone.read_text().replace("phone", "\x1b[2Jphone"))
    message = refused(search("--table", phone))
    assert "\x1b" not in message


def test_the_command_runs_as_a_process_of_its_own(phone: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "--table", str(phone), "--latency", "15"], capture_output=True, text=True
    )
    assert ran.returncode == 0
    assert ran.stdout.startswith("Best of 486 cells of compofa on phone within 15 ms\n")


def test_a_full_disk_is_one_line_and_leaves_the_old_file(phone: Path) -> None:
    out = phone.with_name("results.csv")
    out.write_text("old")

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    ran = subprocess.run(
        [*COMMAND, "--table", str(phone), "--out", str(out)],
        capture_output=True, text=True, preexec_fn=no_room,
    )  # fmt: skip
    assert ran.returncode == 2
    assert ran.stderr == f"error: {out}: cannot write the results: file too large\n"
    assert out.read_text() == "old"
    assert {path.name for path in phone.parent.iterdir()} == {"phone.csv", "results.csv"}


def test_a_search_does_not_load_what_it_does_not_need(phone: Path) -> None:
    code = (
        "import sys\nfrom compofa.search.commands.search_command import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'pandas', 'scipy', 'onnx', 'onnxruntime', 'vl_convert', 'yaml'}\n"
        "    print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "--table", str(phone), "--latency", "25"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stderr == "[]\n"
