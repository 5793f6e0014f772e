"""The model store: measured once, by whoever comes first, and by nothing but its settings known."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.pipeline import DataRequest, Quiet, RunRequest
from benchmark.pipeline.model_store import ModelStore
from benchmark.records import Tally

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
    monkeypatch.setattr("benchmark.pipeline.identity.versions", lambda: {"torch": "99"})
    store.measure(request)
    assert len(list(store.folder.glob("*/result.json"))) == len(changes) + 2
