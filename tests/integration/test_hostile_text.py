"""Text by others is text on every surface: terminal, GitHub, documents, tables and figures.

Names of a registry and of runs carry what has acted somewhere before: markup of rich, Markdown,
HTML, LaTeX and matplotlib, workflow commands, formulas, control and direction characters.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark import output
from benchmark.fingerprints.ci import annotation, step_summary
from benchmark.fingerprints.ci import junit as comparison_junit
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.digests import StageRecord
from benchmark.junit import JUnitCase, JUnitSuite, Problem, document
from benchmark.report.table_formats import TABLE_FORMATS
from benchmark.report.table_model import TableCell, TableModel, TableRow
from benchmark.report.templates import script_json
from fakes import fake_fingerprints, finished_runs
from fakes.command_line import command_line

NAME = r"$\frac{$ {x} [bold]b[/bold] [link=file:///]l[/link] \input{x} %0A |a| <b>& :smile: --- ?`"
"""A name that a registry may have: it is printable, and no formula."""

LABEL = (
    "\x1b]8;;http://x\x1b\\l\x1b]8;;\x1b\\\u202e\u200b\r\n::add-mask::a\n=cmd|' /C x'!A0\t##[group]"
)
"""A model in a result.json, which may be any text."""

TEXTS = (
    *(NAME, LABEL, finished_runs.HOSTILE, "=1+1", "+cmd", "-1+1", "@x", "\t=1", "\r=1", "  =1"),
    *("\uff1d1+1", "a\rb", "[2cm] x", "* x", "\\\\", "^^5c", "%", "\ufffe", "\udcff", "\U000e0041"),
    *("<!--<script>", "</script>", "]]>", "&lt;", "http://a.b", "www.a.b", "@octocat", "`" * 5),
    *("::set-output name=a::b", "%0A::error::x", "1. a", "- a", "# a", "a\n\nb", "\u2028::error::"),
)


class Elements(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        """Read the page."""
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def _table(text: str) -> TableModel:
    cells = (TableCell(text, text), TableCell("1.0"))
    rows = (TableRow((TableCell(text),), "heading"), TableRow(cells, "measured"))
    return TableModel("table-9", text, text, ("Model", "Overall"), rows)


def _controls(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]


def _columns(line: str) -> int:
    """Return the number of pipes of a Markdown row that are not escaped."""
    return len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))


@pytest.mark.parametrize("text", TEXTS)
def test_a_table_shows_the_text(text: str) -> None:
    """In four formats, each read by the rules of the format."""
    table = _table(text)
    texts = {name: render(table) for name, render in TABLE_FORMATS.items()}
    _check_csv(texts["csv"])
    _check_latex(texts["tex"])
    assert {_columns(line) for line in texts["md"].splitlines()[2:6]} == {3}
    plain = Elements(TABLE_FORMATS["html"](_table("x")))
    page = Elements(texts["html"])
    assert page.names == plain.names
    assert len(page.attributes) == len(plain.attributes)


def _check_csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {3}
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    assert not _controls(text)


COMMANDS = {
    *("usepackage", "begingroup", "scriptsize", "setlength", "tabcolsep", "begin", "end"),
    *("caption", "label", "toprule", "midrule", "bottomrule", "endfirsthead", "endhead", "endfoot"),
    *("multicolumn", "emph", "tiny", "endgroup", "checkmark", "times", "pm", "geq"),
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
    *("textquotedbl", "textasciigrave", "langle", "rangle"),
}


def _check_latex(text: str) -> None:
    """Check that the only commands are ours, that groups are closed and rows have no arguments."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert set(re.findall(r"\\([A-Za-z]+)", body)) <= COMMANDS
    symbols = set(re.findall(r"\\([^A-Za-z])", body))
    assert symbols <= set("&%$#_{}\\")
    unescaped = re.sub(r"\\.", "", body, flags=re.DOTALL)
    assert unescaped.count("$") % 2 == 0
    assert "%" not in unescaped
    assert "#" not in unescaped
    assert unescaped.count("{") == unescaped.count("}")
    assert not re.search(r"\\\\\*?\n\s*(\[|\*)", body)
    assert not _controls(text)


@given(st.text())
@example(NAME)
@example(LABEL)
def test_latex_of_any_text(text: str) -> None:
    """No command, no open group, no argument of the row above."""
    _check_latex(f"x \\\\\n{output.latex(text)}")


@given(st.text())
@example(LABEL)
@example("\x85\x0b\x0c")
def test_junit_of_any_text(text: str) -> None:
    """The XML is valid, and the text is in it, without what XML cannot hold."""
    case = JUnitCase(text, text, {text: text}, Problem(text, text), text)
    root = ET.fromstring(document([JUnitSuite(text, [case], {text: text})]))  # noqa: S314  # ours
    assert len(root) == 1
    assert len(root[0].findall("testcase")) == 1
    kept = re.sub(r"[^\w]", "", text)
    name = root[0].get("name") or ""
    assert re.sub(r"[^\w]", "", name) == "".join(c for c in kept if c.isprintable())


@given(st.text() | st.sampled_from(TEXTS))
def test_json_in_a_script_is_data(text: str) -> None:
    """It cannot end the element or begin a comment, and is the same value."""
    shown = script_json({text: text})
    assert not set(shown) & set("<>&\u2028\u2029")
    assert json.loads(shown) == {text: text}


@pytest.mark.parametrize("text", TEXTS)
def test_a_comparison_on_github(text: str) -> None:
    """One command of one line, a summary whose only markup is ours, and a JUnit file."""
    record = fake_fingerprints.fake_fingerprint()
    changed = replace(record, stages={**record.stages, "prompt_ids": StageRecord(failed=text)})
    comparison = compare(record, changed)
    command = annotation(comparison, text)
    assert command.startswith("::error title=")
    assert len(command.splitlines()) == 1 or "\u2028" in command
    assert "\n" not in command
    assert "\r" not in command
    head, _, _ = step_summary(comparison, text).partition("\n| stage")
    plain, _, _ = step_summary(compare(record, record), "x").partition("\n| stage")
    assert head.count("\n") >= plain.count("\n")
    for line in head.splitlines():
        assert line == "" or line.startswith(("### ", "- "))
        assert not re.search(r"(?<!\\)(?:\\\\)*[<\[`]", line)
    ET.fromstring(comparison_junit({text: comparison}))  # noqa: S314  # ours


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a registered pair with odd names, and one of a model with a hostile name."""
    place = tmp_path_factory.mktemp("inputs")
    answers = (finished_runs.initial_answer, finished_runs.correct_answer)
    names = ("owner/base", "owner/variant", LABEL)
    for number, (name, answer) in enumerate(zip(names, (*answers, answers[0]), strict=True)):
        states = finished_runs.first_states(65)
        finished_runs.write_run(place / "runs" / str(number), name, states, answer)
    (place / "registry.toml").write_text(_registry(NAME), encoding="utf-8")
    return place


def _registry(name: str) -> str:
    models = "".join(
        f"[models.{key}]\nname = {json.dumps(text)}\nhuggingface_id = 'owner/{key}'\n"
        f"architecture = 'llama'\nsize = '1'\nadded = {added}\nformat = 'completion'\n"
        "paper = false\n"
        for key, text, added in (("base", "Base", "[]"), ("variant", name, "['control']"))
    )
    return f"""alone = true
{models}[[pairs]]
id = "p"
experiment = "control"
base = "base"
variant = "variant"
hypothesis = "gain"
source = "s"
"""


@pytest.fixture(scope="module")
def reported(inputs: Path) -> CompletedProcess[str]:
    """What the command ``report`` says; its files are in the folder ``report``."""
    arguments = ("report", inputs / "runs", "--registry", inputs / "registry.toml")
    process = command_line(*arguments, "--out", inputs / "report")
    assert process.returncode == 0, process.stderr
    return process


def test_a_report_shows_the_names(inputs: Path, reported: CompletedProcess[str]) -> None:
    """On the terminal, in its tables and on its page."""
    assert not _controls(reported.stdout + reported.stderr)
    assert f"{NAME[:9]}…{NAME[-10:]}" in reported.stdout  # shortened to the table's width
    report = inputs / "report"
    for path in (report / "tables").glob("*.csv"):
        cells = [
            cell for row in csv.reader(io.StringIO(path.read_bytes().decode())) for cell in row
        ]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "\t", "\r"))]
    for path in (report / "tables").glob("*.tex"):
        _check_latex(path.read_text(encoding="utf-8"))
    page = Elements((report / "index.html").read_text(encoding="utf-8"))
    assert page.names.count("script") == 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [name for name in page.names if name == "img"]


def test_a_figure_shows_the_name(inputs: Path, reported: CompletedProcess[str]) -> None:
    """As it is, and not as a formula; the file is whole."""
    svg = ET.parse(inputs / "report" / "figures" / "figure-pairs.svg")  # noqa: S314  # ours
    assert NAME in "".join(svg.getroot().itertext())
    for suffix, end in (("pdf", b"%%EOF\n"), ("png", b"IEND\xaeB`\x82")):
        content = (inputs / "report" / "figures" / f"figure-pairs.{suffix}").read_bytes()
        assert content.endswith(end)


def test_junit_shows_the_names(inputs: Path, reported: CompletedProcess[str]) -> None:
    """The file of ``export junit`` is XML."""
    out = inputs / "j.xml"
    arguments = ("export", "junit", inputs / "runs", "--registry", inputs / "registry.toml")
    assert command_line(*arguments, "--out", out).returncode == 0
    names = [suite.get("name") for suite in ET.parse(out).getroot()]  # noqa: S314  # ours
    assert NAME in names


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "a\x1b[2J", "a\nb", "\t"])
def test_a_registry_with_such_a_name_is_refused(tmp_path: Path, name: str) -> None:
    """A formula or a control character, with the place."""
    path = tmp_path / "registry.toml"
    path.write_text(_registry(name), encoding="utf-8")
    process = command_line("report", "--registry", path, "--out", tmp_path / "x")
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: {path}: model 'variant': name: ")
    assert not (tmp_path / "x").exists()


def _lines(process: CompletedProcess[str]) -> Iterator[str]:
    yield from process.stdout.splitlines()
    yield from process.stderr.splitlines()


@pytest.mark.parametrize("github", ["true", "false"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("claims", "--results", "{}"),
        ("export", "results", "{}", "--out", "{}/x.parquet"),
        ("compare", "{}/a", "{}/b"),
        ("score", "--predictions", "{}/a", "--data", "{}/b"),
        ("generate", "--split", "{}", "--out", "{}/x"),
        ("run", "--model", "{}", "--out", "{}/o"),
        ("plan", "--gpu", "{}"),
        ("{}",),
    ],
)
def test_no_command_repeats_text_that_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], github: str
) -> None:
    """Arguments and paths are repeated in errors; none is a command or a control character."""
    monkeypatch.setenv("GITHUB_ACTIONS", github)
    monkeypatch.chdir(tmp_path)
    hostile = "\n::add-mask::a\r\x1b]0;t\x07[bold]"
    process = command_line(*(word.replace("{}", hostile) for word in arguments))
    for line in _lines(process):
        assert not _controls(line)
        assert not line.lstrip().startswith("::") or github == "false"
