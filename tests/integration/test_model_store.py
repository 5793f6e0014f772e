"""The model store: each model is run once per settings, also with concurrent processes."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.decoding.engines import ENGINES, EngineRow
from benchmark.errors import DoesNotFitError, ModelError, SettingError
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.locking import LockHeldError, locked
from benchmark.models.gpus import Gpu
from benchmark.records import State, Tally
from benchmark.runs import gpu_fit
from benchmark.runs.measure import Place, PreparedRun, run
from benchmark.runs.model_store import ModelStore
from benchmark.runs.placement import RequestedDevice
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.runs.store import predictions_file
from benchmark.tasks import JudgedAnswer, Task
from fakes import forked, recital_engine
from fakes.short_answers import save_short_answer_model

STATES = 4


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Return the folder of a tiny model."""
    return str(save_short_answer_model(tmp_path / "model"))


class CountProgress(Quiet):
    """A progress that prints the numbers of decoded states."""

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Print the number."""
        sys.stdout.write(f"decoded {states}\n")


def test_two_processes_measure_once(model: str, tmp_path: Path) -> None:
    """Of two concurrent processes, one decodes and the other reads its result."""
    store = tmp_path / "store"
    request = RunRequest(model, Path(), DataRequest(states=STATES), device="cpu", batch_size=2)

    def measure() -> None:
        tally = ModelStore(store, CountProgress()).measure(request).summary.overall.tally
        sys.stdout.write(f"{tally}\n")

    both = [forked.Process(measure, tmp_path / name) for name in ("one", "other")]
    assert [process.wait() for process in both] == [0, 0], [process.err for process in both]
    outputs = [process.out for process in both]
    lines = [[line.split() for line in output.splitlines()] for output in outputs]
    decoded = [sum(int(line[1]) for line in run if line[0] == "decoded") for run in lines]
    assert sorted(decoded) == [0, STATES]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    (result,) = store.glob("*/result.json")
    assert json.loads(result.read_text())["timing"]["decoded_states"] == STATES


def test_a_measurement_of_another_process_is_not_waited_for(model: str, tmp_path: Path) -> None:
    """Without waiting, the second of two reports that the first has begun."""
    store = ModelStore(tmp_path / "store", Quiet())
    request = RunRequest(model, Path(), DataRequest(states=1), device="cpu")
    store.measure(request)
    (lock,) = store.folder.glob("*.lock")
    with locked(lock, "testing", ""), pytest.raises(LockHeldError):
        store.measure(request, wait=False)
    assert store.measure(request, wait=False).texts == store.measure(request).texts


def test_a_place_lowers_the_first_batch(model: str, tmp_path: Path) -> None:
    """Decoding begins with the batch size that the memory of the device allows."""

    class Small(RequestedDevice):
        @contextmanager
        def place(self, prepared: PreparedRun, say: object = print) -> Iterator[Place]:
            yield Place("cpu", 2)

    store = ModelStore(tmp_path / "store", Quiet(), Small())
    store.measure(RunRequest(model, Path(), DataRequest(states=STATES), device="cpu"))
    (result,) = store.folder.glob("*/result.json")
    document = json.loads(result.read_text())
    assert document["batch_sizes"] == [2]
    assert document["protocol"]["batch_size"] == 64


def _placed_row(monkeypatch: pytest.MonkeyPatch) -> EngineRow:
    """Add an engine that computes on the device in another process, and return its row."""
    path = "fakes.recital_engine:"
    row = EngineRow(
        "placed",
        factory=f"{path}create",
        connect=f"{path}connect",
        options=("tensor_parallel",),
        loads_weights=False,
        on_device=True,
    )
    monkeypatch.setitem(ENGINES, row.name, row)
    return row


def test_an_engine_in_another_process_computes_where_it_is_placed(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of its GPUs is decided before it is found, and which ones when they are leased."""
    _placed_row(monkeypatch)
    devices = list[str]()
    monkeypatch.setattr(recital_engine, "placed_on", devices.append)

    class Leased(RequestedDevice):
        def ranks(self, *_: object) -> int:
            return 4

        @contextmanager
        def place(self, prepared: PreparedRun, say: object = print) -> Iterator[Place]:
            yield Place("cuda:2,3,5,6")

    store = ModelStore(tmp_path / "store", Quiet(), Leased())
    request = RunRequest(model, Path(), DataRequest(states=1), device="cpu", engine="placed")
    assert store.measure(request).identity["engine"] == {"ranks": 4}
    assert store.measure(replace(request, tensor_parallel=2)).identity["engine"] == {"ranks": 2}
    assert devices == ["cuda:2,3,5,6"] * 2


def test_gpus_that_are_too_small_are_known_before_the_weights(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are not fetched in vain; a model whose memory is unknown is tried."""
    fetched = list[str]()
    monkeypatch.setattr(gpu_fit, "gpu_numbers", lambda _: (0,))
    monkeypatch.setattr(gpu_fit, "gpus", lambda: (Gpu("g", 10**9),))
    monkeypatch.setattr(
        gpu_fit, "fetch_missing_weights", lambda location, _: fetched.append(location.name)
    )
    request = RunRequest(model, tmp_path / "run", DataRequest(states=1), device="cpu")
    with pytest.raises(DoesNotFitError, match="one prompt needs more memory than 1 GPU of 1 GB"):
        run(request, Quiet())
    assert fetched == []

    row = _placed_row(monkeypatch)
    of_placed = replace(request, engine=row.name, out=tmp_path / "placed")
    with pytest.raises(DoesNotFitError):  # an engine of its own process reads them too
        run(of_placed, Quiet())
    assert fetched == []

    def unknown(*_: object) -> None:
        raise ModelError("its size cannot be counted")

    monkeypatch.setattr(gpu_fit, "_fit", unknown)
    run(request, Quiet())
    assert fetched == [model]
    for _ in range(2):  # the second time its result is there, and nothing is decoded
        run(of_placed, Quiet())
    assert fetched == [model] * 2


def test_every_setting_is_part_of_the_key(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data, dtype, batch size, limit, engine, protocol, format and libraries are in the key."""
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


def test_another_path_to_the_same_files_is_the_same_measurement(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is not measured again for another spelling of its path, nor after it was moved."""
    store = ModelStore(tmp_path / "store", Quiet())
    request = RunRequest(model, Path(), DataRequest(states=1), device="cpu")
    expected = store.measure(request)
    (folder,) = (path.parent for path in store.folder.glob("*/result.json"))
    # As older versions named it, by a digest that had the path in it.
    folder = folder.rename(folder.with_name("model-0123456789ab"))
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    (tmp_path / "link").symlink_to(model)
    (tmp_path / "moved").mkdir()
    monkeypatch.chdir(tmp_path)
    paths = ["model", "./model", f"{model}/", str(tmp_path / "moved" / ".." / "model"), "link"]
    for path in paths:
        assert store.measure(replace(request, model=path)).texts == expected.texts
    moved = Path(model).rename(tmp_path / "moved" / "other-name")
    assert store.measure(replace(request, model=str(moved))).texts == expected.texts
    assert [path.parent for path in store.folder.glob("*/run.json")] == [folder]
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    assert {name: after[name] for name in before if name != ".lock"} == {
        name: content for name, content in before.items() if name != ".lock"
    }
    run(replace(request, model=str(moved), out=folder), Quiet())  # --out is resumed too


def test_measurement_of_an_older_version_is_used(model: str, tmp_path: Path) -> None:
    """A folder with digests of an older version, and its count of prompts, is the measurement."""
    from benchmark.models.digests import former_digest
    from benchmark.models.model_files import former_configuration_files, weight_files

    store = ModelStore(tmp_path / "store", Quiet())
    request = RunRequest(model, Path(), DataRequest(states=1), device="cpu")
    result = store.measure(request)
    (folder,) = (path.parent for path in store.folder.glob("*/run.json"))
    path = folder.rename(folder.with_name("model-0123456789ab")) / "run.json"
    identity = json.loads(path.read_text())
    files = [*weight_files(Path(model)), *former_configuration_files(Path(model))]
    identity["model"]["fingerprint"] = former_digest(files)
    identity["prompts"]["read_otherwise"] = 0
    path.write_text(json.dumps(identity))
    assert store.measure(request).texts == result.texts
    assert list(store.folder.glob("*/run.json")) == [path]
    identity["model"]["fingerprint"] = former_digest(files[:1])
    path.write_text(json.dumps(identity))
    store.measure(request)
    assert len(list(store.folder.glob("*/run.json"))) == 2


def test_key_of_another_registry_is_hinted_at(tmp_path: Path) -> None:
    """A name that is neither registered, nor a path, nor of the hub may be a key of the user's."""
    request = RunRequest("my model", Path(), DataRequest(states=1), device="cpu")
    with pytest.raises(ModelError, match="key of your own registry, name that with --registry"):
        ModelStore(tmp_path, Quiet()).measure(request)


def test_stored_answers_are_read_and_scored_once(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run reads its predictions once and judges each answer once.

    A finished run writes nothing.
    """
    store = ModelStore(tmp_path / "store", Quiet())
    request = RunRequest(model, Path(), DataRequest(states=STATES), device="cpu", batch_size=2)
    complete = store.measure(request)
    (result,) = (tmp_path / "store").glob("*/result.json")
    predictions = result.with_name("predictions.jsonl")
    lines = predictions.read_text().splitlines(keepends=True)
    read_paths, judged, judge = [], [], Task.judge
    read_predictions: Callable[..., dict[str, str]] = vars(predictions_file)["read_predictions"]

    def counted(path: Path, *, regular: bool) -> dict[str, str]:
        read_paths.append(path)
        return read_predictions(path, regular=regular)

    def recorded(task: Task, state: State, text: str) -> JudgedAnswer:
        judged.append(text)
        return judge(task, state, text)

    monkeypatch.setattr(predictions_file, "read_predictions", counted)
    monkeypatch.setattr(Task, "judge", recorded)
    written = result.stat().st_mtime_ns, predictions.stat().st_mtime_ns
    assert store.measure(request).texts == complete.texts
    assert (result.stat().st_mtime_ns, predictions.stat().st_mtime_ns) == written
    assert (len(read_paths), len(judged)) == (1, STATES)
    predictions.write_text("".join(lines[:1]))
    result.unlink()
    assert store.measure(request).document == complete.document
    assert (len(read_paths), len(judged)) == (2, 2 * STATES)
    assert predictions.read_text() == "".join(lines)


def test_a_fingerprint_equals_a_run(model: str, tmp_path: Path) -> None:
    """It has the same texts, drafts, batches and outcomes, and the same error before loading."""
    request = RunRequest(
        model, tmp_path / "run", DataRequest(states=STATES), device="cpu", batch_size=2
    )
    measured = run(request, Quiet())
    record = fingerprint(FingerprintRequest(request), Quiet())
    assert record.texts == measured.texts
    outcomes = {score: scored.outcomes for score, scored in measured.scores.items()}
    assert outcomes == record.scores
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["compositions"] == [record.environment.batches["composition"]]
    assert "expected" in result["compositions"][0]["drafts"]
    (Path(model) / "model.safetensors").write_bytes(b"no weights")
    short = replace(request, max_new_tokens=5, out=tmp_path / "short")
    errors = []
    for refused in (
        lambda: run(short, Quiet()),
        lambda: fingerprint(FingerprintRequest(short), Quiet()),
    ):
        with pytest.raises(SettingError, match="would cut correct answers") as error:
            refused()
        errors.append(str(error.value))
    assert errors[0] == errors[1]
    along = fingerprint(FingerprintRequest(short, along=record), Quiet())
    assert along.stages["weights"].failed
