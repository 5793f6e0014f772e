"""Placement of measurements on GPUs, and freeing of memory before release."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock, Timeout

from benchmark.decoding.connection import ExternalSettings
from benchmark.errors import DoesNotFitError, ModelError
from benchmark.models.gpus import Gpu, GpuUse
from benchmark.models.location import Location
from benchmark.planning.memory import DecodingBatch, Fit
from benchmark.runs import placement as module
from benchmark.runs.placement import LeasedGpus, RequestedDevice, placement
from benchmark.runs.store.gpu_leases import lease_folder


def _work(device: str = "cuda", *, loads_weights: bool = True, ranks: int = 0) -> Any:  # noqa: ANN401
    row = SimpleNamespace(loads_weights=loads_weights and not ranks, on_device=ranks > 0)
    options = SimpleNamespace(device=device)
    external = ExternalSettings(tensor_parallel=ranks or None)
    settings = SimpleNamespace(engine_row=row, options=options, external=external)
    location = Location("a model", Path(), None, "sha256-tree:1")
    return SimpleNamespace(location=location, settings=settings, prompts=())


WORK = _work()
EIGHTY = 80 * 10**9


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eight GPUs of 80 GB, and a log of whether the lock was held at each ``release``."""
    happened: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "gpus", lambda: tuple(Gpu(f"g{n}", EIGHTY) for n in range(8)))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    _set_free(monkeypatch, [EIGHTY] * 8)

    def release() -> None:
        try:
            with FileLock(lease_folder() / "g0.lock", timeout=0, is_singleton=False):
                happened.append("free")
        except Timeout:
            happened.append("held")

    monkeypatch.setattr(module, "release", release)
    return happened


def _set_free(monkeypatch: pytest.MonkeyPatch, free: Sequence[int], note: str = "") -> None:
    monkeypatch.setattr(
        module, "gpu_uses", lambda _, numbers: {n: GpuUse(free[n], note) for n in numbers}
    )


def _placed(device: str, worker: str | None, workers: int, size: int = 150) -> LeasedGpus:
    """Return a placement of a model of that many GB; its batch has as many rows as GB are left."""

    def fit(_: object, __: object, ___: object, free: Sequence[int]) -> Fit | None:
        ordered = sorted(free, reverse=True)
        for count in range(1, len(free) + 1):
            if left := max(0, sum(ordered[:count]) // 10**9 - size):
                return Fit(count, DecodingBatch(left, 1, 1))
        return None

    made = placement(device, worker, workers)
    assert isinstance(made, LeasedGpus)
    return replace(made, fit=fit)


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
    with _placed(device, worker, workers).place(WORK) as place:
        assert place == (expected, 10)


def test_large_model_takes_other_gpus(machine: list[str]) -> None:
    """A worker with one GPU of its own takes a second one; more than there are is an error."""
    with _placed("cuda", "gw5", 8).place(WORK) as place:
        assert place.device == "cuda:0,5"
    with (
        pytest.raises(DoesNotFitError, match="a model: one prompt needs more memory than 8 GPUs"),
        _placed("cuda", None, 1, size=641).place(WORK),
    ):
        pass


@pytest.mark.parametrize(
    ("size", "free", "expected"),
    [
        (50, [80] * 8, ("cuda:0", 30)),
        (50, [60, *[80] * 7], ("cuda:0", 10)),  # a smaller batch before another GPU
        (50, [40, 80, *[1] * 6], ("cuda:1", 30)),  # another process uses the first
        (50, [30, 30, *[1] * 6], ("cuda:0,1", 10)),  # none alone, but two together
        (150, [80, 10, 80, *[1] * 5], ("cuda:0,2", 10)),
    ],
)
def test_what_is_free_decides(
    machine: list[str],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    free: list[int],
    expected: tuple[str, int],
) -> None:
    """GPUs that other processes use are left out, and the batch is what fits on the others."""
    _set_free(monkeypatch, [gigabytes * 10**9 for gigabytes in free])
    with _placed("cuda", None, 1, size=size).place(WORK) as place:
        assert place == expected


def test_gpus_that_are_not_needed_are_released(
    machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All GPUs are looked at together, and those that the model does not use are given back."""
    _set_free(monkeypatch, [gigabytes * 10**9 for gigabytes in (30, 30, *[1] * 6)])
    with _placed("cuda", None, 1, size=50).place(WORK) as place:
        assert place.device == "cuda:0,1"
        leased = [not _is_free(f"g{number}") for number in range(8)]
        assert leased == [True, True, *[False] * 6]
    assert all(_is_free(f"g{number}") for number in range(8))


def _is_free(identity: str) -> bool:
    try:
        with FileLock(lease_folder() / f"{identity}.lock", timeout=0, is_singleton=False):
            return True
    except Timeout:
        return False


def test_a_model_whose_size_is_unknown_gets_all_gpus(machine: list[str]) -> None:
    """One line says why, as in ``run``; the run is not an error."""

    def fit(*_: object) -> Fit:
        raise ModelError("a model of type 'mamba' cannot be counted")

    said = list[str]()
    placed = replace(_placed("cuda:2,3", None, 1), fit=fit)
    with placed.place(WORK, said.append) as place:
        assert place == ("cuda:2,3", None)
        assert not _is_free("g2")
    line = "its memory is not forecast: a model of type 'mamba' cannot be counted; it gets all GPUs"
    assert said == [line]


def test_fetching_is_said(machine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines about the download reach the run's progress."""
    monkeypatch.setattr(module, "fetch_missing_weights", lambda _, say: say("fetching 13 GB"))
    said = list[str]()
    with _placed("cuda", None, 1).place(WORK, said.append):
        assert said == ["fetching 13 GB"]


def test_an_engine_in_another_process_gets_its_gpus(
    machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as its ranks, a power of two, those with most free memory; it batches by itself."""
    placed = _placed("cuda", None, 1, size=170)  # three GPUs of 80 GB
    work = _work(ranks=4)
    assert placed.ranks(work.settings, work.location, ()) == 4
    assert _placed("cuda:0,1,2", None, 1).ranks(work.settings, work.location, ()) == 2
    with placed.place(work) as place:
        assert place == ("cuda:0,1,2,3", None)
        assert not _is_free("g3")
        assert _is_free("g4")
    _set_free(monkeypatch, [gigabytes * 10**9 for gigabytes in (1, 1, 80, 80, 1, 80, 80, 1)])
    with placed.place(work) as place:
        assert place == ("cuda:2,3,5,6", None)
        assert [not _is_free(f"g{n}") for n in range(8)] == [n in {2, 3, 5, 6} for n in range(8)]
    assert RequestedDevice().ranks(work.settings, work.location, ()) is None


def test_a_busy_machine_says_so(machine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The line has the free memory of each GPU and what limits it."""
    _set_free(monkeypatch, [3 * 10**9] * 8, "in exclusive mode")
    with (
        pytest.raises(DoesNotFitError, match="a model: too little memory is free: ") as error,
        _placed("cuda:2,3", None, 1, size=50).place(WORK),
    ):
        pass
    for number in (2, 3):
        assert f"cuda:{number} (GPU) 3 of 80 GB (in exclusive mode)" in str(error.value)
    assert "cuda:1" not in str(error.value)


def test_memory_is_freed_before_the_gpus(machine: list[str]) -> None:
    """After success and after an error the model is freed while the lease is held."""
    with _placed("cuda", None, 1).place(WORK):
        assert machine == []
    assert machine == ["held"]
    with pytest.raises(RuntimeError), _placed("cuda", None, 1).place(WORK):
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

    with pytest.raises(RuntimeError), _placed("cuda", None, 1).place(WORK):
        load()
    assert dead == [True]


def test_a_cpu_is_not_leased() -> None:
    """On a CPU the requested device is used."""
    assert isinstance(placement("cpu", "gw0", 2), RequestedDevice)
    assert not isinstance(placement("cpu", "gw0", 2), LeasedGpus)


def test_an_engine_without_weights_takes_no_gpu(machine: list[str]) -> None:
    """An engine without weights uses the requested device and leases nothing."""
    with (
        _placed("cuda", None, 1).place(WORK),
        _placed("cuda", None, 1).place(_work("cpu", loads_weights=False)) as given,
    ):
        assert given == ("cpu", None)
