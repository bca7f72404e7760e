"""A comparison as JUnit XML: one test case per cell, so that a CI server lists what became slower.

The elements and attributes are those of Ant's junitreport as Jenkins' and GitLab's readers take
them: testsuites > testsuite > testcase > failure, error or skipped.
"""

from __future__ import annotations

from xml.etree import ElementTree

from compofa.profiler.comparison.changes import CellChange, Changes
from compofa.profiler.comparison.words import cell_name, headline, interval, percent
from compofa.profiler.statistics.compare import Verdict


def write_junit(changes: Changes) -> str:
    """The report: slower cells fail, broken ones are errors, suspects are skipped."""
    suspects = {each.cell for each in changes.suspects}
    failures = len(changes.of(Verdict.SLOWER))
    counts = {
        "tests": str(len(changes.cells) + len(changes.broken)),
        "failures": str(failures),
        "errors": str(len(changes.broken)),
        "skipped": str(len(suspects)),
    }
    root = ElementTree.Element("testsuites", counts)
    name = f"latency on {changes.new.table.setup.device}"
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts})
    for each in changes.cells:
        case = _case(suite, name, cell_name(each.cell), each.new_ms)
        if each.ratio.verdict is Verdict.SLOWER:
            ElementTree.SubElement(case, "failure", {"message": _said(each), "type": "slower"})
        elif each.cell in suspects:
            ElementTree.SubElement(case, "skipped", {"message": f"cannot tell: {_said(each)}"})
    for cell in changes.broken:
        case = _case(suite, name, cell_name(cell), 0.0)
        message = "it can no longer be measured"
        ElementTree.SubElement(case, "error", {"message": message, "type": "failed"})
    ElementTree.SubElement(suite, "system-out").text = headline(changes)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(
    suite: ElementTree.Element, where: str, name: str, milliseconds: float
) -> ElementTree.Element:
    seconds = f"{milliseconds / 1000:.6f}"
    return ElementTree.SubElement(
        suite, "testcase", {"classname": where, "name": name, "time": seconds}
    )


def _said(change: CellChange) -> str:
    return (
        f"{change.base_ms:.3f} ms -> {change.new_ms:.3f} ms, {percent(change.ratio.value)} "
        f"({interval(change.ratio)})"
    )
