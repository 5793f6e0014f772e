"""Report data from runs that were written without a model."""

from pathlib import Path

import pytest

from benchmark.models.registry import registry
from benchmark.records import State
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from fakes import finished_runs

HOSTILE_NAME = "x/</title><script>alert(2)</script>\u202e&amp;'\""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write runs of a base that copies, a correct variant, and a model with hostile texts."""
    states, folder = finished_runs.first_states(60), tmp_path_factory.mktemp("report")

    def hostile(state: State) -> str:
        return finished_runs.HOSTILE if state.sample_id % 2 else finished_runs.mixed_answer(state)

    answers_by_model = {
        "meta-llama/Llama-2-7b-hf": finished_runs.initial_answer,
        "codellama/CodeLlama-7b-hf": finished_runs.correct_answer,
        HOSTILE_NAME: hostile,
    }
    return [
        finished_runs.write_run(folder / str(number), model, states, answers)
        for number, (model, answers) in enumerate(answers_by_model.items())
    ]


@pytest.fixture(scope="session")
def report(folders: list[Path]) -> ReportData:
    """Return the report data of the three runs."""
    return gather(folders, registry())


@pytest.fixture(scope="session")
def published_report() -> ReportData:
    """Return the report data without runs."""
    return gather([], registry())


@pytest.fixture(scope="session")
def hostile() -> str:
    """Return the hostile text."""
    return finished_runs.HOSTILE
