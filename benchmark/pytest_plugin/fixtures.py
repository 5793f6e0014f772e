"""Fixtures: models measured once, fingerprints compared with recorded ones, real tokenizers."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeVar, cast

import pytest

from benchmark.models.registry_types import RegisteredModel
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.pytest_plugin import options
from benchmark.pytest_plugin.shown import shown
from benchmark.stats.constants import SAME_MARGIN

if TYPE_CHECKING:
    from rich.console import Console
    from syrupy.assertion import SnapshotAssertion

    from benchmark.fingerprints.record import Fingerprint
    from benchmark.pytest_plugin.snapshots.fingerprints import Blessing
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.runs.run_result import RunResult

Measure = Callable[[RegisteredModel], "RunResult"]
MeasurePair = Callable[[RegisteredModel, RegisteredModel], tuple["RunResult", "RunResult"]]
Trace = Callable[[RegisteredModel], "Fingerprint"]
_Result = TypeVar("_Result")

REPEATS = 4
"""The number of repeats that measure the noise floor of a recorded fingerprint."""


@pytest.fixture(scope="session")
def model_store(request: pytest.FixtureRequest) -> "ModelStore":
    """The store of measurements on disk; each measurement leases the GPUs that its model needs."""
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.placement import placement
    from benchmark.runs.requests import Quiet

    folder: Path = request.config.getoption("--model-store")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return ModelStore(folder, Quiet(), placement(options.device(request.config), worker, workers))


@pytest.fixture(scope="session")
def terminal(request: pytest.FixtureRequest) -> Iterator["Console"]:
    """The real standard error, for progress; quiet with ``-q``.

    Workers of xdist share one standard error, where live lines would overwrite each other, so they
    print plain lines.
    """
    from benchmark.streams import GuardedStream
    from benchmark.terminal import GuardedConsole

    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        number = os.dup(2)
    with os.fdopen(number, "w", encoding="utf-8", errors="replace", buffering=1) as file:
        shared = hasattr(request.config, "workerinput")
        quiet = request.config.get_verbosity() < 0
        github = os.environ.get("GITHUB_ACTIONS") == "true"
        # rich draws on a terminal with control characters, and GitHub's runner is none.
        guarded = file if file.isatty() else GuardedStream(file, github=github)
        interactive = False if shared else None
        yield GuardedConsole(file=cast("IO[str]", guarded), force_terminal=interactive, quiet=quiet)


@pytest.fixture(scope="session")
def run_request(request: pytest.FixtureRequest) -> "RunRequest":
    """A request with the settings and data of the options, and an empty model."""
    return options.run_request(request.config, options.device(request.config))


@pytest.fixture(scope="session")
def measure(
    model_store: "ModelStore",
    run_request: "RunRequest",
    terminal: "Console",
    request: pytest.FixtureRequest,
) -> Measure:
    """Measure a registered model with its prompt format; skip if it is unavailable or too large."""
    measured = _measuring(model_store, run_request, terminal, request.config)
    return lambda model: _result_or_skip(measured(model, wait=True))


@pytest.fixture(scope="session")
def measure_pair(
    model_store: "ModelStore",
    run_request: "RunRequest",
    terminal: "Console",
    request: pytest.FixtureRequest,
) -> MeasurePair:
    """Measure two registered models; first the one that no other process is measuring.

    Pairs that share models can then run on several workers at the same time.
    """
    from benchmark.locking import LockHeldError

    measured = _measuring(model_store, run_request, terminal, request.config)

    def of_both(base: RegisteredModel, variant: RegisteredModel) -> "tuple[RunResult, RunResult]":
        try:
            first = _result_or_skip(measured(base, wait=False))
        except LockHeldError:
            second = _result_or_skip(measured(variant, wait=True))
            return _result_or_skip(measured(base, wait=True)), second
        return first, _result_or_skip(measured(variant, wait=True))

    return of_both


class _Measured(Protocol):
    def __call__(self, model: RegisteredModel, *, wait: bool) -> "RunResult | str": ...


def _measuring(
    model_store: "ModelStore",
    run_request: "RunRequest",
    terminal: "Console",
    config: pytest.Config,
) -> _Measured:
    """Return a function that measures a model once, or returns the reason why it cannot."""
    from benchmark.reproduction.measuring import result_or_reason
    from benchmark.runs.requests import as_registered

    # Reasons too: a model that does not fit is not loaded again for its next pair.
    results = dict[RegisteredModel, "RunResult | str"]()

    def measured(model: RegisteredModel, *, wait: bool) -> "RunResult | str":
        if model not in results:
            own = as_registered(model, run_request)
            with _progress(terminal, config) as progress:
                store = replace(model_store, progress=progress)
                results[model] = result_or_reason(lambda: store.measure(own, wait=wait))
        return results[model]

    return measured


@pytest.fixture
def trace(
    model_store: "ModelStore",
    run_request: "RunRequest",
    blessing: "Blessing",
    terminal: "Console",
    request: pytest.FixtureRequest,
) -> Trace:
    """Fingerprint a registered model if its fingerprint is recorded, or is being recorded now."""
    from benchmark.fingerprints.record_run import placed_fingerprint
    from benchmark.models.hardware import describe
    from benchmark.pytest_plugin.snapshots.fingerprints import is_recorded
    from benchmark.pytest_plugin.snapshots.kinds import kind_of_run
    from benchmark.reproduction.measuring import result_or_reason
    from benchmark.runs.requests import as_registered
    from benchmark.runs.resolution import resolve
    from benchmark.tasks import DEFAULT

    protocol = resolve(run_request).as_json()
    hardware = {"hardware": describe(run_request.device)}
    task = {} if run_request.data.task == DEFAULT else {"task": run_request.data.task}
    kind = kind_of_run({"protocol": protocol, "environment": hardware, "data": task})
    if not blessing.updating and not is_recorded(request.node, kind, blessing):
        pytest.skip("no fingerprint of it yet: --snapshot-update --bless REASON records one")
    repeats = REPEATS if blessing.updating else 0

    def traced(model: RegisteredModel) -> "Fingerprint":
        own = as_registered(model, run_request)
        with _progress(terminal, request.config) as progress:
            store = replace(model_store, progress=progress)
            compared = not blessing.updating
            return _result_or_skip(
                result_or_reason(lambda: placed_fingerprint(store, own, repeats, compared=compared))
            )

    return traced


def _progress(terminal: "Console", config: pytest.Config) -> "RunProgress":
    """Return the progress of a model, whose first line begins on a new one."""
    from benchmark.runs.progress import RunProgress

    if not terminal.quiet:
        _end_line(config)
    return RunProgress(terminal, named=True, interleaved=hasattr(config, "workerinput"))


def _end_line(config: pytest.Config) -> None:
    """End the line that pytest is writing; it begins another one for its next result."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if reporter:  # not in workers of xdist
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter.ensure_newline()
            reporter.flush()


def _result_or_skip(result: _Result | str) -> _Result:
    if isinstance(result, str):
        pytest.skip(shown(result))
    return result


@pytest.fixture
def blessing(request: pytest.FixtureRequest) -> "Blessing":
    """The permission to write fingerprints; fail if an update may not be written."""
    from benchmark.errors import SettingError
    from benchmark.pytest_plugin.snapshots.fingerprints import Blessing

    # Not by an environment variable: a pytest run inside a worker's test inherits that.
    parallel = hasattr(request.config, "workerinput")
    option = request.config.getoption
    updating = bool(option("--snapshot-update") or option("--snapshot-update-new-only", None))
    blessing = Blessing(option("--bless"), parallel, updating)
    if updating:
        try:
            blessing.check()  # before anything is measured
        except SettingError as error:
            raise pytest.fail.Exception(shown(error), pytrace=False) from None
    return blessing


@pytest.fixture
def fingerprints(
    snapshot: "SnapshotAssertion", blessing: "Blessing", request: pytest.FixtureRequest
) -> Callable[["Fingerprint"], "SnapshotAssertion"]:
    """Return the recorded fingerprint of the same kind of run, for an assertion.

    The comparison is added to the test's report.
    """
    from benchmark.pytest_plugin.snapshots.fingerprints import assert_matches, snapshot_of

    def recorded(record: "Fingerprint") -> "SnapshotAssertion":
        assert_matches(request.node, record, blessing)
        margin = options.margin(request.config, SAME_MARGIN)
        return snapshot_of(snapshot, record, blessing, margin)

    return recorded


@pytest.fixture(scope="session")
def real_tokenizer() -> Callable[[str], TransformersTokenizer]:
    """Load the tokenizer of a name in ``sources.toml``; skip the test if it is not fetched."""
    from benchmark.models.downloads import load_source_tokenizer, source

    @cache
    def load(name: str) -> TransformersTokenizer:
        tokenizer_source = source(name)
        if not tokenizer_source.present:
            pytest.skip(f"{name} is not fetched; get it with: {tokenizer_source.command}")
        return load_source_tokenizer(tokenizer_source)

    return load
