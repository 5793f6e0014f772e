"""The scripts in docs/ that produce figures of docs/log.md and of `plan`."""

import runpy
from pathlib import Path

import pytest

from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "copy-a"
STATES = 24


def test_the_profile_names_what_takes_time(capsys: pytest.CaptureFixture[str]) -> None:
    """The profile lists products and attention."""
    runpy.run_path(str(ROOT / "docs" / "engine_profile.py"))["main"](str(MODEL), "2")
    table = capsys.readouterr().out
    assert "linear" in table
    assert "attention" in table


@pytest.mark.parametrize("rows", [1, 8])
def test_replay_of_a_perfect_model(rows: int) -> None:
    """With a GPU's costs and known answers it takes little more than one pass per batch."""
    replayed = runpy.run_path(str(ROOT / "docs" / "engine_replay.py"))["replayed"]
    tokenizer = load_tokenizer(locate(str(MODEL)))
    states = load_states(DataRequest(seed=0, states=STATES))
    settings = resolve(RunRequest(str(MODEL), Path("unused"), device="cpu"))
    correct = Questions(task_named(DEFAULT), settings, tokenizer, states).drafts
    cost_model = CostModel.on("cuda", rows)
    drafted, undrafted = (
        replayed(tokenizer, answers, correct, cost_model) for answers in (correct, {})
    )
    assert 1 + STATES // rows <= drafted.passes < 1 + 1.5 * STATES / rows + 2
    assert undrafted.passes > 2 * drafted.passes
