"""Hooks: the marker, the outcomes for syrupy, the scheduling under xdist, the summary."""

import sys
from collections.abc import Generator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.lifetime import end_with_parent, keep_child_statuses
from benchmark.models.registry import load_registry
from benchmark.models.registry_types import Pair, RegisteredModel, Registry
from benchmark.pytest_plugin import known_failures
from benchmark.pytest_plugin.options import check_options
from benchmark.pytest_plugin.pooled import attach, pooled_effects
from benchmark.pytest_plugin.shown import shown

_REQUEST = "run_request"
"""The fixture that the options are read by: tests that use it run on the device of ``--device``."""

if TYPE_CHECKING:
    from benchmark.hypotheses.pair_verdict import PairVerdict

_WIDTH = 80
_PROPERTY = "pair verdict"
_FALLBACK = "fingerprint stand-in"
"""The same name as in benchmark.pytest_plugin.snapshots.fingerprints, which is slow to import."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse options that cannot be carried out."""
    keep_child_statuses()
    config.addinivalue_line("markers", "gpu: needs a CUDA GPU; skipped without one")
    if hasattr(config, "workerinput"):  # a worker, whose controller has checked the options
        end_with_parent()
    else:
        check_options(config)


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip tests marked ``gpu`` if there is no GPU, except those that ``--device`` applies to.

    Workers of xdist begin with the largest models, which decide when the last one ends.
    """
    known_failures.mark(session, items)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and hasattr(config, "workerinput"):
        registry = load_registry(config.getoption("--registry"))
        items.sort(key=lambda item: -_billions(_models(item.nodeid, registry)))
    rehearsed = bool(config.getoption("--device"))
    on_gpu = [item for item in marked if not (rehearsed and _applies_device(item))]
    if not on_gpu or _has_gpu():  # torch is imported only if it is to be asked
        return
    missing = _missing_gpu()
    for item in on_gpu:
        applies = _applies_device(item)
        hint = "--device=cpu rehearses it" if applies else "--device does not apply to it"
        reason = f"needs a CUDA GPU, and torch sees none here ({hint}): {missing}"
        item.add_marker(pytest.mark.skip(reason=shown(reason)))


def _applies_device(item: pytest.Item) -> bool:
    """Return whether ``--device`` decides where a test runs."""
    return _REQUEST in getattr(item, "fixturenames", ())


_CONFIRMATION = "benchmark.pytest_plugin.snapshots.confirmation"
_WAS_SKIPPED = pytest.StashKey[bool]()
_UNRECORDED = pytest.StashKey[list[str]]()


@pytest.hookimpl(trylast=True)  # after syrupy, which writes snapshots and makes its report
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Run the tests that wrote snapshots again in a fresh process; record what it gives again.

    Fail if a known failure is listed that there is no test of.
    """
    if known_failures.unmatched(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    confirmation = sys.modules.get(_CONFIRMATION)
    if confirmation is None or hasattr(session.config, "workerinput"):
        return  # no test has used a snapshot of the plugin
    confirmation.report_matched(session)
    if lines := confirmation.confirm(session):
        session.config.stash[_UNRECORDED] = lines
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test with ``--require-all``, and tell syrupy the outcome of a test.

    With ``--no-confirm``, record the snapshots that it wrote.

    The snapshots of a skipped one count as used.

    syrupy itself tells it to the session that started last in this process. That is another one as
    soon as a test has run pytest in its own process (``pytester.runpytest_inprocess``).
    """
    report = yield
    attach(item, report)
    if report.outcome == "skipped":
        item.stash[_WAS_SKIPPED] = True
    if item.config.getoption("--require-all"):
        _fail_if_skipped(report)
    session = getattr(item.config, "_syrupy", None)  # missing with -p no:syrupy
    if session and item.stash.get(_WAS_SKIPPED, False):
        # Also with --require-all, and after syrupy was told that the test failed: otherwise
        # --snapshot-update would delete its snapshots.
        session.ran_item(report.nodeid, "skipped")
    elif session and report.when != "teardown":
        session.ran_item(report.nodeid, report.outcome)
    if report.when == "teardown" and item.config.getoption("--no-confirm"):
        _record(item.config)
    return report


def _record(config: pytest.Config) -> None:
    """Record what a test wrote, if it used a snapshot of the plugin."""
    if confirmation := sys.modules.get(_CONFIRMATION):
        confirmation.record(config.rootpath)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that is skipped as a whole, with ``--require-all``."""
    report = yield
    if collector.config.getoption("--require-all"):
        _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with its reason; a failure that is expected stays one."""
    if report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"--require-all: {shown(text).removeprefix('Skipped: ')}"


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401  # xdist's types say Any
    """Take over which known failures a worker has no test of."""
    known_failures.take_from_worker(node.config, getattr(node, "workeroutput", {}))


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep each file on one worker, except that pairs and models are distributed one by one.

    Pairs that share a model need not wait for each other: see the fixture ``measure_pair``.
    """
    from xdist.scheduler import LoadScopeScheduling

    if config.getoption("dist") != "loadfile":
        return None
    # xdist would begin with the files of most tests, and not with the largest models.
    config.option.loadscopereorder = False
    registry = load_registry(config.getoption("--registry"))

    class OneByOne(LoadScopeScheduling):  # type: ignore[misc]  # xdist's types say Any
        def _split_scope(self, nodeid: str) -> str:
            alone = _models(nodeid, registry)
            return nodeid if alone else nodeid.partition("::")[0]

    return OneByOne(config, log)


def _models(nodeid: str, registry: Registry) -> tuple[RegisteredModel, ...]:
    """Return the models of a case of a pair or of a model, by its parameter; of others none."""
    parameter = nodeid.rpartition("[")[2].removesuffix("]")
    if parameter in registry.models:
        return (registry.models[parameter],)
    if pair := registry.pairs.get(parameter):
        return registry.models[pair.base], registry.models[pair.variant]
    return ()


def _billions(models: Sequence[RegisteredModel]) -> float:
    """Return the size of the largest model in 10^9 parameters; 0 without models."""
    return max((model.billions for model in models), default=0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per pair, the pooled effects, and what concerns snapshots."""
    reports = [r for group in terminalreporter.stats.values() for r in group]
    config = terminalreporter.config
    registry = load_registry(config.getoption("--registry"))
    sections = {
        "pairs, at numops >= 1": _verdicts(reports),
        "pooled effects": [*pooled_effects(reports, registry)],
        "fingerprints compared with other hardware's": sorted(set(_values(reports, _FALLBACK))),
        "snapshots": config.stash.get(_UNRECORDED, []),
        "known failures": [
            *known_failures.summary(config, terminalreporter.stats.get("skipped", ()))
        ],
    }
    for title, lines in sections.items():
        if lines:
            terminalreporter.section(title)
        for part in (
            part for line in lines for part in wrap(shown(line), _WIDTH, subsequent_indent="    ")
        ):
            terminalreporter.line(part)


def _verdicts(reports: Sequence[object]) -> list[str]:
    """Return the lines of the pairs, and what their p-values are if there are several."""
    lines = _values(reports, _PROPERTY)
    if len(lines) <= 1:
        return lines
    from benchmark.reproduction.summary import P_NOTE

    return [*lines, P_NOTE]


def _values(reports: Sequence[object], property_name: str) -> list[str]:
    """Return the sorted values of a user property of the tests."""
    return sorted(
        str(value)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == property_name and getattr(report, "when", "") == "call"
    )


def verdict_line(pair: Pair, verdict: "PairVerdict") -> tuple[str, str]:
    """Return the user property that the summary prints."""
    from benchmark.reproduction.summary import verdict_words

    return _PROPERTY, verdict_words(pair, verdict)


def _has_gpu() -> bool:
    from benchmark.models.gpus import has_gpu

    return has_gpu()


def _missing_gpu() -> str:
    from benchmark.models.gpus import missing_gpu

    return missing_gpu()
