"""Report data from runs that were written without a model."""

from pathlib import Path
from types import ModuleType

import pytest

from benchmark.models.registry import registry
from benchmark.records import State
from benchmark.report.data import ReportData
from benchmark.report.gather import gather

HOSTILE_NAME = "x/</title><script>alert(2)</script>\u202e&amp;'\""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, finished_runs: ModuleType) -> list[Path]:
    """Write runs of a base that copies, a correct variant, and a model with hostile texts."""
    states, folder = finished_runs.some_states(60), tmp_path_factory.mktemp("report")

    def hostile(state: State) -> str:
        return (
            str(finished_runs.HOSTILE) if state.sample_id % 2 else str(finished_runs.mixed(state))
        )

    answers_by_model = {
        "meta-llama/Llama-2-7b-hf": finished_runs.copied,
        "codellama/CodeLlama-7b-hf": finished_runs.right,
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
def hostile(finished_runs: ModuleType) -> str:
    """Return the hostile text."""
    return str(finished_runs.HOSTILE)
