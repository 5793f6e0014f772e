"""JUnit files: suites of cases with properties, as machines that build read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a case failed: in a line, and at length."""

    message: str
    text: str


@dataclass(frozen=True, slots=True)
class JUnitCase:
    """A case: what kind of thing it is about, its name, its figures, and why it failed."""

    classname: str
    name: str
    properties: Mapping[str, str]
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class JUnitSuite:
    """Cases under a name, and what holds of all of them."""

    name: str
    cases: Sequence[JUnitCase]
    properties: Mapping[str, str] = field(default_factory=dict)


def document(suites: Sequence[JUnitSuite]) -> str:
    """The file. Any text may stand in it: what XML 1.0 cannot hold becomes a question mark."""
    root = ET.Element("testsuites")
    root.extend(map(_suite, suites))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _suite(suite: JUnitSuite) -> ET.Element:
    failures = sum(case.problem is not None for case in suite.cases)
    counts = {"tests": str(len(suite.cases)), "failures": str(failures)}
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
    return element


def _add_properties(element: ET.Element, properties: Mapping[str, str]) -> None:
    if not properties:
        return
    values = ET.SubElement(element, "properties")
    for name, value in properties.items():
        ET.SubElement(values, "property", name=_printable(name), value=_printable(value))


def _printable(text: str) -> str:
    """XML 1.0 has no control characters; a library's error or a model's name may."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
