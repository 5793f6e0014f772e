"""The pytest plugin: options, fixtures, the marker ``gpu`` and the terminal summary.

pytest finds the hooks and fixtures here by their names. This project's root ``conftest.py`` loads
it; another project does with ``-p benchmark.pytest_plugin``.
"""

from benchmark.pytest_plugin.fixtures import (
    REPEATS,
    Measure,
    MeasurePair,
    Trace,
    blessing,
    fingerprints,
    measure,
    measure_pair,
    model_store,
    real_tokenizer,
    run_request,
    terminal,
    trace,
)
from benchmark.pytest_plugin.hooks import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    pytest_xdist_make_scheduler,
    verdict_line,
)
from benchmark.pytest_plugin.options import pytest_addoption
from benchmark.pytest_plugin.pooled import keep_results

__all__ = [
    "REPEATS",
    "Measure",
    "MeasurePair",
    "Trace",
    "blessing",
    "fingerprints",
    "keep_results",
    "measure",
    "measure_pair",
    "model_store",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_xdist_make_scheduler",
    "real_tokenizer",
    "run_request",
    "terminal",
    "trace",
    "verdict_line",
]
