"""The page as a file: whole, self-contained, and deaf to what stands in its data."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.hypotheses.claims import claims
from benchmark.hypotheses.findings import figures
from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from benchmark.report.page import page, tables


class _Elements(HTMLParser):
    """Elements with their attributes, and the text of each script and style."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open = ""
        self.inner: dict[str, list[str]] = {"script": [], "style": []}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
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
        """The attributes of each element of that name."""
        return [attributes for name, attributes in self.found if name == tag]


def _read(text: str) -> _Elements:
    parser = _Elements()
    parser.feed(text)
    return parser


@pytest.fixture(scope="module")
def whole(material: ReportData) -> _Elements:
    """The page of three runs, one of them hostile."""
    return _read(page(material, tables(material)))


@pytest.fixture(scope="module")
def published_page(published_material: ReportData) -> _Elements:
    """The page without runs."""
    return _read(page(published_material, tables(published_material)))


def test_only_our_own_script_may_run(whole: _Elements) -> None:
    """There is our data and our script, and the policy allows that script alone by its digest."""
    data, script = whole.of("script")
    assert (data.get("type"), script) == ("application/json", {})
    policy = next(str(m["content"]) for m in whole.of("meta") if "http-equiv" in m)
    own = hashlib.sha256(whole.inner["script"][1].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(own).decode()}'" in policy
    style = hashlib.sha256(whole.inner["style"][0].encode()).digest()
    assert f"style-src 'sha256-{base64.b64encode(style).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert not [a for _, a in whole.found for name in a if name.startswith("on") or name == "style"]


def test_nothing_is_fetched(whole: _Elements) -> None:
    """No element refers to anything outside of the page."""
    for _, attributes in whole.found:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:,"))
    assert not re.search(r"@import|url\(", whole.inner["style"][0])


def test_hostile_names_are_text(whole: _Elements) -> None:
    """A model's name with markup and marks of direction stands there spelled out, as text."""
    text = " ".join(whole.texts)
    assert "</title><script>alert(2)</script>⟨U+202E⟩" in text
    assert not whole.of("img")
    assert "\u202e" not in text


def test_links_lead_somewhere(whole: _Elements, published_page: _Elements) -> None:
    """Every link within the page has its target, and no identifier stands twice."""
    for elements in (whole, published_page):
        names = [a["id"] for _, a in elements.found if "id" in a]
        assert len(set(names)) == len(names)
        assert {str(a["href"])[1:] for a in elements.of("a")} <= set(names)


def test_every_claim_and_pair(published_page: _Elements, published_material: ReportData) -> None:
    """Each claim with its verdict and each pair with its panel is there."""
    names = {a.get("id") for a in published_page.of("article")}
    assert {f"claim-{name}" for name in claims()} <= names
    assert {f"pair-{name}" for name in published_material.pairs} <= names
    panels = [a for a in published_page.of("svg") if a.get("class") == "panel"]
    assert len(panels) == len(published_material.pairs)
    statuses = [a["data-status"] for a in published_page.of("article") if "data-status" in a]
    assert statuses.count("supported") == 19


def test_a_verdict_by_set_that_differs_is_shown(published_material: ReportData) -> None:
    """A claim that set decides otherwise has that verdict and its figures; others have one."""
    (published,) = published_material.audits
    claim, other = (each for each in published.judged if each.claim.id in {"C1", "C2"})
    judged = (
        replace(claim, other=other.verdict),
        replace(other, score="set"),
        *published.judged[2:],
    )
    material = replace(published_material, audits=(replace(published, judged=judged),))
    text = " ".join(" ".join(_read(page(material, tables(material))).texts).split())
    first, second, third = (
        text[text.index(f" C{n} ") : text.index(f" C{n + 1} ")] for n in (1, 2, 3)
    )
    shown = " ".join(["by set", other.verdict.status, *figures(other.verdict)])
    assert shown in " ".join(first.split())
    assert "by set" in second
    assert "by set" not in third
    assert "1 decided otherwise by set" in text
    before = " ".join(_read(page(published_material, tables(published_material))).texts)
    assert "decided otherwise by set" not in before


def test_without_runs_there_is_no_explorer(published_page: _Elements) -> None:
    """The published results have no states: neither explorer nor data are there."""
    names = {a.get("id") for _, a in published_page.found}
    assert not names & {"explorer", "runs", "compare", "data"}


def test_data_is_whole(whole: _Elements, material: ReportData, hostile: str) -> None:
    """What is embedded reads as JSON, hostile texts in it as they were."""
    document = json.loads(whole.inner["script"][0])
    assert len(document["states"]) == len(material.states)
    assert hostile in document["texts"]


def test_a_result_with_an_odd_environment(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Whatever an environment is, the page shows it as text and does not break on it."""
    run = finished_runs.write_run(
        tmp_path / "run", "x/y", finished_runs.some_states(2), finished_runs.right,
        environment=["<b>", {"hardware": None}], prompts=None,
    )  # fmt: skip
    material = gather([run], registry())
    assert "&lt;b&gt;, {&#39;hardware&#39;: None}" in page(material, tables(material))
