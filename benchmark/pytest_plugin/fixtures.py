"""Models measured once, fingerprints held against those recorded, skips with reasons."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from benchmark.models.registry_types import RegisteredModel
from benchmark.models.tokenizer import TransformersTokenizer

if TYPE_CHECKING:
    from rich.console import Console
    from syrupy.assertion import SnapshotAssertion

    from benchmark.fingerprints.record import Fingerprint
    from benchmark.pytest_plugin.snapshots.fingerprints import Blessing
    from benchmark.runs.measure import RunResult
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.requests import RunRequest

Measure = Callable[[RegisteredModel], "RunResult"]
Trace = Callable[[RegisteredModel], "Fingerprint"]
_Found = TypeVar("_Found")

REPEATS = 4
"""So often the noise floor of a fingerprint is sampled when it is recorded."""


@pytest.fixture(scope="session")
def model_store(request: pytest.FixtureRequest) -> "ModelStore":
    """The store on disk; on GPUs every measurement takes those that its model needs."""
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.placement import placement
    from benchmark.runs.requests import Quiet

    folder: Path = request.config.getoption("--model-store")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return ModelStore(folder, Quiet(), placement(_device(request.config), worker, workers))


@pytest.fixture(scope="session")
def terminal(request: pytest.FixtureRequest) -> Iterator["Console"]:
    """Standard error as it is outside of tests, to show progress on; with ``-q`` it is quiet.

    Workers of xdist have none of their own but the same standard error: a live line of each would
    write over the others', so there it is lines.
    """
    from rich.console import Console

    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        number = os.dup(2)
    with os.fdopen(number, "w", encoding="utf-8", errors="replace", buffering=1) as file:
        shared = hasattr(request.config, "workerinput")
        quiet = request.config.get_verbosity() < 0
        yield Console(file=file, force_terminal=False if shared else None, quiet=quiet)


@pytest.fixture(scope="session")
def run_request(request: pytest.FixtureRequest) -> "RunRequest":
    """What the options ask for, of no model yet."""
    from benchmark.pytest_plugin.hooks import SETTINGS_OF_PYTEST
    from benchmark.runs.requests import RunRequest, data_request_of
    from benchmark.runs.settings import settings_of

    option = request.config.getoption
    asked = {name: option(f"--{name.replace('_', '-')}") for name in SETTINGS_OF_PYTEST}
    settings = settings_of({**asked, "device": _device(request.config)})
    chosen = {name: option(f"--{name}") for name in ("password", "states", "task")}
    data = data_request_of({"path": option("--data"), **chosen})
    return RunRequest("", option("--model-store"), data, **asdict(settings))


@pytest.fixture(scope="session")
def measure(model_store: "ModelStore", run_request: "RunRequest", terminal: "Console") -> Measure:
    """Measures a registered model as the paper prompts it; skips what cannot be had or run here."""
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import as_registered

    @cache  # what was skipped too: a model that does not fit is not loaded again for its next pair
    def measured(model: RegisteredModel) -> "RunResult | str":
        with RunProgress(terminal, named=True) as progress:
            if terminal.is_terminal:
                terminal.print()  # pytest's own line stands unfinished
            store = replace(model_store, progress=progress)
            return _or_reason(lambda: store.measure(as_registered(model, run_request)))

    return lambda model: _or_skip(measured(model))


@pytest.fixture
def trace(
    model_store: "ModelStore",
    run_request: "RunRequest",
    blessing: "Blessing",
    request: pytest.FixtureRequest,
) -> Trace:
    """Fingerprints a registered model where one is recorded of it, or is to be now."""
    from benchmark.fingerprints.record_run import placed_fingerprint
    from benchmark.models.hardware import describe
    from benchmark.pytest_plugin.snapshots.fingerprints import is_recorded
    from benchmark.pytest_plugin.snapshots.kinds import kind_of_run
    from benchmark.runs.requests import as_registered
    from benchmark.tasks import DEFAULT

    protocol = {"name": run_request.protocol}
    hardware = {"hardware": describe(run_request.device)}
    asked = {"data": {} if run_request.data.task == DEFAULT else {"task": run_request.data.task}}
    kind = kind_of_run({"protocol": protocol, "environment": hardware, **asked})
    if not blessing.updating and not is_recorded(request.node, kind, blessing):
        pytest.skip("no fingerprint of it yet: --snapshot-update --bless REASON records one")
    repeats = REPEATS if blessing.updating else 0

    def traced(model: RegisteredModel) -> "Fingerprint":
        wanted = as_registered(model, run_request)
        return _or_skip(_or_reason(lambda: placed_fingerprint(model_store, wanted, repeats)))

    return traced


def _or_reason(act: Callable[[], _Found]) -> _Found | str:
    """What it gives; or why that cannot be had or run here."""
    from benchmark.errors import DoesNotFitError, MissingLibraryError, UnavailableModelError

    try:
        return act()
    except (UnavailableModelError, DoesNotFitError, MissingLibraryError) as error:
        return str(error)


def _or_skip(found: _Found | str) -> _Found:
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def blessing(request: pytest.FixtureRequest) -> "Blessing":
    """Whether this session may write fingerprints; one that may not, and is to, fails here."""
    from benchmark.errors import SettingError
    from benchmark.pytest_plugin.snapshots.fingerprints import Blessing

    # Not by its environment: a test run inside of a worker's test inherits that.
    parallel = hasattr(request.config, "workerinput")
    option = request.config.getoption
    updating = bool(option("--snapshot-update") or option("--snapshot-update-new-only", None))
    found = Blessing(option("--bless"), parallel, updating)
    if updating:
        try:
            found.check()  # before anything is measured in vain
        except SettingError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
    return found


@pytest.fixture
def fingerprints(
    snapshot: "SnapshotAssertion", blessing: "Blessing", request: pytest.FixtureRequest
) -> Callable[["Fingerprint"], "SnapshotAssertion"]:
    """Gives what a record must equal: the recorded fingerprint of its kind of run.

    The comparison goes into the test's report.
    """
    from benchmark.pytest_plugin.snapshots.fingerprints import assert_matches, snapshot_of

    def recorded(record: "Fingerprint") -> "SnapshotAssertion":
        assert_matches(request.node, record, blessing)
        return snapshot_of(snapshot, record, blessing)

    return recorded


@pytest.fixture(scope="session")
def real_tokenizer() -> Callable[[str], TransformersTokenizer]:
    """The real tokenizer of a name in ``sources.toml``; the test is skipped where it is missing."""
    from benchmark.models.downloads import load_source_tokenizer, source

    @cache
    def load(name: str) -> TransformersTokenizer:
        wanted = source(name)
        if not wanted.present:
            pytest.skip(f"{name} is not here; get it with: {wanted.command}")
        return load_source_tokenizer(wanted)

    return load


def _device(config: pytest.Config) -> str:
    from benchmark.models.loading import resolve_device

    return resolve_device(config.getoption("--device") or "cuda")
