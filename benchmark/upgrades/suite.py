"""The test suite run in another environment, and which of its tests failed there."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from benchmark.upgrades.findings import SuiteResult
from benchmark.upgrades.probes import steady
from benchmark.upgrades.venv_overlays import Maker, NotInstallableError, project_root, python_path

_SHOWN = 200
"""So many characters of a failure's first line are kept."""


def run_suite(maker: Maker, requirements: Sequence[str], tests: Sequence[Path]) -> SuiteResult:
    """Run those tests that need no GPU in the environment with these libraries.

    What pytest prints goes where this process prints. An environment that cannot be made is how the
    suite ended, and no error: the probes have said so too.
    """
    try:
        python = maker.make(requirements).python
    except NotInstallableError as error:
        return SuiteResult(ended=f"cannot be installed: {error}")
    with TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [str(python), "-m", "pytest", "-q", "-m", "not gpu", "-p", "no:cacheprovider"]
        command += ["--junit-xml", str(results), *map(str, tests)]
        variables = {**os.environ, **steady(), **python_path(project_root())}
        # An interpreter that we made, and the user's own tests.
        done = subprocess.run(command, env=variables, check=False)  # noqa: S603
        return _suite(results, done.returncode)


def _suite(results: Path, status: int) -> SuiteResult:
    if not results.is_file():
        return SuiteResult(ended=f"exit status {status}, and no test ran")
    # What pytest has just written for us.
    cases = list(ET.parse(results).getroot().iter("testcase"))  # noqa: S314
    failed = tuple((_name(case), why) for case in cases if (why := _why(case)) is not None)
    skipped = sum(case.find("skipped") is not None for case in cases)
    # Snapshots that no test uses any more, or an error outside of the tests.
    ended = f"exit status {status}, though no test failed" if status and not failed else None
    return SuiteResult(len(cases) - len(failed) - skipped, failed, ended)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _why(case: ET.Element) -> str | None:
    """The first line of a failure or error; None for a test that had neither."""
    found = (case.find(name) for name in ("failure", "error"))
    first = next((each for each in found if each is not None), None)
    if first is None:
        return None
    return (first.get("message", "").strip().splitlines() or [""])[0][:_SHOWN]
