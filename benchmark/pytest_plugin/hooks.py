"""Options, the marker, who runs on which worker, and what the end of a run says."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.models.registry import load_registry
from benchmark.models.registry_types import Pair

if TYPE_CHECKING:
    from benchmark.hypotheses.pair_verdict import PairVerdict

_PROPERTY = "pair verdict"
_FALLBACK = "fingerprint stand-in"
"""As in benchmark.pytest_plugin.snapshots.fingerprints.

That imports more than an option parser should.
"""


SETTINGS_OF_PYTEST = ("protocol", "dtype", "batch_size", "max_new_tokens")
"""The settings of a run that have an option here, and the device; the registry has the rest."""


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
    group.addoption(
        "--bless", metavar="REASON", help="why --snapshot-update may change fingerprints"
    )
    group.addoption("--states", type=int, metavar="N", help="only the first N states")
    group.addoption("--data", type=Path, metavar="FILE", help="JSON lines or the original ZIP")
    group.addoption("--password", help="of the original ZIP")
    group.addoption(
        "--task", default="boxes", metavar="NAME", help="of docs/tasks.md (default: boxes)"
    )
    group.addoption("--protocol", default="default", help="default or paper (default: default)")
    group.addoption("--dtype", help="float32, bfloat16 or float16 (default: the protocol's)")
    group.addoption("--batch-size", type=int, metavar="N", help="(default: the protocol's)")
    group.addoption("--max-new-tokens", type=int, metavar="N", help="(default: the protocol's)")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "gpu: needs a CUDA GPU; skipped where there is none")


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where there is no GPU, with one clear reason."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not config.getoption("--device", None) and not _has_gpu():
        reason = "needs a CUDA GPU, and torch sees none here (--device cpu rehearses the cases)"
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep a file on one worker, of the pairs those that share models, a model's case by itself."""
    from xdist.scheduler import LoadScopeScheduling

    if config.getoption("dist") != "loadfile":
        return None  # whatever else was asked for
    known = load_registry(config.getoption("--registry"))
    group = known.pair_groups()

    class ByModels(LoadScopeScheduling):  # type: ignore[misc]  # xdist's types say Any
        def _split_scope(self, nodeid: str) -> str:
            parameter = nodeid.rpartition("[")[2].removesuffix("]")
            if parameter in known.models:
                return nodeid
            return group.get(parameter) or nodeid.partition("::")[0]

    return ByModels(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line a pair: what was measured, and whether its hypothesis holds."""
    reports = [r for group in terminalreporter.stats.values() for r in group]
    sections = {
        "pairs, at numops >= 1": _values(reports, _PROPERTY),
        "fingerprints held against other hardware's": sorted(set(_values(reports, _FALLBACK))),
    }
    for title, lines in sections.items():
        if lines:
            terminalreporter.section(title)
        for line in lines:
            terminalreporter.line(line)


def _values(reports: Sequence[object], wanted: str) -> list[str]:
    """The values that tests' calls gave a user property, in ascending order."""
    return sorted(
        str(value)
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == wanted and getattr(report, "when", "") == "call"
    )


def verdict_line(pair: Pair, verdict: "PairVerdict") -> tuple[str, str]:
    """The user property that ends in the summary."""
    return _PROPERTY, f"{pair.id:<32} {pair.hypothesis}: {verdict.words}"


def _has_gpu() -> bool:
    from benchmark.models.hardware import has_gpu

    return has_gpu()
