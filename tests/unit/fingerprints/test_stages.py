"""The table of the stages."""

import re
from pathlib import Path

from benchmark.fingerprints.stages import STAGES, in_order, place

ALERTS = Path(__file__).parents[3] / "docs" / "alerts.md"


def test_the_table_of_the_documents_is_that_of_the_code() -> None:
    """docs/alerts.md has a row per stage: its name and what is recorded of it."""
    text = ALERTS.read_text(encoding="utf-8")
    table = text[text.index("| stage | its fingerprint") :].split("\n\n")[0]
    assert re.findall(r"^\| `(.+?)` \| (.+) \|$", table, re.MULTILINE) == [
        (name, row.what) for name, row in STAGES.items()
    ]


def test_the_rows_say_which_stages_are_alike() -> None:
    """Nothing before the log-probabilities depends on hardware; two stages have one digest."""
    names = list(STAGES)
    assert [name for name in names if STAGES[name].portable] == names[: place("logits")]
    assert [name for name in names if STAGES[name].whole] == ["weights", "counts"]
    excusable = [name for name in names if STAGES[name].excusable]
    assert excusable == ["generated_ids", "answer", "outcome", "counts"]
    assert [name for name in names if STAGES[name].decisive] == ["counts"]
    assert all(name == row.name for name, row in STAGES.items())


def test_names_are_put_in_the_order_of_the_pipeline() -> None:
    """Names that the table does not have come last, in their own order."""
    assert in_order(["counts", "b", "prompt_ids", "a"]) == ["prompt_ids", "counts", "b", "a"]
