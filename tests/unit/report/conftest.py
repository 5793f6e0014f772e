"""Material for reports, from runs that no model made."""

from pathlib import Path
from types import ModuleType

import pytest

from benchmark.models.registry import registry
from benchmark.pipeline.reporting import gather
from benchmark.records import State
from benchmark.report.material import Material

HOSTILE = (
    "Statement: Box 0 contains the <script>alert(1)</script>, Box 1 contains the </script><!--, "
    'Box 2 contains the "><img src=x onerror=alert(1)>, Box 3 contains the \u202egnitset\u202c, '
    "Box 4 contains the \x00\x07\x1b[31m, Box 5 contains the {{7*7}}${7*7}`\u2028\ud800, "
    "Box 6 contains the ' & \u0627\u0644\u0639\u0631\u0628\u064a\u0629 --> ]]>."
)
"""A text that would run, close, hide or turn round, wherever it is not taken as text."""

HOSTILE_NAME = "x/</title><script>alert(2)</script>\u202e&amp;'\""


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, finished_runs: ModuleType) -> list[Path]:
    """A base that copies, its variant that is right, and a model of hostile texts and name."""
    states, place = finished_runs.some_states(60), tmp_path_factory.mktemp("report")

    def hostile(state: State) -> str:
        return HOSTILE if state.sample_id % 2 else str(finished_runs.mixed(state))

    kinds = {
        "meta-llama/Llama-2-7b-hf": finished_runs.copied,
        "codellama/CodeLlama-7b-hf": finished_runs.right,
        HOSTILE_NAME: hostile,
    }
    return [
        finished_runs.write_run(place / str(number), model, states, answers)
        for number, (model, answers) in enumerate(kinds.items())
    ]


@pytest.fixture(scope="session")
def material(folders: list[Path]) -> Material:
    """The material of the three runs."""
    return gather(folders, registry())


@pytest.fixture(scope="session")
def published_material() -> Material:
    """The material without runs."""
    return gather([], registry())


@pytest.fixture(scope="session")
def hostile() -> str:
    """The hostile text."""
    return HOSTILE
