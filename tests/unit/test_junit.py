"""The contents of JUnit files, for any text."""

from xml.etree import ElementTree as ET

from benchmark.junit import JUnitCase, JUnitSuite, Problem, document


def test_suites_cases_and_properties() -> None:
    """Suites count cases and failures, and suites and cases have properties."""
    cases = [
        JUnitCase("m", "numops 0", {"accuracy": "97.00"}),
        JUnitCase("m", "numops 1", {}, Problem("too low", "in\ntwo lines")),
    ]
    root = ET.fromstring(document([JUnitSuite("a run", cases, {"model": "m"})]))  # noqa: S314
    (suite,) = root
    assert suite.attrib == {"name": "a run", "tests": "2", "failures": "1"}
    assert [p.attrib for p in suite.findall("properties/property")] == [
        {"name": "model", "value": "m"}
    ]
    first, second = suite.findall("testcase")
    assert [p.get("value") for p in first.iter("property")] == ["97.00"]
    failure = second.find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("too low", "in\ntwo lines")
    assert second.find("properties") is None


def test_any_text_gives_a_file_that_can_be_read() -> None:
    """Control characters, lone surrogates and markup are safe in every field."""
    bad = "\x00\x1b[31m</testsuite>\ud800\ufffe\"'&"
    case = JUnitCase(bad, bad, {bad: bad}, Problem(bad, bad))
    text = document([JUnitSuite(bad, [case], {bad: bad})])
    root = ET.fromstring(text.encode())  # noqa: S314
    good = "??[31m</testsuite>??\"'&"
    values = {value for element in root.iter() for value in element.attrib.values()}
    assert values == {good, "1"}
