"""Complete runs of real models, compared with their recorded results."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.fingerprints import record_run as stages
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.models.downloads import source
from benchmark.pytest_plugin import REPEATS
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.pytest_plugin.snapshots.fingerprints import Blessing
from benchmark.runs.data import score_files
from benchmark.runs.loading import Loaders
from benchmark.runs.measure import execute, prepare
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.runs.run_result import RunResult

STATES = {"smollm2": 8, "gemma3-270m": 4}
"""States per model: a chat model whose tokenizer adds no BOS, and a base model whose does.

Gemma 3 has a vocabulary of 262,144, sliding windows, heads of size 256 and one key head.
"""

TRACED = {"smollm2": 2, "gemma3-270m": 1}
"""States whose stages are recorded; each is computed twice."""


@pytest.fixture(scope="module", params=STATES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each model; its tests are skipped if it was not fetched."""
    model = source(str(request.param))
    if not model.present:
        pytest.skip(f"{model.name} is missing; get it with: {model.command}")
    return model.name


@pytest.fixture(scope="module")
def loaders(name: str) -> Iterator[Loaders]:
    """Return loaders that load the model once for all tests: GGUF takes 10 s and more."""
    loaders = Loaders.cached()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "load_model", loaders.model)
        patch.setattr(stages, "load_tokenizer", loaders.tokenizer)
        yield loaders


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the model's run."""
    return tmp_path_factory.mktemp(name)


@pytest.fixture(scope="module")
def measured(name: str, folder: Path, loaders: Loaders) -> RunResult:
    """Run the model on the first states of the evaluated set of seed 0, in float32 on the CPU."""
    return _measured(_request(name, folder, STATES[name]), loaders)


def _measured(request: RunRequest, loaders: Loaders) -> RunResult:
    prepared = prepare(request, Quiet(), loaders)
    return execute(prepared, request.out, Quiet(), loaders=loaders)


def _request(name: str, folder: Path, states: int, engine: str | None = None) -> RunRequest:
    return RunRequest(
        model=str(source(name).folder),
        out=folder,
        data=DataRequest(seed=0, states=states),
        engine=engine,
        device="cpu",
        batch_size=states,
    )


def test_model_scores_what_it_scored(
    measured: RunResult, folder: Path, snapshot: SnapshotAssertion
) -> None:
    """Counts, the outcome of every query and all settings equal the recorded ones."""
    document = json.loads((folder / "result.json").read_text())
    document.pop("timing")
    document.pop("notices")  # their words change with every release
    document.pop("errors")  # follows from the answers; tests/integration/test_errors_command.py
    document["model"].pop("name")  # a path of this machine
    assert document == snapshot.use_extension(MeasurementExtension)


def test_model_goes_the_recorded_way(
    name: str,
    measured: RunResult,
    fingerprints: Callable[[Fingerprint], SnapshotAssertion],
    blessing: Blessing,
) -> None:
    """No stage differs from the record by more than noise, from the data to the counts."""
    repeats = REPEATS if blessing.updating else 0
    request = FingerprintRequest(_request(name, Path(), TRACED[name]), repeats=repeats)
    record = fingerprint(request, Quiet())
    assert len(record.outcomes) == TRACED[name]
    assert record == fingerprints(record)


def test_bos_is_the_tokenizers_own(name: str, measured: RunResult) -> None:
    """SmolLM2's file says that no BOS is added and Gemma's that one is; so does the result."""
    added = measured.identity["prompts"]
    assert isinstance(added, dict)
    assert added["tokenizer_bos"] == {
        "added": source(name).adds_bos,
        "source": "tokenizer.ggml.add_bos_token in the GGUF file",
    }


def test_the_paper_s_engine_agrees(
    name: str, measured: RunResult, loaders: Loaders, tmp_path: Path
) -> None:
    """The first answer of the default engine equals that of outlines."""
    paper = _measured(_request(name, tmp_path, 1, "outlines"), loaders)
    assert paper.texts == measured.texts[:1]


def test_predictions_score_as_the_run_says(name: str, measured: RunResult, folder: Path) -> None:
    """Scoring the written predictions yields the run's own numbers."""
    again = score_files(
        folder / "predictions.jsonl", DataRequest(seed=0, states=STATES[name]), partial=False
    )
    assert again.summaries == {score: scored.summary for score, scored in measured.scores.items()}


def test_every_answer_is_complete(name: str, measured: RunResult, folder: Path) -> None:
    """With the constraint, every answer ends and names every box."""
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    texts = [json.loads(line)["prediction"] for line in lines]
    assert len(texts) == STATES[name]
    assert measured.document["answers_without_full_stop"] == 0
    assert all(text.startswith("Statement: Box 0 contains") for text in texts)
    assert all(text.count("contains") == 7 and text.endswith(".") for text in texts)
