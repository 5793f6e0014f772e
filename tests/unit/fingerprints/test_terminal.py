"""A comparison on the terminal, and for machines that build."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from benchmark.fingerprints.ci import annotation, junit, on_github, step_summary
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.terminal import rendered
from benchmark.records import Outcome

Fakes = Callable[[str], ModuleType]


@pytest.fixture
def regression(fakes: Fakes) -> FingerprintDiff:
    """A query lost, through another token, after torch was upgraded."""
    hand = fakes("fake_record")
    old = hand.fake_record(0.01)
    new = hand.fake_record(versions={"torch": "2.14", "outlines_core": "0.2.14"})
    for stage in ("logits", "generated_ids", "answer", "outcome"):
        new = hand.restaged(new, stage, (1,))
    lost = Outcome(1, (0, 2), (False, True))
    return compare(
        old,
        replace(
            new,
            logits=hand.fake_logits(0.2),
            output=(new.output[0], (5, 9, 1), new.output[2]),
            scores=hand.by_all_scores((new.outcomes[0], lost, new.outcomes[2])),
        ),
    )


def test_the_terminal_says_all_of_it_in_80_columns(regression: FingerprintDiff) -> None:
    """Severity, stage, figures, flips, margins and the first suspect are there, none cut off."""
    text = rendered(regression)
    assert text.startswith("regression: it began at logits, which moved in 3 of 3 states")
    for words in (
        "largest difference 0.2000",
        "0 gained, 1 lost of 6",
        "by 2 sequences, too few to tell",
        "margin then",
        "+2.8999",
    ):
        assert words in " ".join(text.split())
    suspect = next(line for line in text.splitlines() if "makes it" in line)
    assert suspect.split()[:4] == ["library", "torch", "2.13", "2.14"]
    assert max(map(len, text.splitlines())) <= 80


def test_digests_are_shown_as_far_as_they_tell(fakes: Fakes) -> None:
    """A digest of 64 signs is cut, and no word of the table is broken over two lines."""
    hand = fakes("fake_record")
    old, new = (
        replace(record, environment=replace(record.environment, model={"weights": digit * 64}))
        for record, digit in ((hand.fake_record(), "a"), (hand.fake_record(), "b"))
    )
    text = rendered(compare(old, hand.restaged(new, "weights", (0,))))
    line = next(line for line in text.splitlines() if "aaaa" in line)
    assert line.split()[1:4] == ["model.weights", f"{'a' * 11}…", f"{'b' * 11}…"]


def test_examples_are_told_apart(fakes: Fakes) -> None:
    """Of a prompt whose ids are not kept the digests are shown: the counts may be the same."""
    hand = fakes("fake_record")
    old = hand.fake_record()
    text = rendered(compare(old, hand.restaged(old, "prompt_ids", (2,))))
    one, other = (line.split("digest ")[1] for line in text.splitlines() if "digest" in line)
    assert one != other


def test_nothing_is_said_in_few_words(fakes: Fakes) -> None:
    """Where nothing differs there is no table."""
    record = fakes("fake_record").fake_record()
    text = rendered(compare(record, record))
    assert text.startswith("same: nothing differs")
    assert "stage" not in text


def test_junit_has_the_figures_as_properties(regression: FingerprintDiff) -> None:
    """The case fails, and its properties name severity, stage and suspect."""
    root = ET.fromstring(junit(regression, "a -> b"))  # noqa: S314  # our own
    suite = root[0]
    values = {each.get("name"): each.get("value") for each in root.iter("property")}
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert values["shift.severity"] == "regression"
    assert (values["shift.stage"], values["shift.suspect"]) == ("logits", "library torch")
    assert (values["shift.gained"], values["shift.lost"]) == ("0", "1")


def test_junit_takes_any_error(regression: FingerprintDiff) -> None:
    """An error with control characters still gives a file that can be read."""
    stages = {
        **regression.new.stages,
        "prompt_ids": StageRecord(failed="ValueError: \x1b[31m <&> \x00"),
    }
    broken = compare(regression.old, replace(regression.new, stages=stages))
    root = ET.fromstring(junit(broken, "a"))  # noqa: S314
    assert "ValueError: ?[31m <&> ?" in "".join(root.itertext())


def test_an_annotation_is_one_line(regression: FingerprintDiff) -> None:
    """Line ends and what else GitHub reads itself are escaped; drift would be a warning."""
    line = annotation(regression, "a, b: 100%")
    assert line.startswith("::error title=a%2C b%3A 100%25::regression: it began at logits")
    assert "\n" not in line
    assert "%0A" in line


def test_only_github_gets_a_summary(regression: FingerprintDiff, tmp_path: Path) -> None:
    """Elsewhere nothing is written; there the summary is appended to what is there."""
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    assert on_github(regression, "a", {"GITHUB_STEP_SUMMARY": str(path)}) is None
    assert path.read_text() == "before\n"
    given = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    assert on_github(regression, "a", given) == annotation(regression, "a")
    assert path.read_text() == "before\n" + step_summary(regression, "a")
    assert "| logits | 3 | 3 |" in path.read_text()
    assert "| library `torch` | 2.13 | 2.14 | 3 |" in path.read_text()


def test_margins_and_examples_are_in_the_summary(regression: FingerprintDiff) -> None:
    """Of a step on GitHub, and in JUnit's text; a fence is longer than what is in it."""
    text = step_summary(regression, "a")
    assert "| state | token | old | new | margin then | margin now |" in text
    assert (
        len(regression.changes) == text.count("not kept |") + text.count(" | +") or "| 1 |" in text
    )
    example = regression.examples[0]
    assert f"```text\nstate {example.state}, {example.where}\n  old: {example.old!r}" in text
    assert f"new: {example.new!r}" in junit(regression, "a").replace("&#x27;", "'")
    ticks = replace(example, old="``` code", new="````")
    text = step_summary(replace(regression, examples=(ticks,)), "a")
    assert text.count("`````") == 2
