"""Run the test suite in another environment, and collect the tests that failed."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from benchmark.lifetime import run_tied
from benchmark.package_data import package_parent
from benchmark.upgrades.findings import SuiteResult
from benchmark.upgrades.probes import fixed_variables
from benchmark.upgrades.venv_overlays import (
    EnvironmentBuilder,
    NotInstallableError,
    python_path,
)

_SHOWN = 200
"""The number of characters kept of a failure's first line."""


def run_suite(
    builder: EnvironmentBuilder, requirements: Sequence[str], tests: Sequence[Path]
) -> SuiteResult:
    """Run the tests that need no GPU in the environment with these requirements.

    Pytest prints to standard error, since standard output is for the result. An environment that
    cannot be installed or run is part of the result and raises nothing: the probes report it too.
    """
    try:
        environment = builder.build(requirements)
    except NotInstallableError as error:
        return SuiteResult(ended=f"cannot be installed: {error}")
    if environment.unmet:
        return SuiteResult(ended=f"cannot run: {'; '.join(environment.unmet)}")
    with TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [
            str(environment.python),
            "-m",
            "pytest",
            "-q",
            "-m",
            "not gpu",
            "-p",
            "no:cacheprovider",
        ]
        command += ["--junit-xml", str(results), *map(str, tests)]
        own = {**fixed_variables(), **python_path(package_parent()), **environment.variables}
        variables = {**os.environ, **own}
        # The interpreter of our own environment, and the user's tests.
        done = run_tied(command, environment=variables, capture=False)
        return _suite_result(results, done.returncode)


def _suite_result(results: Path, status: int) -> SuiteResult:
    if not results.is_file():
        return SuiteResult(ended=f"exit status {status}, and no test ran")
    # Pytest has just written this file for us.
    cases = list(ET.parse(results).getroot().iter("testcase"))  # noqa: S314
    failures = ((_name(case), _failure(case)) for case in cases)
    failed = tuple((name, failure) for name, failure in failures if failure is not None)
    skipped = sum(case.find("skipped") is not None for case in cases)
    # Unused snapshots, or an error outside the tests.
    ended = f"exit status {status}, though no test failed" if status and not failed else None
    return SuiteResult(len(cases) - len(failed) - skipped, failed, ended)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _failure(case: ET.Element) -> str | None:
    """Return the first line of a test's failure or error; None if it had neither."""
    elements = (case.find(name) for name in ("failure", "error"))
    first = next((element for element in elements if element is not None), None)
    if first is None:
        return None
    return (first.get("message", "").strip().splitlines() or [""])[0][:_SHOWN]
