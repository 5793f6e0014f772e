"""The choice of matrix products: by a trial that is kept, by memory, or by name."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

from benchmark.decoding.engines import ENGINES
from benchmark.decoding.speculative import kept_trials, matmul_choice, matmul_trial
from benchmark.decoding.speculative.kept_trials import kept_trial
from benchmark.decoding.speculative.linear_shapes import LinearShapes
from benchmark.decoding.speculative.matmul_backends import (
    MatmulBackend,
    TorchBackend,
    available,
    candidates,
    option_name,
)
from benchmark.decoding.speculative.matmul_choice import (
    choose,
    fastest,
    fitting_in_memory,
    matmul_backend_for,
    products_seconds,
)
from benchmark.decoding.speculative.matmul_trial import Product, ProductTimes, time_products
from benchmark.decoding.speculative.pass_rows import PassRows, pass_rows, tried_rows
from benchmark.errors import SettingError
from benchmark.planning.planning import planning
from benchmark.runs.forecast import forecast_seconds
from benchmark.runs.requests import RunRequest
from benchmark.runs.resolution import resolve
from fakes.tiny_models import tiny_model

FLOAT32 = candidates(torch.float32)
SHAPES = LinearShapes({(64, 32): 3, (32, 64): 1}, (1000, 32), torch.float32)
LARGE = LinearShapes({(4096, 4096): 3}, (1000, 4096), torch.float32)
HEAD_ALONE = LinearShapes({}, (50257, 768), torch.float32)
"""GPT-2, whose other layers are of another class."""


class Trials:
    """Counts trials, whose seconds are those of a layer times a factor by backend."""

    def __init__(self) -> None:
        """Have no trial yet."""
        self.count = 0
        self.clear = True
        self.factors: Mapping[str, float] = {"mkl": 3.0, "onednn": 2.0, "torch": 4.0}

    def time(
        self, backends: Mapping[str, object], sizes: object, dtype: object, *, evicts: bool
    ) -> ProductTimes:
        """Return the seconds of all products: factor * outputs * inputs * rows."""
        self.count += 1
        assert evicts
        assert isinstance(sizes, list)
        seconds = {
            Product(name, shape, n): self.factors[name] * shape[0] * shape[1] * n
            for name in backends
            for shape, rows in sizes
            for n in rows
        }
        return ProductTimes(seconds, self.clear)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Trials]:
    """Replace trials, in an empty cache folder."""
    fake = Trials()
    monkeypatch.setattr(kept_trials, "time_products", fake.time)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _new_process()
    yield fake
    _new_process()


def _new_process() -> None:
    kept_trials._trials.clear()


def _kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("products/*.json"))


def test_seconds_of_a_pass_are_those_of_its_layers(trials: Trials) -> None:
    """Compared with the sum over all layers."""
    seconds = kept_trial(FLOAT32, SHAPES)
    assert seconds is not None
    rows = tried_rows()
    assert list(seconds) == ["mkl", "onednn", "torch"]
    for name, factor in trials.factors.items():
        layers = [64 * 32, 64 * 32, 64 * 32, 32 * 64]
        for n in rows["layers"]:
            assert seconds[name]["layers"][str(n)] == sum(factor * n * layer for layer in layers)
        for n in rows["head"]:
            assert seconds[name]["head"][str(n)] == factor * n * 1000 * 32


def test_a_trial_is_made_once_per_machine(trials: Trials, tmp_path: Path) -> None:
    """The next call and the next process read it, even if another trial would differ."""
    first = kept_trial(FLOAT32, SHAPES)
    trials.factors = {"mkl": 1.0, "onednn": 1.0, "torch": 1.0}
    assert kept_trial(FLOAT32, SHAPES) == first
    _new_process()
    assert kept_trial(FLOAT32, SHAPES) == first
    assert trials.count == len(_kept(tmp_path)) == 1


def test_a_model_with_no_plain_layer_but_the_head_has_a_trial(trials: Trials) -> None:
    """The head alone is timed, and the next process reads the trial."""
    first = kept_trial(FLOAT32, HEAD_ALONE)
    assert first is not None
    assert all(set(parts) == {"head"} for parts in first.values())
    _new_process()
    assert kept_trial(FLOAT32, HEAD_ALONE) == first
    assert choose(FLOAT32, FLOAT32, HEAD_ALONE, pass_rows(64)) == "onednn"
    assert trials.count == 1


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        (kept_trials, "cpu_name", lambda: "another processor"),
        (kept_trials, "cpu_flags", lambda: frozenset({"another"})),
        (torch, "get_num_threads", lambda: 99),
        (torch, "__version__", "99.0"),
    ],
)
def test_another_machine_has_its_own_trial(
    target: object, name: str, value: object, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So has another number of threads, and another version of torch."""
    kept_trial(FLOAT32, SHAPES)
    monkeypatch.setattr(target, name, value)
    kept_trial(FLOAT32, SHAPES)
    assert trials.count == 2


def test_another_model_and_setting_has_its_own_trial(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shapes, the backends and the variables of the libraries count."""
    monkeypatch.delenv("MKL_ENABLE_INSTRUCTIONS", raising=False)
    kept_trial(FLOAT32, SHAPES)
    kept_trial(FLOAT32, LARGE)
    kept_trial({"torch": FLOAT32["torch"]}, SHAPES)
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2")
    kept_trial(FLOAT32, SHAPES)
    assert trials.count == 4


def _damage(document: dict[str, object]) -> Iterator[str]:
    """Yield the texts of files that are not this trial."""
    seconds = document["seconds"]
    assert isinstance(seconds, dict)
    yield ""
    yield "[]"
    yield json.dumps(document)[:-40]
    yield json.dumps({**document, "key": {}})
    yield json.dumps({"key": document["key"]})
    yield json.dumps({**document, "seconds": {**seconds, "mkl": {"layers": {}}}})
    yield json.dumps({**document, "seconds": {"mkl": seconds["mkl"]}})
    yield json.dumps({**document, "seconds": {**seconds, "mkl": 1.0}})
    for bad in (-1.0, 0.0, "1", None, True):
        rows = dict.fromkeys(seconds["mkl"]["layers"], bad)
        broken = {**seconds["mkl"], "layers": rows}
        yield json.dumps({**document, "seconds": {**seconds, "mkl": broken}})


def test_a_damaged_file_is_made_again(trials: Trials, tmp_path: Path) -> None:
    """Whatever is wrong with it, the trial is repeated and kept."""
    first = kept_trial(FLOAT32, SHAPES)
    (path,) = _kept(tmp_path)
    intact = path.read_text(encoding="utf-8")
    for number, text in enumerate(_damage(json.loads(intact)), start=2):
        path.write_text(text, encoding="utf-8")
        _new_process()
        assert kept_trial(FLOAT32, SHAPES) == first
        assert trials.count == number
        assert path.read_text(encoding="utf-8") == intact


@pytest.mark.parametrize("place", ["", "entity-tracking-benchmark"])
def test_without_a_cache_there_is_one_trial_per_process(
    place: str, trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in place of the folder stops writing also for root, as a read-only folder does."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    blocked = tmp_path / "cache" / place if place else tmp_path / "cache"
    if blocked.is_dir():
        blocked.rmdir()
    blocked.write_text("not a folder", encoding="utf-8")
    said: list[str] = []
    first = kept_trial(FLOAT32, SHAPES, said.append)
    assert kept_trial(FLOAT32, SHAPES, said.append) == first is not None
    assert trials.count == 1
    (line,) = said
    assert line.startswith("matrix products: the trial cannot be kept (")
    _new_process()
    kept_trial(FLOAT32, SHAPES)
    assert trials.count == 2


def test_a_disturbed_trial_is_not_kept(trials: Trials, tmp_path: Path) -> None:
    """The first candidate is used, with a line, and without a second trial in the process."""
    trials.clear = False
    said: list[str] = []
    for _ in range(2):
        assert choose(FLOAT32, FLOAT32, LARGE, pass_rows(64), said.append) == "mkl"
    assert trials.count == 1
    assert not _kept(tmp_path)
    disturbed = "matrix products: other programs disturbed the trial; using MKL, and trying again"
    assert [line.startswith(disturbed) for line in said] == [True, True]
    trials.clear = True
    _new_process()
    assert choose(FLOAT32, FLOAT32, LARGE, pass_rows(64), said.append) == "onednn"
    assert len(said) == 2


def test_processes_that_start_together_make_one_trial(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one makes it, the others wait, and then read it."""
    monkeypatch.setattr(kept_trials, "_trials", _Forgetful())
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: kept_trial(FLOAT32, SHAPES), range(4)))
    assert trials.count == 1
    assert all(seconds == kept[0] for seconds in kept)


class _Forgetful(dict[str, object]):
    """A cache within the process that holds nothing, as in a process that has just started."""

    def __contains__(self, name: object) -> bool:
        return False


def _naive(seconds: Mapping[str, float], memory: Mapping[str, int]) -> str:
    """Return the backend to choose: the smallest of those within a twentieth of the fastest."""
    quick = [name for name in seconds if seconds[name] / min(seconds.values()) <= 1.05]
    return min(quick, key=memory.__getitem__)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ((1.0, 1.2, 1.5), "mkl"),
        ((1.2, 1.0, 1.5), "onednn"),
        ((1.0, 1.04, 1.5), "onednn"),  # equal: oneDNN holds the weights once
        ((1.0, 1.04, 1.03), "onednn"),
        ((1.0, 1.06, 1.03), "torch"),
        ((1.0, 1.06, 1.07), "mkl"),
    ],
)
def test_the_fastest_is_chosen_and_of_equal_ones_the_smallest(
    seconds: tuple[float, ...], chosen: str
) -> None:
    """Noise of a few per cent does not change the choice."""
    by_name = dict(zip(FLOAT32, seconds, strict=True))
    memory = {name: backend.extra_bytes for name, backend in FLOAT32.items()}
    assert fastest(FLOAT32, by_name) == chosen == _naive(by_name, memory)


def test_small_models_have_no_trial(trials: Trials) -> None:
    """Microseconds would decide."""
    assert choose(FLOAT32, FLOAT32, SHAPES, pass_rows(64)) == "mkl"
    assert trials.count == 0


def test_memory_decides_what_fits_but_not_the_trial(trials: Trials) -> None:
    """A trial has all candidates, so that it also serves a run with more memory."""
    trials.factors = {"mkl": 1.0, "onednn": 3.0, "torch": 2.0}
    rows = pass_rows(64)
    fitting = {name: FLOAT32[name] for name in ("onednn", "torch")}
    said: list[str] = []
    assert choose(fitting, FLOAT32, LARGE, rows, said.append) == "torch"
    (line,) = said
    assert line.startswith("matrix products: the weights of MKL would take more than half")
    assert line.endswith("; using the model's own")
    assert choose(FLOAT32, FLOAT32, LARGE, rows, said.append) == "mkl"
    assert len(said) == 1
    assert choose({"torch": FLOAT32["torch"]}, FLOAT32, LARGE, rows) == "torch"
    assert trials.count == 1


def test_what_a_backend_takes_in_addition(monkeypatch: pytest.MonkeyPatch) -> None:
    """MKL takes all weights a second time, oneDNN those of the head."""
    head, layers = 4 * 1000 * 32, 4 * 4 * 64 * 32
    for free, fitting in (
        (2 * (head + layers), ["mkl", "onednn", "torch"]),
        (2 * head, ["onednn", "torch"]),
        (2 * head - 2, ["torch"]),
    ):
        monkeypatch.setattr(matmul_choice, "free_memory", lambda free=free: free)
        assert list(fitting_in_memory(FLOAT32, SHAPES)) == fitting


def test_rows_of_the_batch_size_count() -> None:
    """The total is the sum over passes; of the recorded batches the largest that fits is used."""
    one = PassRows({"layers": (2, 4), "head": (1,)}, {"layers": (3.0, 0.5), "head": (2.0,)})
    seconds = {"layers": {"2": 10.0, "4": 100.0}, "head": {"1": 1000.0}}
    assert one.total(seconds) == 3 * 10 + 0.5 * 100 + 2 * 1000
    assert one.total({"layers": seconds["layers"]}) == 80
    assert pass_rows(64) == pass_rows(1000) != pass_rows(32) == pass_rows(63)
    assert pass_rows(32) != pass_rows(1) == pass_rows(31)


def test_forced_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name chooses; one that does not suit dtype, device, processor or memory is refused."""
    model = tiny_model("llama", 352, 1)
    for name, backend in available(FLOAT32, LinearShapes.of(model)).items():
        assert type(matmul_backend_for(model, 64, forced=name)) is type(backend)
    with pytest.raises(SettingError, match="mkl-widened: not for float32 on cpu; choose one of"):
        matmul_backend_for(model, 64, forced="mkl-widened")
    with pytest.raises(SettingError, match=r"backend mkl: not for float16 on cpu$"):
        matmul_backend_for(tiny_model("llama", 352, 1).half(), 64, forced="mkl")
    usable = {"torch": FLOAT32["torch"], "mkl": FLOAT32["mkl"]}
    monkeypatch.setattr(matmul_choice, "available", lambda backends, shapes: usable)
    with pytest.raises(SettingError, match="onednn: not available with this processor and torch"):
        matmul_backend_for(model, 64, forced="onednn")
    monkeypatch.setattr(matmul_choice, "free_memory", lambda: 0)
    with pytest.raises(SettingError, match="mkl: its weights would take more than half"):
        matmul_backend_for(model, 64, forced="mkl")


def test_the_engine_has_a_name_for_every_candidate() -> None:
    """The names of the table of engines are those of the backends."""
    names = {*candidates(torch.float32), *candidates(torch.bfloat16)}
    assert set(ENGINES["speculative"].products) == names
    everything = {**candidates(torch.float32), **candidates(torch.bfloat16)}
    assert {name: option_name(one.name) for name, one in everything.items()} == {
        name: name for name in names
    }
    assert option_name("another") == "another"


def test_shapes_of_a_model() -> None:
    """Layers are counted by shape; the head is apart."""
    model = tiny_model("llama", 352, 1)
    shapes = LinearShapes.of(model)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    assert shapes.head == (352, model.config.hidden_size)
    assert sum(shapes.layers.values()) == len(layers) - 1
    assert shapes.numbers == sum(layer.weight.numel() for layer in layers)


class _Clock:
    """A clock that a fake product moves on, and the time that its threads waited."""

    now = waited = 0.0

    def wait(self, *, own_thread: bool) -> float:
        """Return how long all threads waited; with one thread, how long it waited itself."""
        return self.waited if own_thread else 2 * self.waited


class _Weights:
    """Weights whose product is a function that gets the number of rows."""

    def __init__(self, multiply: Callable[[int], None]) -> None:
        self._multiply = multiply

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return the states."""
        self._multiply(len(states))
        return states

    def unpack(self) -> torch.Tensor | None:
        """Return none."""
        return None


def test_only_undisturbed_samples_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample during which threads waited is repeated; a slow backend has one sample.

    The call before each is not a sample. Where the system does not say whether threads waited, the
    two shortest samples have to agree.
    """
    clock = _Clock()
    taken: list[str] = []

    class Backend:
        extra_bytes, unpacks, row_multiple = 0, False, 1

        def __init__(self, name: str, seconds: list[float]) -> None:
            self.name, self._seconds, self._is_sample = name, iter(seconds), False

        def pack(self, weight: torch.Tensor) -> "Backend":
            assert weight.shape == (2048, 8)
            return self

        def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
            assert states.shape == (5, 8)
            seconds = next(self._seconds) if self._is_sample else 0.5
            self._is_sample = not self._is_sample
            taken.append(self.name)
            clock.now += abs(seconds)
            clock.waited += -seconds if seconds < 0 else 0  # negative: others disturbed it
            return states

        def unpack(self) -> torch.Tensor | None:
            return None

    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(matmul_trial, "waiting_seconds", clock.wait)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    backends: dict[str, MatmulBackend] = {
        "quick": Backend("quick", [-0.001, 0.003, 0.002, -0.001, 0.004]),
        "slow": Backend("slow", [0.1]),
    }
    times = time_products(backends, [((4096, 8), (5,))], torch.float32)
    # Half of the outputs were timed.
    assert {product.backend: s for product, s in times.seconds.items()} == pytest.approx(
        {"quick": 0.004, "slow": 0.2}
    )
    assert times.clear
    assert taken == [*["quick"] * 2, *["slow"] * 2, *["quick"] * 8]
    backends = {"busy": Backend("busy", [-0.3] * 20)}
    times = time_products(backends, [((4096, 8), (5,))], torch.float32)
    assert not times.clear
    assert list(times.seconds.values()) == pytest.approx([0.6])
    backends = {"large": Backend("large", [3.0]), "larger": Backend("larger", [4.0])}
    times = time_products(backends, [((2048, 8), (5,))], torch.float32)
    assert times.clear
    assert list(times.seconds.values()) == pytest.approx([3.0, 4.0])
    monkeypatch.setattr(matmul_trial, "waiting_seconds", lambda *, own_thread: None)
    for samples, is_clear in (([0.2, 0.205, 0.3], True), ([0.2, 0.22, 0.3, 0.4, 0.5], False)):
        backends = {"silent": Backend("silent", samples)}
        times = time_products(backends, [((2048, 8), (5,))], torch.float32, budget=1.0)
        assert times.clear is is_clear
        assert list(times.seconds.values()) == pytest.approx([0.2])


def test_kernels_that_are_created_again_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that keeps two kernels has the times of its products, for five numbers of rows."""
    clock, kernels = _Clock(), deque[int](maxlen=2)
    backend = TorchBackend()

    def multiply(rows: int) -> None:
        if rows not in kernels:
            kernels.append(rows)
            clock.now += 0.009
        clock.now += 0.0001 * rows

    monkeypatch.setattr(backend, "pack", lambda weight: _Weights(multiply))
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(matmul_trial, "waiting_seconds", clock.wait)
    rows = (1, 2, 3, 4, 5)
    times = time_products({"own": backend}, [((8, 8), rows)], torch.float32)
    assert [times.seconds[Product("own", (8, 8), n)] for n in rows] == pytest.approx(
        [0.0001 * n for n in rows]
    )


def test_caches_are_emptied_right_before_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product is called, the caches are emptied, and the product is called and timed."""
    done: list[str] = []
    backend = TorchBackend()

    def evict(scratch: torch.Tensor) -> None:
        done.append(f"{len(scratch)} bytes")

    monkeypatch.setattr(backend, "pack", lambda weight: _Weights(lambda _: done.append("call")))
    monkeypatch.setattr(matmul_trial, "_evict", evict)
    monkeypatch.setattr(matmul_trial, "waiting_seconds", lambda *, own_thread: 0.0)
    time_products({"own": backend}, [((8, 8), (1,))], torch.float32, evicts=True)
    assert done == 3 * ["call", f"{2**26} bytes", "call"]


def test_a_product_that_is_always_disturbed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After twenty samples, if these take too little time to fill the budget."""
    waits = count()
    monkeypatch.setattr(matmul_trial, "waiting_seconds", lambda *, own_thread: float(next(waits)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    times = time_products({"own": TorchBackend()}, [((8, 8), (1,))], torch.float32)
    assert not times.clear
    assert next(waits) == 2 * 20


def test_with_one_thread_the_waiting_is_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of 5 ms of which the thread waited 3 took 2 ms, even if others waited as well."""
    clock = _Clock()

    def multiply(_: int) -> None:
        clock.now += 0.005
        clock.waited += 0.003

    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(matmul_trial, "waiting_seconds", clock.wait)
    for threads, expected in ((1, 0.002), (2, 0.005)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        seconds, is_clear = matmul_trial._sample(_Weights(multiply), torch.zeros(1, 1))
        assert seconds == pytest.approx(expected)
        assert is_clear is (threads == 1)


def test_forecast_by_the_trial(
    trials: Trials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The seconds of all products of a state by the fastest backend, divided by their share."""
    model = tiny_model("llama", 352, 1)
    monkeypatch.setattr(LinearShapes, "of", lambda model: LARGE)
    monkeypatch.setattr(matmul_choice, "available", lambda backends, shapes: FLOAT32)
    rows = pass_rows(64)
    layers = sum(
        passes * 3 * 2.0 * 4096 * 4096 * number
        for number, passes in zip(rows.rows["layers"], rows.passes["layers"], strict=True)
    )
    head = sum(
        passes * 2.0 * 1000 * 4096 * number
        for number, passes in zip(rows.rows["head"], rows.passes["head"], strict=True)
    )
    assert products_seconds(model, 64) == pytest.approx(layers + head)
    settings = resolve(RunRequest("any", tmp_path / "run", device="cpu", dtype="float32"))
    expected = 5 * (layers + head) / planning().cpu.products_share
    assert forecast_seconds(settings, model, 5) == pytest.approx(expected)
    assert trials.count == 1


def test_no_forecast_without_a_trial(
    trials: Trials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A small model, a disturbed trial, another engine, or no weights."""
    model = tiny_model("llama", 352, 1)
    assert products_seconds(model, 32) is None
    assert not trials.count
    monkeypatch.setattr(LinearShapes, "of", lambda model: LARGE)
    plain = RunRequest("any", tmp_path / "run", engine="outlines", device="cpu", dtype="float32")
    assert forecast_seconds(resolve(plain), model, 5) is None
    assert forecast_seconds(resolve(replace(plain, engine=None)), None, 5) is None
    trials.clear = False
    assert forecast_seconds(resolve(replace(plain, engine=None)), model, 5) is None
