"""Hooks: the marker, the outcomes for syrupy, the scheduling under xdist, the summary."""

from collections.abc import Generator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import pytest

from benchmark.lifetime import end_with_parent, keep_child_statuses
from benchmark.models.registry import load_registry
from benchmark.models.registry_types import Pair
from benchmark.pytest_plugin.options import check_options
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


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` if there is no GPU, except those that ``--device`` applies to."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or _has_gpu():
        return
    rehearsed = bool(config.getoption("--device"))
    for item in marked:
        applies = _REQUEST in getattr(item, "fixturenames", ())
        if not (rehearsed and applies):
            hint = "--device=cpu rehearses it" if applies else "--device does not apply to it"
            reason = f"needs a CUDA GPU, and torch sees none here ({hint})"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell syrupy the outcome of a test: the snapshots of a skipped one count as used.

    syrupy itself tells it to the session that started last in this process. That is another one as
    soon as a test has run pytest in its own process (``pytester.runpytest_inprocess``).
    """
    report = yield
    session = getattr(item.config, "_syrupy", None)  # missing with -p no:syrupy
    if session and report.when != "teardown":
        session.ran_item(report.nodeid, report.outcome)
    return report


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep each file on one worker, except that pairs are grouped by the models they share."""
    from xdist.scheduler import LoadScopeScheduling

    if config.getoption("dist") != "loadfile":
        return None
    registry = load_registry(config.getoption("--registry"))
    group = registry.pair_groups()

    class ByModels(LoadScopeScheduling):  # type: ignore[misc]  # xdist's types say Any
        def _split_scope(self, nodeid: str) -> str:
            parameter = nodeid.rpartition("[")[2].removesuffix("]")
            if parameter in registry.models:
                return nodeid
            return group.get(parameter) or nodeid.partition("::")[0]

    return ByModels(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per pair with its verdict, and the fingerprints of other hardware."""
    reports = [r for group in terminalreporter.stats.values() for r in group]
    sections = {
        "pairs, at numops >= 1": _values(reports, _PROPERTY),
        "fingerprints compared with other hardware's": sorted(set(_values(reports, _FALLBACK))),
    }
    for title, lines in sections.items():
        if lines:
            terminalreporter.section(title)
        for part in (
            part for line in lines for part in wrap(shown(line), _WIDTH, subsequent_indent="    ")
        ):
            terminalreporter.line(part)


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
    return _PROPERTY, f"{pair.id:<32} {pair.hypothesis}: {verdict.words}"


def _has_gpu() -> bool:
    from benchmark.models.hardware import has_gpu

    return has_gpu()
