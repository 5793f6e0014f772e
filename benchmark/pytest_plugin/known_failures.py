"""Known failures: tests that are listed with a reason, and must then fail.

The list is a TOML file, ``known_failures.toml`` next to the project's ``pyproject.toml`` or that of
``--known-failures``::

    [[failures]]
    test = "tests/reproduction/test_pairs.py::test_pair[math-llama-7b]"
    reason = "FLoat loses at numops >= 1 on this set"

A listed test that passes is a failure, so that the list is shortened when a failure is mended.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import Field

from benchmark.errors import BenchmarkError
from benchmark.models.validation import Entry, Items, validate
from benchmark.pytest_plugin.shown import shown
from benchmark.reading.documents import read_toml

DEFAULT = "known_failures.toml"

_FAILURES = (AssertionError, pytest.fail.Exception)
"""What counts as the known failure; an error of another kind does not."""


class KnownFailure(Entry):
    """A test that is known to fail, by its node id, and why."""

    test: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class KnownFailures(Entry):
    """The content of the file."""

    failures: Items[KnownFailure]


def mark(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Mark the listed tests as failures that are expected.

    Raises:
        pytest.UsageError: for a list that cannot be read, and a listed test that its file does not
            have.
    """
    try:
        failures = _listed(config)
    except BenchmarkError as error:
        raise pytest.UsageError(shown(" ".join(str(error).split()))) from None
    by_id = {item.nodeid: item for item in items}
    selected = any("::" in argument for argument in config.args)
    files = {item.nodeid.partition("::")[0] for item in items}
    for failure in failures:
        if item := by_id.get(failure.test):
            known = pytest.mark.xfail(reason=failure.reason, strict=True, raises=_FAILURES)
            item.add_marker(known)
        elif failure.test.partition("::")[0] in files and not selected:
            raise pytest.UsageError(shown(f"known failures: there is no test {failure.test}"))


def _listed(config: pytest.Config) -> tuple[KnownFailure, ...]:
    """Return the listed failures; none without a file."""
    named: Path | None = config.getoption("--known-failures")
    path = named or config.rootpath / DEFAULT
    if named is None and not path.is_file():
        return ()
    return tuple(validate(KnownFailures, read_toml(path), str(path)).failures)
