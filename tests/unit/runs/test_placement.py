"""Placement of measurements on GPUs, and freeing of memory before release."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout

from benchmark.errors import DoesNotFitError
from benchmark.models.hardware import Gpu
from benchmark.runs import placement as module
from benchmark.runs.placement import LeasedGpus, RequestedDevice, placement
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
    """Eight GPUs of 80 GB, and a log of whether the lock was held at each ``release``."""
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
    """Each worker takes its share of the named GPUs first."""
    with placement(device, worker, workers).place(WORK) as device_of_run:
        assert device_of_run == expected


def test_large_model_takes_other_gpus(machine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with one GPU of its own takes a second one."""
    with placement("cuda", "gw5", 8).place(WORK) as device_of_run:
        assert device_of_run == "cuda:0,5"
    monkeypatch.setattr(module, "needed_gpus", lambda work, memory, there: 9)
    with (
        pytest.raises(DoesNotFitError, match="needs 9 GPUs"),
        placement("cuda", None, 1).place(WORK),
    ):
        pass


def test_memory_is_freed_before_the_gpus(machine: list[str]) -> None:
    """After success and after an error the model is freed while the lease is held."""
    with placement("cuda", None, 1).place(WORK):
        assert machine == []
    assert machine == ["held"]
    with pytest.raises(RuntimeError), placement("cuda", None, 1).place(WORK):
        raise RuntimeError
    assert machine == ["held", "held"]


def test_an_error_lets_go_of_the_model(machine: list[str]) -> None:
    """The frames of an error, which hold the model, are cleared before the release."""
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
    """On a CPU the requested device is used."""
    assert isinstance(placement("cpu", "gw0", 2), RequestedDevice)
    assert not isinstance(placement("cpu", "gw0", 2), LeasedGpus)


def test_an_engine_without_weights_takes_no_gpu(machine: list[str]) -> None:
    """An engine without weights uses the requested device and leases nothing."""
    with (
        placement("cuda", None, 1).place(WORK),
        placement("cuda", None, 1).place(_work("cpu", loads_weights=False)) as given,
    ):
        assert given == "cpu"
