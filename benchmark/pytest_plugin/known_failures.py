"""Known failures: tests that are listed with a reason, and must then fail.

The list is a TOML file, ``known_failures.toml`` next to the project's ``pyproject.toml`` or that of
``--known-failures``::

    [[failures]]
    test = "tests/reproduction/test_pairs.py::test_pair[math-llama-7b]"
    reason = "FLoat loses at numops >= 1 on this set"

A listed test that passes is a failure, so that the list is shortened when a failure is mended. One
that is skipped is not checked, and the end of the run says so. An entry that matches no test is an
error: at once if its file is collected, at the end of a run of all tests otherwise.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from pydantic import Field

from benchmark.errors import BenchmarkError
from benchmark.models.validation import Entry, Items, validate
from benchmark.pytest_plugin.shown import shown
from benchmark.reading.documents import read_toml

DEFAULT = "known_failures.toml"

_UNMATCHED = pytest.StashKey[dict[str, None]]()
"""The listed tests that were not collected, in the order of the list."""

_OUTPUT = "known failures without a test"
"""The key of the same in the output of a worker of xdist."""

_FAILURES = (AssertionError, pytest.fail.Exception)
"""What counts as the known failure; an error of another kind does not."""


class KnownFailure(Entry):
    """A test that is known to fail, by its node id, and why."""

    test: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class KnownFailures(Entry):
    """The content of the file."""

    failures: Items[KnownFailure]


def mark(session: pytest.Session, items: Sequence[pytest.Item]) -> None:
    """Mark the listed tests as failures that are expected, and keep those that are missing.

    Raises:
        pytest.UsageError: for a list that cannot be read, and a listed test that its file does not
            have.
    """
    config = session.config
    try:
        failures = _listed(config)
    except BenchmarkError as error:
        raise pytest.UsageError(shown(" ".join(str(error).split()))) from None
    by_id = {item.nodeid: item for item in items}
    selected = any("::" in argument for argument in config.args)
    files = {item.nodeid.partition("::")[0] for item in items}
    missing = list[str]()
    for failure in failures:
        if item := by_id.get(failure.test):
            known = pytest.mark.xfail(reason=failure.reason, strict=True, raises=_FAILURES)
            item.add_marker(known)
        elif failure.test.partition("::")[0] in files and not selected:
            raise pytest.UsageError(shown(f"known failures: there is no test {failure.test}"))
        elif not session.testsfailed:  # else a file that failed to import may have it
            missing.append(failure.test)
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OUTPUT] = missing
    else:
        config.stash[_UNMATCHED] = dict.fromkeys(missing)


def take_from_worker(config: pytest.Config, output: Mapping[str, object]) -> None:
    """Keep what a worker of xdist has not collected; all of them collect the same tests."""
    missing = output.get(_OUTPUT)
    if isinstance(missing, list):
        config.stash.setdefault(_UNMATCHED, {}).update(dict.fromkeys(map(str, missing)))


def unmatched(config: pytest.Config) -> list[str]:
    """Return the listed tests that a run of all tests has not collected; none of other runs."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    if named or any(config.getoption(name, None) for name in ("ignore", "ignore_glob", "lf")):
        return []
    missing: dict[str, None] = config.stash.get(_UNMATCHED, {})
    return list(missing)


def summary(config: pytest.Config, skipped: Sequence[object]) -> Iterator[str]:
    """Yield a line per entry without a test, and per listed test that was skipped."""
    for test in unmatched(config):
        yield f"ERROR: {test}: listed, but there is no such test; mend or remove the entry"
    if not skipped:
        return
    listed = {failure.test for failure in _listed(config)}
    for test in dict.fromkeys(getattr(report, "nodeid", "") for report in skipped):
        if test in listed:
            yield f"{test}: skipped, so whether it still fails is not checked"


def _listed(config: pytest.Config) -> tuple[KnownFailure, ...]:
    """Return the listed failures; none without a file."""
    named: Path | None = config.getoption("--known-failures")
    path = named or config.rootpath / DEFAULT
    if named is None and not path.is_file():
        return ()
    return tuple(validate(KnownFailures, read_toml(path), str(path)).failures)
