"""What the suite adds to pytest: options, models measured once, verdicts, skips with reasons."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.models.registry import Pair, RegisteredModel, Registry, read_registry, registry
from benchmark.models.tokenizer import TransformersTokenizer

if TYPE_CHECKING:
    from benchmark.pipeline.measure import Measured
    from benchmark.pipeline.model_store import ModelStore

Measure = Callable[[RegisteredModel], "Measured"]

_PROPERTY = "pair verdict"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What cases marked ``gpu`` are measured with."""
    group = parser.getgroup("entity tracking benchmark")
    group.addoption(
        "--device", help="run the cases marked gpu here; cpu rehearses them (default: all GPUs)"
    )
    group.addoption("--registry", type=Path, metavar="FILE", help="your own models and pairs, TOML")
    group.addoption(
        "--model-store",
        type=Path,
        metavar="DIR",
        default=Path("runs/store"),
        help="where measurements are kept, to be used again (default: runs/store)",
    )
    group.addoption("--states", type=int, metavar="N", help="only the first N states")
    group.addoption("--data", type=Path, metavar="FILE", help="JSON lines or the original ZIP")
    group.addoption("--password", help="of the original ZIP")
    group.addoption("--dtype", help="float32, bfloat16 or float16 (default: the protocol's)")
    group.addoption("--batch-size", type=int, metavar="N", help="(default: the protocol's)")
    group.addoption("--max-new-tokens", type=int, metavar="N", help="(default: the protocol's)")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "gpu: needs a CUDA GPU; skipped where there is none")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where there is no GPU; keep a file on one worker of xdist."""
    asked = config.getoption("--device", None)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not asked and not _has_gpu():
        reason = "needs a CUDA GPU, and torch sees none here (--device cpu rehearses the cases)"
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))
    if config.pluginmanager.has_plugin("xdist"):
        for item in items:
            if not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line a pair: what was measured, and whether its hypothesis holds."""
    reports = (r for group in terminalreporter.stats.values() for r in group)
    lines = [
        str(value)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY and getattr(report, "when", "") == "call"
    ]
    if lines:
        terminalreporter.section("pairs, at numops >= 1")
        for line in sorted(lines):
            terminalreporter.line(line)


def pair_parameters(known: Registry) -> list[object]:
    """A parameter a pair, named by its identifier, those that share models in one xdist group."""
    from benchmark.pipeline.pairs import groups

    group = groups(known)
    return [
        pytest.param(pair, id=pair.id, marks=pytest.mark.xdist_group(group[pair.id]))
        for pair in known.pairs.values()
    ]


def wanted_registry(config: pytest.Config) -> Registry:
    """The benchmark's registry, with the user's ``--registry``."""
    path: Path | None = config.getoption("--registry")
    return read_registry(path) if path else registry()


def verdict_line(pair: Pair, figures: str, *, holds: bool) -> tuple[str, str]:
    """The user property that ends in the summary."""
    return _PROPERTY, f"{pair.id:<32} {pair.hypothesis}: {'yes' if holds else 'NO'}, {figures}"


@pytest.fixture(scope="session")
def model_store(request: pytest.FixtureRequest) -> "ModelStore":
    """The store on disk; on GPUs every measurement takes those that its model needs."""
    from benchmark.models.hardware import gpus
    from benchmark.pipeline.model_store import ModelStore
    from benchmark.pipeline.placement import AsAsked, OnLeasedGpus, Placement, needed_gpus
    from benchmark.store.gpu_leases import GpuLeases, share

    folder: Path = request.config.getoption("--model-store")
    placement: Placement = AsAsked()
    memory = gpus()
    if memory and not request.config.getoption("--device"):
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        numbers = range(len(memory))
        placement = OnLeasedGpus(
            GpuLeases(folder / "gpus", numbers),
            share(worker, workers, numbers),
            lambda prepared: needed_gpus(prepared, min(memory), len(memory)),
        )
    return ModelStore(folder, Quiet(), placement)


@pytest.fixture(scope="session")
def measure(request: pytest.FixtureRequest, model_store: "ModelStore") -> Measure:
    """Measures a registered model as the paper prompts it; skips what cannot be had or run here."""
    from benchmark.errors import DoesNotFitError, UnavailableModelError
    from benchmark.pipeline import DataRequest, RunRequest

    option = request.config.getoption
    data = DataRequest(option("--data"), option("--password"), states=option("--states"))

    @cache
    def measured(model: RegisteredModel) -> "Measured":
        device = option("--device") or "cuda"
        wanted = RunRequest(
            model=model.huggingface_id,
            out=model_store.folder,
            data=data,
            prompt_format=model.format,
            device=device,
            dtype=option("--dtype"),
            quantization=model.quantization if device != "cpu" else None,
            batch_size=option("--batch-size"),
            max_new_tokens=option("--max-new-tokens"),
        )
        try:
            return model_store.measure(wanted)
        except (UnavailableModelError, DoesNotFitError) as error:
            pytest.skip(str(error))

    return measured


@pytest.fixture(scope="session")
def real_tokenizer() -> Callable[[str], TransformersTokenizer]:
    """The real tokenizer of a name in ``sources.toml``; the test is skipped where it is missing."""
    from benchmark.models.sources import load_source_tokenizer, source

    @cache
    def load(name: str) -> TransformersTokenizer:
        wanted = source(name)
        if not wanted.present:
            pytest.skip(f"{name} is not here; get it with: {wanted.command}")
        return load_source_tokenizer(wanted)

    return load


class Quiet:
    """Progress inside pytest, which shows its own."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def start(self, total: int, done: int) -> None:
        """Show nothing."""

    def advance(self, states: int) -> None:
        """Show nothing."""


def _has_gpu() -> bool:
    from benchmark.models.hardware import has_gpu

    return has_gpu()
