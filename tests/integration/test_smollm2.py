"""The whole way on a real model: SmolLM2-135M-Instruct, against its recorded result."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.models.sources import source
from benchmark.pipeline import DataRequest, Measured, Quiet, RunRequest, measure, run, score_files
from benchmark.pipeline import fingerprint as stages
from benchmark.pipeline.fingerprint import FingerprintRequest, fingerprint
from benchmark.pytest_plugin import REPEATS
from benchmark.regression.record import Record
from benchmark.snapshots.extension import MeasurementExtension
from benchmark.snapshots.fingerprints import Blessing

STATES = 8
TRACED = 2
"""States whose stages are recorded: each is computed twice."""


@pytest.fixture(scope="module", autouse=True)
def _load_once() -> Iterator[None]:
    """The model is loaded once for all tests: gguf takes 10 s for it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_model", "load_tokenizer"):
            once = cache(getattr(measure, name))
            for module in (measure, stages):
                patch.setattr(module, name, once)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run of this module is."""
    return tmp_path_factory.mktemp("smollm2")


@pytest.fixture(scope="module")
def measured(folder: Path, real_tokenizer: Callable[[str], object]) -> Measured:
    """SmolLM2 on the first states of the evaluated set of seed 0, in float32 on the CPU."""
    real_tokenizer("smollm2")  # skips where the model is missing
    return run(_request(folder, STATES), Quiet())


def _request(folder: Path, states: int) -> RunRequest:
    return RunRequest(
        model=str(source("smollm2").folder),
        out=folder,
        data=DataRequest(seed=0, states=states),
        device="cpu",
        batch_size=states,
    )


def test_smollm2_scores_what_it_scored(
    measured: Measured, folder: Path, snapshot: SnapshotAssertion
) -> None:
    """Counts, every query's outcome and all that they depend on are as recorded."""
    document = json.loads((folder / "result.json").read_text())
    document.pop("timing")
    document["model"].pop("name")  # a path of this machine
    assert document == snapshot.use_extension(MeasurementExtension)


def test_smollm2_goes_the_recorded_way(
    measured: Measured,
    fingerprints: Callable[[Record], SnapshotAssertion],
    blessing: Blessing,
) -> None:
    """No stage moved beyond noise, from data over logits along the recorded answers to verdict."""
    repeats = REPEATS if blessing.updating else 0
    asked = FingerprintRequest(_request(Path(), TRACED), repeats=repeats)
    record = fingerprint(asked, Quiet())
    assert len(record.outcomes) == TRACED
    assert record == fingerprints(record)


def test_predictions_score_as_the_run_says(measured: Measured, folder: Path) -> None:
    """Scoring the written predictions against the same states gives the run's own figures."""
    again = score_files(
        folder / "predictions.jsonl", DataRequest(seed=0, states=STATES), partial=False
    )
    assert again == {by: each.summary for by, each in measured.scores.items()}


def test_every_answer_is_whole(measured: Measured, folder: Path) -> None:
    """Under the constraint every answer ends, and names every box."""
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    texts = [json.loads(line)["prediction"] for line in lines]
    assert len(texts) == STATES
    assert measured.document["answers_without_full_stop"] == 0
    assert all(text.startswith("Statement: Box 0 contains") for text in texts)
    assert all(text.count("contains") == 7 and text.endswith(".") for text in texts)
