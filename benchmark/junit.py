"""Write JUnit XML, the format in which CI services read test results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a case failed: a one-line message and the full text."""

    message: str
    text: str


@dataclass(frozen=True, slots=True)
class JUnitCase:
    """A test case: its class, name and properties, and why it failed or was skipped if it did."""

    classname: str
    name: str
    properties: Mapping[str, str]
    problem: Problem | None = None
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class JUnitSuite:
    """A named group of cases, with the properties that they share."""

    name: str
    cases: Sequence[JUnitCase]
    properties: Mapping[str, str] = field(default_factory=dict)


def points_property(share: float | None) -> str:
    """Return a share in points as the value of a property; empty for None."""
    return "" if share is None else f"{100 * share:.2f}"


def document(suites: Sequence[JUnitSuite]) -> str:
    """Return the XML document; characters that XML 1.0 cannot hold become question marks."""
    root = ET.Element("testsuites")
    root.extend(map(_suite, suites))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _suite(suite: JUnitSuite) -> ET.Element:
    failures = sum(case.problem is not None for case in suite.cases)
    skipped = sum(bool(case.skipped) for case in suite.cases)
    counts = {"tests": str(len(suite.cases)), "failures": str(failures)}
    if skipped:
        counts["skipped"] = str(skipped)
    element = ET.Element("testsuite", {"name": _printable(suite.name), **counts})
    _add_properties(element, suite.properties)
    element.extend(map(_case, suite.cases))
    return element


def _case(case: JUnitCase) -> ET.Element:
    names = {"classname": _printable(case.classname), "name": _printable(case.name)}
    element = ET.Element("testcase", names)
    _add_properties(element, case.properties)
    if case.problem:
        message = _printable(case.problem.message)
        ET.SubElement(element, "failure", message=message).text = _printable(case.problem.text)
    if case.skipped:
        ET.SubElement(element, "skipped", message=_printable(case.skipped))
    return element


def _add_properties(element: ET.Element, properties: Mapping[str, str]) -> None:
    if not properties:
        return
    values = ET.SubElement(element, "properties")
    for name, value in properties.items():
        ET.SubElement(values, "property", name=_printable(name), value=_printable(value))


def _printable(text: str) -> str:
    """Replace control characters, which XML 1.0 cannot hold."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
