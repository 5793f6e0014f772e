"""The scripts in docs/ behind the figures of docs/log.md and of `plan`."""

import runpy
from pathlib import Path

import pytest

from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.models.loading import load_tokenizer
from benchmark.models.location import locate
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "copy-a"
STATES = 24


def test_the_profile_names_what_takes_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Products and attention stand in its table."""
    runpy.run_path(str(ROOT / "docs" / "engine_profile.py"))["main"](str(MODEL), "2")
    table = capsys.readouterr().out
    assert "linear" in table
    assert "attention" in table


@pytest.mark.parametrize("rows", [1, 8])
def test_a_model_without_fault_is_replayed_in_few_passes(rows: int) -> None:
    """At a GPU's pace hardly more than a pass a row and one for the prefix, where that is known."""
    replayed = runpy.run_path(str(ROOT / "docs" / "engine_replay.py"))["replayed"]
    tokenizer = load_tokenizer(locate(str(MODEL)))
    states = load_states(DataRequest(seed=0, states=STATES))
    settings = resolve(RunRequest(str(MODEL), Path("unused"), device="cpu"))
    correct = Questions(task_named(DEFAULT), settings, tokenizer, states).drafts
    pace = CostModel.on("cuda", rows)
    known, unknown = (replayed(tokenizer, answers, correct, pace) for answers in (correct, {}))
    assert 1 + STATES // rows <= known.passes < 1 + 1.5 * STATES / rows + 2
    assert unknown.passes > 2 * known.passes
