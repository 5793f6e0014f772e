"""Which GPUs a measurement gets, and that they are empty when they are given back."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout

from benchmark.errors import DoesNotFitError
from benchmark.models.hardware import Gpu
from benchmark.runs import placement as module
from benchmark.runs.placement import AsAsked, OnLeasedGpus, placement
from benchmark.runs.store.gpu_leases import lease_folder


def _work(device: str = "cuda", *, loads_weights: bool = True) -> Any:  # noqa: ANN401
    row = SimpleNamespace(loads_weights=loads_weights)
    options = SimpleNamespace(device=device)
    settings = SimpleNamespace(engine_row=row, options=options)
    return SimpleNamespace(location=SimpleNamespace(name="a model"), settings=settings)


WORK = _work()
EIGHTY = 80 * 10**9


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eight GPUs of 80 GB, and what happened: ``release`` with the locks held at that moment."""
    happened: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "gpus", lambda: tuple(Gpu(f"g{n}", EIGHTY) for n in range(8)))

    def release() -> None:
        try:
            with FileLock(lease_folder() / "g0.lock", timeout=0, is_singleton=False):
                happened.append("free")
        except Timeout:
            happened.append("held")

    monkeypatch.setattr(module, "release", release)
    monkeypatch.setattr(module, "needed_gpus", lambda work, memory, there: 2)
    return happened


@pytest.mark.parametrize(
    ("device", "worker", "workers", "expected"),
    [
        ("cuda", None, 1, "cuda:0,1"),
        ("cuda", "gw0", 4, "cuda:0,1"),
        ("cuda", "gw1", 4, "cuda:2,3"),
        ("cuda", "gw3", 4, "cuda:6,7"),
        ("cuda:4,5,6", "gw1", 2, "cuda:5,6"),
        ("cuda:4,5,6", None, 1, "cuda:4,5"),
    ],
)
def test_a_worker_takes_its_own_gpus_first(
    machine: list[str], device: str, worker: str | None, workers: int, expected: str
) -> None:
    """Of those that the device names each worker has its share."""
    with placement(device, worker, workers).place(WORK) as given:
        assert given == expected


def test_a_large_model_takes_others_gpus(
    machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of eight workers has one GPU of its own and takes a second one."""
    with placement("cuda", "gw5", 8).place(WORK) as given:
        assert given == "cuda:0,5"
    monkeypatch.setattr(module, "needed_gpus", lambda work, memory, there: 9)
    with (
        pytest.raises(DoesNotFitError, match="needs 9 GPUs"),
        placement("cuda", None, 1).place(WORK),
    ):
        pass


def test_memory_is_given_back_before_the_gpus(machine: list[str]) -> None:
    """After success and after an error alike the model is gone while the lease still holds."""
    with placement("cuda", None, 1).place(WORK):
        assert machine == []
    assert machine == ["held"]
    with pytest.raises(RuntimeError), placement("cuda", None, 1).place(WORK):
        raise RuntimeError
    assert machine == ["held", "held"]


def test_an_error_lets_go_of_the_model(machine: list[str]) -> None:
    """Frames of the error, which hold what failed to fit, are cleared before the release."""
    dead: list[bool] = []

    class Model:
        def __del__(self) -> None:
            dead.append(machine == [])

    def load() -> None:
        model = Model()
        raise RuntimeError(type(model).__name__)

    with pytest.raises(RuntimeError), placement("cuda", None, 1).place(WORK):
        load()
    assert dead == [True]


def test_a_cpu_is_not_leased() -> None:
    """Elsewhere a measurement runs where it was asked to."""
    assert isinstance(placement("cpu", "gw0", 2), AsAsked)
    assert not isinstance(placement("cpu", "gw0", 2), OnLeasedGpus)


def test_an_engine_without_weights_takes_no_gpu(machine: list[str]) -> None:
    """It runs where its request says, and nobody waits for it."""
    with (
        placement("cuda", None, 1).place(WORK),
        placement("cuda", None, 1).place(_work("cpu", loads_weights=False)) as given,
    ):
        assert given == "cpu"
