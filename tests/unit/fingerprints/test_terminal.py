"""A comparison on the terminal and in CI."""

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmark.cli.crash import error_line
from benchmark.errors import DataError
from benchmark.fingerprints.ci import annotation, junit, report_to_github, step_summary
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.terminal import rendered, summary_lines
from benchmark.records import Outcome
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import paired_test
from fakes.fake_fingerprints import by_all_scores, fake_fingerprint, fake_logits, with_changed_stage


@pytest.fixture
def regression() -> FingerprintDiff:
    """A comparison with a lost query, another token, and an upgraded torch."""
    old = fake_fingerprint(0.01)
    new = fake_fingerprint(versions={"torch": "2.14", "outlines_core": "0.2.14"})
    for stage in ("logits", "generated_ids", "answer", "outcome"):
        new = with_changed_stage(new, stage, (1,))
    lost = Outcome(1, (0, 2), (False, True))
    return compare(
        old,
        replace(
            new,
            logits=fake_logits(0.2),
            output=(new.output[0], (5, 9, 1), new.output[2]),
            scores=by_all_scores((new.outcomes[0], lost, new.outcomes[2])),
        ),
    )


def test_report_fits_80_columns(regression: FingerprintDiff) -> None:
    """Severity, stage, figures, flips, margins and the first suspect are complete."""
    text = rendered(regression)
    assert text.startswith("regression: first changed stage: logits (3 of 3 states)")
    for words in (
        "largest difference 0.2000",
        "0 gained, 1 lost of 6",
        "2 sequences as clusters, too few for a test",
        "old margin",
        "+2.8999",
    ):
        assert words in " ".join(text.split())
    # No line of the figures is wrapped.
    starts = ("regression: ", "log-probabilities: ", "noise floor: ", "outcomes: ", "answers: ")
    figures = text.partition("\n  ")[0].splitlines()
    assert not [line for line in figures if not line.startswith(starts)]
    suspect = next(line for line in text.splitlines() if line.rstrip().endswith("direct"))
    assert suspect.split()[:4] == ["library", "torch", "2.13", "2.14"]
    assert max(map(len, text.splitlines())) <= 80


def test_what_the_test_of_outcomes_could_have_seen(regression: FingerprintDiff) -> None:
    """The smallest detectable difference follows the p-value, if there are enough sequences."""
    assert not any("could have seen" in line for line in summary_lines(regression))
    states = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(100)]
    tests = {"set": paired_test(states, states, fresh_rng())}
    lines = list(summary_lines(replace(regression, tests=tests)))
    assert "outcomes: could have seen 1.27 points (power 80 %)" in lines
    assert "outcomes: equal within 1 point: undecided (90 %: -3.0 to +3.0)" in lines
    wide = replace(regression, tests=tests, margin=0.03)
    equal = "outcomes: equal within 3 points: supported (90 %: -3.0 to +3.0)"
    assert equal in summary_lines(wide)
    warnings = [line for line in summary_lines(regression) if "warning" in line]
    assert warnings == ["outcomes: warning: 3 states show only large effects; measure 64 or more"]
    assert not any("warning" in line for line in lines)
    assert (
        "outcomes: equal within 1 point: undecided (2 sequences, at least 20 needed)"
        in summary_lines(regression)
    )


def test_digests_are_cut() -> None:
    """A digest of 64 characters is cut, and no table cell is wrapped."""
    old, new = (
        replace(record, environment=replace(record.environment, model={"weights": digit * 64}))
        for record, digit in ((fake_fingerprint(), "a"), (fake_fingerprint(), "b"))
    )
    text = rendered(compare(old, with_changed_stage(new, "weights", (0,))))
    line = next(line for line in text.splitlines() if "aaaa" in line)
    assert line.split()[1:4] == ["model.weights", f"{'a' * 11}…", f"{'b' * 11}…"]


def test_examples_without_ids_show_digests() -> None:
    """The lengths may be equal, the digests are not."""
    old = fake_fingerprint()
    text = rendered(compare(old, with_changed_stage(old, "prompt_ids", (2,))))
    one, other = (line.split("digest ")[1] for line in text.splitlines() if "digest" in line)
    assert one != other


def test_equal_records_have_no_table() -> None:
    """The report is one line."""
    record = fake_fingerprint()
    text = rendered(compare(record, record))
    assert text.startswith("same: nothing differs")
    assert "stage" not in text


def test_junit_properties(regression: FingerprintDiff) -> None:
    """The case fails, and its properties name severity, stage and suspect."""
    root = ET.fromstring(junit({"a -> b": regression}))  # noqa: S314  # our own
    suite = root[0]
    values = {entry.get("name"): entry.get("value") for entry in root.iter("property")}
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert values["shift.severity"] == "regression"
    assert (values["shift.stage"], values["shift.suspect"]) == ("logits", "library torch")
    assert (values["shift.gained"], values["shift.lost"]) == ("0", "1")
    assert values["shift.detectable"] == ""  # of two sequences


def test_junit_with_control_characters(regression: FingerprintDiff) -> None:
    """An error with control characters results in a valid file."""
    stages = {
        **regression.new.stages,
        "prompt_ids": StageRecord(failed="ValueError: \x1b[31m <&> \x00"),
    }
    broken = compare(regression.old, replace(regression.new, stages=stages))
    root = ET.fromstring(junit({"a": broken}))  # noqa: S314
    assert "ValueError: ?[31m <&> ?" in "".join(root.itertext())


def test_annotation_is_escaped(regression: FingerprintDiff) -> None:
    """Line ends and GitHub's special characters are escaped."""
    line = annotation(regression, "a, b: 100%")
    assert line.startswith(
        "::error title=a%2C b%3A 100%25::regression: first changed stage: logits"
    )
    assert "\n" not in line
    assert "%0A" in line


def test_summary_is_for_github_only(regression: FingerprintDiff, tmp_path: Path) -> None:
    """Elsewhere nothing is written; there the summary is appended."""
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    assert report_to_github(regression, "a", {"GITHUB_STEP_SUMMARY": str(path)}) is None
    assert path.read_text() == "before\n"
    given = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    assert report_to_github(regression, "a", given) == annotation(regression, "a")
    assert path.read_text() == "before\n" + step_summary(regression, "a")
    assert "| logits | 3 | 3 |" in path.read_text()
    assert "| library torch | 2.13 | 2.14 | 3 |" in path.read_text()


def test_a_summary_that_cannot_be_written(regression: FingerprintDiff, tmp_path: Path) -> None:
    """The error names the variable, for a pipe, a folder and a file that cannot be opened."""
    os.mkfifo(tmp_path / "pipe")
    given = {"GITHUB_ACTIONS": "true"}
    for path, cause in (
        (tmp_path / "pipe", "not a regular file; "),
        (tmp_path, "not a regular file; "),
        (tmp_path / "nowhere" / "summary.md", "No such file or directory; "),
    ):
        words = f"{cause}set GITHUB_STEP_SUMMARY to a file that can be written to, or unset it"
        with pytest.raises((DataError, OSError)) as raised:
            report_to_github(regression, "a", {**given, "GITHUB_STEP_SUMMARY": str(path)})
        assert error_line(raised.value) == f"{path}: {words}"


def test_summary_has_margins_and_examples(regression: FingerprintDiff) -> None:
    """JUnit has them too; a code fence is longer than any in its text."""
    text = step_summary(regression, "a")
    assert "| state | token | old | new | old margin | new margin |" in text
    assert (
        len(regression.answer_changes) == text.count("not kept |") + text.count(" | +")
        or "| 1 |" in text
    )
    example = regression.examples[0]
    assert f"```text\nstate {example.state}, {example.where}\n  old: {example.old!r}" in text
    assert f"new: {example.new!r}" in junit({"a": regression}).replace("&#x27;", "'")
    ticks = replace(example, old="``` code", new="````")
    text = step_summary(replace(regression, examples=(ticks,)), "a")
    assert text.count("`````") == 2
