"""A history only grows, tolerates a torn line, and reports an alarm once."""

import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.history.alarms import follow
from benchmark.history.entries import Entry, append, read_history
from benchmark.history.page import history_page
from benchmark.history.table import sparkline
from benchmark.history.trends import evaluate
from fakes import eval_logs, fake_fingerprints
from fakes.command_line import command_line


def _entry(value: float = 0.5, alarms: Sequence[str] = ()) -> Entry:
    return Entry("gate", "passes", 0, alarms, {"acc": value}, "a -> b", "2026-01-02T03:04:05+00:00")


def test_entries_are_read_as_they_were_written(tmp_path: Path) -> None:
    """In order, each with its time."""
    path = tmp_path / "new" / "h.jsonl"
    for value in (0.5, 0.25):
        append(path, _entry(value, ["x"]))
    assert read_history(path) == [_entry(0.5, ("x",)), _entry(0.25, ("x",))]
    append(path, Entry("compare", "same", 0))
    assert read_history(path)[-1].time > "2026"


def test_figures_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    """Such as the mean KL of records that differ at an impossible token."""
    path = tmp_path / "h.jsonl"
    append(path, Entry("gate", "worse", 4, (), {"a": float("inf"), "b": 1.0, "c": float("nan")}))
    assert read_history(path)[0].figures == {"b": 1.0}


def test_a_torn_line_is_replaced(tmp_path: Path) -> None:
    """A line that a kill cut off is not read, and the next run takes its place."""
    path = tmp_path / "h.jsonl"
    append(path, _entry(1))
    append(path, _entry(2))
    content = path.read_bytes()
    for cut in (1, 20, len(_entry(2).line())):
        path.write_bytes(content[:-cut])
        assert read_history(path) == [_entry(1)]
        append(path, _entry(3))
        assert read_history(path) == [_entry(1), _entry(3)]


def test_several_writers(tmp_path: Path) -> None:
    """Runs at the same time lose no entry."""
    path = tmp_path / "h.jsonl"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: append(path, _entry(n)), range(12)))
    assert sorted(entry.figures["acc"] for entry in read_history(path)) == [*range(12)]


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", '{"format": 2}', "x", _entry().line().replace("[]", "[1]"),
     _entry().line().replace("0.5", '"0.5"'), _entry().line().replace(": 0,", ": null,")],
)  # fmt: skip
def test_another_file_is_not_appended_to(line: str, tmp_path: Path) -> None:
    """The error names the line, and the file stays as it is."""
    path = tmp_path / "h.jsonl"
    path.write_text(line.strip() + "\n")
    with pytest.raises(DataError, match=r"h\.jsonl:1"):
        append(path, _entry())
    assert path.read_text() == line.strip() + "\n"


ALARMS = [
    ("x", "open", "open"),
    ("x", "still open", "none"),
    ("", "quiet", "none"),
    ("x", "still open", "none"),
    ("", "quiet", "none"),
    ("", "quiet", "none"),
    ("", "closed", "close"),
    ("", "closed", "none"),
    ("x", "reopened", "reopen"),
    ("xy", "still open", "update"),
    ("y", "quiet", "none"),
    ("y", "quiet", "none"),
    ("y", "closed", "update"),
]
"""What each run raises, the state of x after it, and what is to be done."""


def test_an_alarm_from_run_to_run() -> None:
    """One that comes and goes is filed once, and reopened instead of filed again."""
    raised = [set(names) for names, _, _ in ALARMS]
    for number, (_, state, action) in enumerate(ALARMS, start=1):
        book = follow(raised[:number])
        assert (book.alarms[0].state, book.action) == (state, action), number


def test_an_alarm_that_is_long_gone_is_a_new_one() -> None:
    """After 30 runs it is forgotten."""
    book = follow([{"x"}, *[set[str]()] * 33, {"x"}])
    assert (book.alarms[0].state, book.action) == ("open", "open")
    assert follow([{"x"}, *[set[str]()] * 32, {"x"}]).action == "reopen"


def _drifting(nights: int = 130) -> list[Entry]:
    generator = random.Random(4)  # noqa: S311
    return [_entry(0.7 + generator.gauss(-0.02 * max(0, n - 59), 1) / 100) for n in range(nights)]


def test_a_slow_drift_is_an_alarm_once() -> None:
    """Score of 70 % with an error of a point, 0.02 points lower each night after the 60th."""
    entries = _drifting()
    actions = [evaluate(entries[:n]).book.action for n in range(60, 131)]
    assert (actions.count("open"), actions.count("reopen")) == (1, 0)
    assert 10 < actions.index("open") < 70
    (alarm,) = evaluate(entries).book.open
    assert alarm.name == "drift down: gate acc"


def test_a_drift_stays_when_series_are_added() -> None:
    """An entry with many new figures changes no threshold of the past."""
    entries = _drifting()
    opened = next(n for n in range(60, 131) if evaluate(entries[:n]).book.open)
    many = Entry("gate", "passes", 0, (), {f"task {n}": 0.5 for n in range(900)})
    (alarm,) = evaluate([*entries[:opened], many]).book.open
    assert alarm.name == "drift down: gate acc"


def test_two_watches_in_one_file() -> None:
    """Each has its own series, and its own runs without an alarm."""
    ours = [replace(entry, watch="a") for entry in _drifting()]
    steady = replace(_entry(0.1), watch="b")
    mixed = [entry for one in ours for entry in (one, steady)]
    trends = {trend.name: trend for trend in evaluate(mixed).trends}
    assert trends["gate acc (a)"].values == evaluate(ours).trends[0].values
    assert trends["gate acc (a)"].drift.down[:90] == evaluate(ours).trends[0].drift.down[:90]
    assert not any(trends["gate acc (b)"].drift.alarms)
    other = [steady] * 5
    (alarm,) = evaluate([replace(_entry(alarms=["x"]), watch="a"), *other]).book.open
    assert (alarm.name, alarm.state, alarm.clean) == ("x (a)", "open", 0)


def test_page(tmp_path: Path) -> None:
    """One file without scripts; names are shown as text."""
    entries = [*_drifting(), Entry("gate", "worse", 4, ["<b>x</b>"], {"<i>": 1.0})]
    page = history_page(evaluate(entries), "<u>")
    assert "drift down: gate acc" in page
    assert page.count("<svg") == 2
    assert page.count("<circle") > 10
    for tag in ("<b>", "<i>", "<u>", "<script"):
        assert tag not in page


@pytest.mark.parametrize(
    ("values", "bars"), [([1, 2, 8], "▁▂█"), ([3, 3], "▁▁"), ([-1e308, 1e308], "▁█")]
)
def test_sparkline(values: list[float], bars: str) -> None:
    """Bars between the lowest and the highest value."""
    assert sparkline(values) == bars


def test_verbs_keep_a_history(tmp_path: Path) -> None:
    """The verbs gate and compare append, say which alarms are open, and history shows them."""
    from benchmark.fingerprints import storage

    path = tmp_path / "h.jsonl"
    logs = [
        eval_logs.write_inspect(tmp_path / f"{name}.eval", "task", [score] * 200)
        for name, score in (("old", 1.0), ("new", 0.0))
    ]
    out = tmp_path / "out.json"
    done = command_line("gate", *logs, "--history", path, "--json-file", out)
    assert done.returncode == 4
    assert "open: task is worse, since" in done.stdout
    assert json.loads(out.read_text())["history"]["action"] == "open"
    record = fake_fingerprints.fake_fingerprint()
    storage.write_fingerprint(record, tmp_path / "a.json")
    changed = fake_fingerprints.with_changed_stage(record, "prompt_ids", (0,))
    storage.write_fingerprint(changed, tmp_path / "b.json")
    done = command_line("compare", tmp_path / "a.json", tmp_path / "b.json", "--history", path)
    assert done.returncode == 3
    assert [entry.alarms for entry in read_history(path)] == [("task is worse",), ("prompt_ids",)]
    page = tmp_path / "page.html"
    done = command_line("history", path, "--page", page)
    assert done.returncode == 0, done.stderr
    assert "gate task match" in done.stdout
    assert "</html>" in page.read_text()
    assert command_line("history", path, "--exit-code").returncode == 3
    document = json.loads(command_line("history", path, "--json").stdout)
    assert {alarm["state"] for alarm in document["alarms"]} == {"open"}


def test_gates_of_several_models_in_one_history(tmp_path: Path) -> None:
    """Each model is a series of its own, with its own alarms."""
    path = tmp_path / "h.jsonl"
    for model, score in (("owner/a", 0.0), ("owner/b", 1.0)):
        logs = [
            eval_logs.write_inspect(tmp_path / f"{value}.eval", "task", [value] * 200, model)
            for value in (1.0, score)
        ]
        command_line("gate", *logs, "--history", path)
    watches = [entry.watch for entry in read_history(path)]
    assert watches == [f"{name}, Inspect, margin 0.02" for name in ("owner/a", "owner/b")]
    document = json.loads(command_line("history", path, "--json").stdout)
    assert len(document["trends"]) == 2
    (alarm,) = document["alarms"]
    assert (alarm["name"], alarm["state"]) == (f"task is worse ({watches[0]})", "open")


def _gate(tmp_path: Path, *options: str | Path) -> tuple[int, str]:
    logs = [
        eval_logs.write_inspect(tmp_path / f"{name}.eval", "task", [score] * 200)
        for name, score in (("old", 1.0), ("new", 0.0))
    ]
    done = command_line("gate", *logs, "--history", tmp_path / "h.jsonl", *options)
    return done.returncode, done.stderr


def test_a_history_that_cannot_be_kept_loses_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status and files are those of the result, and a line says what is missing."""
    from benchmark.history import entries

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(entries, "open_regular_for_appending", full)
    out, junit = tmp_path / "out.json", tmp_path / "junit.xml"
    status, text = _gate(tmp_path, "--json-file", out, "--junit", junit)
    assert status == 4
    assert "not kept in the history" in text
    assert "No space left on device" in text
    assert json.loads(out.read_text())["exit_status"] == 4
    assert junit.exists()


def test_a_damaged_history_is_an_error_before_the_work(tmp_path: Path) -> None:
    """Nothing is written."""
    (tmp_path / "h.jsonl").write_text("[]\n")
    status, text = _gate(tmp_path, "--json-file", tmp_path / "out.json")
    assert status == 2
    assert "h.jsonl:1" in text
    assert not (tmp_path / "out.json").exists()


def test_canary_keeps_causes_without_versions(tmp_path: Path) -> None:
    """The same cause in another release is the same alarm."""
    from fakes.writing_commands import fake_environments

    with pytest.MonkeyPatch.context() as patch:
        import fakes.writing_commands as writing

        patch.setattr(writing, "_set", patch.setattr)
        fake_environments(tmp_path)
        path = tmp_path / "h.jsonl"
        report = tmp_path / "canary.md"
        for version in ("1.3", "2.0"):
            upgrade = f"numpy=={version}"
            done = command_line("canary", upgrade, "--history", path, "--report", report)
            assert done.returncode in {3, 4}, done.stderr
    assert "still open: fingerprint track: prompt_ids: numpy, since" in report.read_text()
    alarms = [entry.alarms for entry in read_history(path)]
    assert alarms[0] == alarms[1] == ("fingerprint track: prompt_ids: numpy",)
    assert follow(alarms).alarms[0].state == "still open"
