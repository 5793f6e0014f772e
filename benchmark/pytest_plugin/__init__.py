"""What the suite adds to pytest: options, models measured once, verdicts, skips with reasons.

pytest finds hooks and fixtures here by their names.
"""

from benchmark.pytest_plugin.fixtures import (
    REPEATS,
    Measure,
    Trace,
    blessing,
    fingerprints,
    measure,
    model_store,
    real_tokenizer,
    run_request,
    terminal,
    trace,
)
from benchmark.pytest_plugin.hooks import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
    pytest_xdist_make_scheduler,
    verdict_line,
)

__all__ = [
    "REPEATS",
    "Measure",
    "Trace",
    "blessing",
    "fingerprints",
    "measure",
    "model_store",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_terminal_summary",
    "pytest_xdist_make_scheduler",
    "real_tokenizer",
    "run_request",
    "terminal",
    "trace",
    "verdict_line",
]
