"""The page as a file: self-contained, and safe from hostile data."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.hypotheses.claims import claims
from benchmark.hypotheses.findings import figures
from benchmark.models.registry import registry
from benchmark.records import Outcome
from benchmark.report.data import ReportData, RunComparison
from benchmark.report.gather import gather
from benchmark.report.page import page, tables
from benchmark.report.terminal_text import report_text
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import PairedTests, paired_tests
from fakes import finished_runs


class _Elements(HTMLParser):
    """The elements with their attributes, and the text of each script and style."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open = ""
        self.inner: dict[str, list[str]] = {"script": [], "style": []}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = tag
        if tag in self.inner:
            self.inner[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open in self.inner:
            self.inner[self.open][-1] += data
        else:
            self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element with that tag."""
        return [attributes for name, attributes in self.elements if name == tag]


def _read(text: str) -> _Elements:
    parser = _Elements()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def full_page(report: ReportData) -> _Elements:
    """Return the page of three runs, one of them hostile."""
    return _read(page(report, tables(report)))


@pytest.fixture(scope="module")
def published_page(published_report: ReportData) -> _Elements:
    """Return the page without runs."""
    return _read(page(published_report, tables(published_report)))


def test_only_the_own_script_can_run(full_page: _Elements) -> None:
    """The page has one data element and one script, the only one that the policy allows."""
    data, script = full_page.of("script")
    assert (data.get("type"), script) == ("application/json", {})
    policy = next(str(m["content"]) for m in full_page.of("meta") if "http-equiv" in m)
    script_hash = hashlib.sha256(full_page.inner["script"][1].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(script_hash).decode()}'" in policy
    style = hashlib.sha256(full_page.inner["style"][0].encode()).digest()
    assert f"style-src 'sha256-{base64.b64encode(style).decode()}'" in policy
    assert "default-src 'none'" in policy
    names = [name for _, attributes in full_page.elements for name in attributes]
    assert not [name for name in names if name.startswith("on") or name == "style"]


def test_nothing_is_fetched(full_page: _Elements) -> None:
    """No element refers to anything outside the page."""
    for _, attributes in full_page.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:,"))
    assert not re.search(r"@import|url\(", full_page.inner["style"][0])


def test_hostile_names_are_text(full_page: _Elements) -> None:
    """A model's name with markup and direction characters is shown as escaped text."""
    text = " ".join(full_page.texts)
    assert "</title><script>alert(2)</script>⟨U+202E⟩" in text
    assert not full_page.of("img")
    assert "\u202e" not in text


def test_comparisons_say_what_they_could_have_seen(report: ReportData) -> None:
    """A column has the smallest detectable difference of each row, in points."""
    states = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(100)]
    tests = {"set": paired_tests(states, states, fresh_rng)}
    comparison = replace(report.comparisons[0], tests=tests)
    elements = _read(page(replace(report, comparisons=(comparison,)), tables(report)))
    start = elements.texts.index("Could have seen")
    cells = [text for text in elements.texts[start:] if text.strip()]
    smallest = paired_tests(states, states, fresh_rng).nontrivial.detectable
    assert smallest is not None
    assert cells[1] == "points"
    assert cells.index(f"{100 * smallest:.1f}") == 2 + 9  # the last cell of the first row


def test_page_and_terminal_have_the_same_p_values(report: ReportData) -> None:
    """Both adjust the main comparisons of the runs together, as does ``--details``."""
    p_values = (0.02, 0.013)
    comparisons = [
        replace(comparison, tests={**comparison.tests, "set": _with_main_p(comparison, p)})
        for comparison, p in zip(report.comparisons, p_values, strict=True)
    ]
    report = replace(report, comparisons=tuple(comparisons))
    html = page(report, tables(report))
    assert "its p-value adjusted by Holm's method for 2 comparisons" in html
    section = html[html.index('<section id="compare">') :]
    rows = re.findall(r'<th scope="row">≥ 1</th>(.*?)</tr>', section)
    on_page = [re.findall(r"<td[^>]*>(.*?)</td>", row)[7] for row in rows[:2]]
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(report_text(report, details=True))
    text = capture.get()
    assert on_page == ["0.026", "0.026"]
    assert sum(line.split()[-1:] == ["0.026"] for line in text.splitlines()) == 2 + 2
    assert text.count("p: >= 1 is adjusted for 2 comparisons; all other rows") == 2


def _with_main_p(comparison: RunComparison, p: float) -> PairedTests:
    tests = comparison.tests["set"]
    return replace(tests, nontrivial=replace(tests.nontrivial, two_sided=p))


def test_links_have_targets(full_page: _Elements, published_page: _Elements) -> None:
    """Every link and marker within the page has a target, and identifiers are unique."""
    for elements in (full_page, published_page):
        names = [a["id"] for _, a in elements.elements if "id" in a]
        assert len(set(names)) == len(names)
        targets = {str(a["href"])[1:] for tag in ("a", "use") for a in elements.of(tag)}
        assert targets <= set(names)


def test_every_claim_and_pair(published_page: _Elements, published_report: ReportData) -> None:
    """The page has each claim with its verdict and each pair with its chart."""
    names = {a.get("id") for a in published_page.of("article")}
    assert {f"claim-{name}" for name in claims()} <= names
    assert {f"pair-{name}" for name in published_report.pairs} <= names
    panels = [a for a in published_page.of("div") if a.get("class") == "chart small"]
    assert len(panels) == len(published_report.pairs)
    statuses = [a["data-status"] for a in published_page.of("article") if "data-status" in a]
    assert statuses.count("supported") == 11
    assert any(text.startswith("code: +15.3 points (95 %") for text in published_page.texts)
    regions = {a.get("aria-label") for a in published_page.of("div")}
    assert "Verdicts under other choices" in regions


def test_a_different_verdict_by_set_is_shown(published_report: ReportData) -> None:
    """A claim that set decides differently has both verdicts with figures; others have one."""
    (published,) = published_report.audits
    claim, other = (judged for judged in published.judged if judged.claim.id in {"C1", "C2"})
    judged = (
        replace(claim, other=other.verdict),
        replace(other, score="set"),
        *published.judged[2:],
    )
    report = replace(published_report, audits=(replace(published, judged=judged),))
    text = " ".join(" ".join(_read(page(report, tables(report))).texts).split())
    first, second, third = (
        text[text.index(f" C{n} ") : text.index(f" C{n + 1} ")] for n in (1, 2, 3)
    )
    shown = " ".join(["by set", other.verdict.status, *figures(other.verdict)])
    assert shown in " ".join(first.split())
    assert "by set" in second
    assert "by set" not in third
    assert "1 decided differently by set" in text
    before = " ".join(_read(page(published_report, tables(published_report))).texts)
    assert "decided differently by set" not in before


def test_without_runs_there_is_no_explorer(published_page: _Elements) -> None:
    """A page of published results has neither the explorer nor its data."""
    names = {a.get("id") for _, a in published_page.elements}
    assert not names & {"explorer", "runs", "compare", "data"}


def test_embedded_data(full_page: _Elements, report: ReportData, hostile: str) -> None:
    """The embedded data is valid JSON, with hostile texts unchanged."""
    document = json.loads(full_page.inner["script"][0])
    assert len(document["states"]) == len(report.states)
    assert hostile in document["texts"]


def test_a_result_with_an_unexpected_environment(tmp_path: Path) -> None:
    """An environment of any type is shown as text."""
    run = finished_runs.write_run(
        tmp_path / "run", "x/y", finished_runs.first_states(2), finished_runs.correct_answer,
        environment=["<b>", {"hardware": None}], prompts=None,
    )  # fmt: skip
    report = gather([run], registry())
    assert "&lt;b&gt;, {&#39;hardware&#39;: None}" in page(report, tables(report))


def test_the_task_of_a_run_is_shown(tmp_path: Path) -> None:
    """The page names the task of a run if it is not the default one."""
    states = finished_runs.first_states(2)
    for name, task in (("default", "boxes"), ("other", "move-contents")):
        run = finished_runs.write_run(
            tmp_path / name, f"x/{name}", states, finished_runs.correct_answer,
            data={"sha256": name, "states": 2, "task": task},
        )  # fmt: skip
        (run / "predictions.jsonl").unlink()
    report = gather([tmp_path], registry())
    text = page(report, tables(report))
    assert text.count("other, task move-contents") >= 3  # tile, tables, settings
    assert "task boxes" not in text
