"""A comparison as JUnit XML: one test case per cell, so that a CI server lists what became slower.

The elements and attributes are those of Ant's junitreport as Jenkins' and GitLab's readers take
them: testsuites > testsuite > testcase > failure, error or skipped. GitLab shows the text of a
failure and tells cases apart by class name and name.
"""

from __future__ import annotations

from xml.etree import ElementTree

from compofa.profiler.comparison.changes import CellChange
from compofa.profiler.comparison.report_format import ReportFormat
from compofa.profiler.comparison.sentences import device_headline
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import cell_name, digits_of, interval, percent
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.compare import Verdict

COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def render_junit(report: Report) -> str:
    """One suite per device: slower cells fail, broken ones are errors, undecided ones are skipped.

    A table that is missing now is an error of a suite of its own.
    """
    root = ElementTree.Element("testsuites")
    for each in report.devices:
        _suite(root, each)
    for name in report.only_base:
        suite = ElementTree.SubElement(root, "testsuite", {"name": name})
        case = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": name})
        _problem(case, "error", "the device was not measured now", "missing")
        _count(suite)
    _count(root)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, compared: Compared) -> None:
    changes, name = compared.changes, f"latency on {compared.device}"
    suite = ElementTree.SubElement(root, "testsuite", {"name": name})
    digits = digits_of(changes)
    suspects = {each.cell for each in changes.suspects}
    for each in changes.cells:
        case = _case(suite, each.cell, each.new_ms)
        if each.ratio.verdict is Verdict.SLOWER:
            _problem(case, "failure", _change(each, digits), "slower")
        elif each.cell in suspects:
            _problem(case, "skipped", f"cannot tell: {_change(each, digits)}")
    for cell in changes.broken:
        _problem(_case(suite, cell), "error", "it can no longer be measured", "failed")
    for cell in changes.missing:
        _problem(_case(suite, cell), "skipped", "not measured now")
    if compared.front is not None and compared.front.falls:
        where = {"classname": name, "name": "Pareto front"}
        case = ElementTree.SubElement(suite, "testcase", where)
        _problem(case, "failure", compared.front.sentences()[0], "accuracy")
    for result in compared.gates:
        column = result.gate.column
        for over in result.over:
            case = ElementTree.SubElement(
                suite, "testcase", {"classname": name, "name": f"{column} {cell_name(over.cell)}"}
            )
            said = f"{column} {over.base:g} -> {over.new:g}, {percent(over.ratio)}"
            kind, element = ("worse", "failure") if over.sure else ("", "skipped")
            _problem(case, element, said if over.sure else f"cannot tell: {said}", kind)
    _count(suite)
    ElementTree.SubElement(suite, "system-out").text = device_headline(compared)


def _case(suite: ElementTree.Element, cell: Cell, milliseconds: float = 0.0) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": suite.attrib["name"],
            "name": f"{cell.space} {cell_name(cell)}",
            "time": f"{milliseconds / 1000:.6f}",
        },
    )


def _problem(case: ElementTree.Element, element: str, message: str, kind: str = "") -> None:
    attributes = {"message": message} | ({"type": kind} if kind else {})
    problem = ElementTree.SubElement(case, element, attributes)
    if kind:
        problem.text = message


def _count(parent: ElementTree.Element) -> None:
    """Writes down how many cases there are below `parent`, and what became of them."""
    parent.set("tests", str(len(parent.findall(".//testcase"))))
    for name, element in COUNTED.items():
        parent.set(name, str(len(parent.findall(f".//testcase/{element}"))))


def _change(change: CellChange, digits: int) -> str:
    return (
        f"{change.base_ms:.3f} ms -> {change.new_ms:.3f} ms, {percent(change.ratio.value, digits)} "
        f"({interval(change.ratio, digits)})"
    )


JUNIT = ReportFormat(render_junit, (".xml",))
