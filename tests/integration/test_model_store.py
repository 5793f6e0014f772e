"""The model store: measured once, by whoever comes first, and by nothing but its settings known."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.records import State, Tally
from benchmark.runs.measure import run
from benchmark.runs.model_store import ModelStore
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.runs.store import run_folder
from benchmark.tasks import JudgedAnswer, Task

STATES = 4


@pytest.fixture
def model(tmp_path: Path, terse_folder: Callable[..., Path]) -> str:
    """A tiny model in a folder."""
    return str(terse_folder(tmp_path / "model"))


class Count(Quiet):
    """Progress that writes what is decoded."""

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Write how many."""
        sys.stdout.write(f"decoded {states}\n")


def test_two_processes_measure_once(
    model: str, tmp_path: Path, fakes: Callable[[str], ModuleType]
) -> None:
    """Started together, one decodes and the other takes what it finds: the same figures."""
    store = tmp_path / "store"
    request = RunRequest(model, Path(), DataRequest(states=STATES), device="cpu", batch_size=2)

    def measure() -> None:
        tally = ModelStore(store, Count()).measure(request).summary.overall.tally
        sys.stdout.write(f"{tally}\n")

    forked = fakes("forked")
    both = [forked.Forked(measure, tmp_path / name) for name in ("one", "other")]
    assert [process.wait() for process in both] == [0, 0], [process.err for process in both]
    outputs = [process.out for process in both]
    lines = [[line.split() for line in output.splitlines()] for output in outputs]
    decoded = [sum(int(words[1]) for words in some if words[0] == "decoded") for some in lines]
    assert sorted(decoded) == [0, STATES]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    (result,) = store.glob("*/result.json")
    assert json.loads(result.read_text())["timing"]["decoded_states"] == STATES


def test_whatever_can_change_a_score_is_another_measurement(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data, dtype, batch, limit, engine, protocol, format, weights and libraries are the key."""
    store = ModelStore(tmp_path / "store", Quiet())
    request = RunRequest(model, Path(), DataRequest(states=1), device="cpu")
    store.measure(request)
    changes = [
        {"data": DataRequest(states=2)},
        {"data": DataRequest(seed=1, states=1)},
        {"dtype": "bfloat16"},
        {"batch_size": 1},
        {"max_new_tokens": 251},
        {"engine": "unconstrained"},
        {"protocol": "paper"},
        {"prompt_format": "chat"},
    ]
    for number, change in enumerate(changes, start=2):
        store.measure(replace(request, **change))  # type: ignore[arg-type]
        assert len(list(store.folder.glob("*/result.json"))) == number, change
    store.measure(request)
    assert len(list(store.folder.glob("*/result.json"))) == len(changes) + 1
    monkeypatch.setattr("benchmark.runs.identity.versions", lambda: {"torch": "99"})
    store.measure(request)
    assert len(list(store.folder.glob("*/result.json"))) == len(changes) + 2


def test_what_is_there_is_read_and_judged_once(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on reads its predictions a single time and judges each answer once.

    One that is finished writes nothing.
    """
    store = ModelStore(tmp_path / "store", Quiet())
    request = RunRequest(model, Path(), DataRequest(states=STATES), device="cpu", batch_size=2)
    whole = store.measure(request)
    (result,) = (tmp_path / "store").glob("*/result.json")
    predictions = result.with_name("predictions.jsonl")
    lines = predictions.read_text().splitlines(keepends=True)
    read, judged, judge = [], [], Task.judge
    read_predictions: Callable[[Path], dict[str, str]] = vars(run_folder)["read_predictions"]

    def counted(path: Path) -> dict[str, str]:
        read.append(path)
        return read_predictions(path)

    def once(task: Task, state: State, text: str) -> JudgedAnswer:
        judged.append(text)
        return judge(task, state, text)

    monkeypatch.setattr(run_folder, "read_predictions", counted)
    monkeypatch.setattr(Task, "judge", once)
    written = result.stat().st_mtime_ns, predictions.stat().st_mtime_ns
    assert store.measure(request).texts == whole.texts
    assert (result.stat().st_mtime_ns, predictions.stat().st_mtime_ns) == written
    assert (len(read), len(judged)) == (1, STATES)
    predictions.write_text("".join(lines[:1]))
    result.unlink()
    assert store.measure(request).document == whole.document
    assert (len(read), len(judged)) == (2, 2 * STATES)
    assert predictions.read_text() == "".join(lines)


def test_a_fingerprint_takes_the_path_of_a_run(model: str, tmp_path: Path) -> None:
    """The same texts from the same drafts and batches; the same refusal before weights."""
    request = RunRequest(
        model, tmp_path / "run", DataRequest(states=STATES), device="cpu", batch_size=2
    )
    measured = run(request, Quiet())
    record = fingerprint(FingerprintRequest(request), Quiet())
    assert record.texts == measured.texts
    assert {by: some.outcomes for by, some in measured.scores.items()} == record.scores
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["compositions"] == [record.environment.batches["composition"]]
    assert "expected" in result["compositions"][0]["drafts"]
    (Path(model) / "model.safetensors").write_bytes(b"no weights")
    short = replace(request, max_new_tokens=5, out=tmp_path / "short")
    said = []
    for refused in (
        lambda: run(short, Quiet()),
        lambda: fingerprint(FingerprintRequest(short), Quiet()),
    ):
        with pytest.raises(SettingError, match="would cut correct answers") as error:
            refused()
        said.append(str(error.value))
    assert said[0] == said[1]
    along = fingerprint(FingerprintRequest(short, along=record), Quiet())
    assert along.stages["weights"].failed
