"""The table of stages."""

import re
from pathlib import Path

from benchmark.fingerprints.stages import STAGES, in_order, stage_index

ALERTS = Path(__file__).parents[3] / "docs" / "alerts.md"


def test_documented_table_equals_the_rows() -> None:
    """docs/alerts.md has a row per stage: its name and what is recorded."""
    text = ALERTS.read_text(encoding="utf-8")
    table = text[text.index("| stage | its fingerprint") :].split("\n\n")[0]
    assert re.findall(r"^\| `(.+?)` \| (.+) \|$", table, re.MULTILINE) == [
        (name, row.what) for name, row in STAGES.items()
    ]


def test_flags_of_the_rows() -> None:
    """Stages before the log-probabilities do not depend on hardware; two have one digest."""
    names = list(STAGES)
    assert [name for name in names if STAGES[name].portable] == names[: stage_index("logits")]
    assert [name for name in names if STAGES[name].whole] == ["weights", "counts"]
    excusable = [name for name in names if STAGES[name].excusable]
    assert excusable == ["generated_ids", "answer", "outcome", "counts"]
    assert [name for name in names if STAGES[name].decisive] == ["counts"]
    assert all(name == row.name for name, row in STAGES.items())


def test_names_are_sorted_by_pipeline_order() -> None:
    """Unknown names are last, in their own order."""
    assert in_order(["counts", "b", "prompt_ids", "a"]) == ["prompt_ids", "counts", "b", "a"]
