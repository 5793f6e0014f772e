"""Record a new snapshot only if a second, fresh process gives it again.

A session with ``--snapshot-update`` writes each new snapshot to a hidden file next to its place,
``.NAME``. At the end of the session another process runs the tests that wrote them, with an empty
model store: nothing is read from finished runs, and every answer is decoded again. This process
compares with the hidden files. Those that it matches are moved to their places. The others are kept
as ``NAME.candidate``, and their places are as before. So an end of the session at any moment, also
by SIGKILL, leaves the old snapshots; what it leaves of the new ones is hidden.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from benchmark.lifetime import tied
from benchmark.pytest_plugin.options import deciding_options

_FOLDER = "ENTITY_TRACKING_CONFIRMATION"
"""The variable that names the folder in which the two processes tell each other about snapshots."""

_WRITTEN, _MATCHED = "written.json", "matched.json"
"""The files in it: what the first process wrote, and what the second one matched."""

CANDIDATE = ".candidate"

_SUMMARY = " short test summary info "
_OUTCOMES = ("FAILED ", "ERROR ", "SKIPPED ")
"""The title of pytest's short summary, and how its lines begin."""

_LONGEST_NAME = 255
"""The largest length of the name of a file, which syrupy uses in full."""


class SnapshotFiles(Protocol):
    """An extension whose snapshots are confirmed."""

    @classmethod
    def files_of(cls, location: Path) -> list[Path]:
        """Return the files of a snapshot, its own first."""

    @classmethod
    def move(cls, source: Path, location: Path) -> None:
        """Move a snapshot to its place, where it replaces an older one."""


_written: dict[Path, type[SnapshotFiles]] = {}
"""The snapshots that await a confirmation: their places, and the classes that wrote them."""


def unconfirmed(location: Path) -> Path:
    """Return the path of a snapshot that is not confirmed yet."""
    return location.with_name(f".{location.name[1 - _LONGEST_NAME :]}")


def await_confirmation(extension: type[SnapshotFiles], location: Path) -> None:
    """Remember that the session has written the unconfirmed snapshot of this place."""
    _written[location] = extension


def place(location: Path) -> Path:
    """Return where a snapshot is read: a second process reads the unconfirmed one."""
    return unconfirmed(location) if str(location) in _written_by_first_process() else location


@cache
def _written_by_first_process() -> Collection[str]:
    folder = os.environ.get(_FOLDER)
    return {*json.loads((Path(folder) / _WRITTEN).read_text())} if folder else set()


def record(root: Path) -> None:
    """Move the snapshots of a project that were written to their places, without a confirmation."""
    for location, extension in _take(root).items():
        extension.move(unconfirmed(location), location)


def confirm(session: pytest.Session) -> list[str]:
    """Run the tests that wrote snapshots again; return which are not recorded, and why."""
    written = _take(session.config.rootpath)
    if not written:
        return []
    matched, why, reasons = set[str](), "was interrupted", list[str]()
    lines = []
    try:
        matched, why, reasons = _matched(session, list(written))
    finally:
        for location, extension in written.items():
            if str(location) in matched:
                extension.move(unconfirmed(location), location)
            else:
                candidate = _keep_candidate(extension, location)
                lines.append(f"not recorded: a second process {why}; candidate: {candidate}")
    return [*lines, *reasons] if lines else []


def report_matched(session: pytest.Session) -> None:
    """List the snapshots that matched, if another process asked for it."""
    if folder := os.environ.get(_FOLDER):
        syrupy_session = getattr(session.config, "_syrupy", None)
        matched = syrupy_session.report.matched if syrupy_session else ()
        names = json.dumps([collection.location for collection in matched])
        (Path(folder) / _MATCHED).write_text(names)


def _take(root: Path) -> dict[Path, type[SnapshotFiles]]:
    """Return the snapshots of a project that await a confirmation, and forget them.

    A test may run pytest in its own process, on a project of its own.
    """
    taken = {path: extension for path, extension in _written.items() if path.is_relative_to(root)}
    for location in taken:
        del _written[location]
    return taken


def _keep_candidate(extension: type[SnapshotFiles], location: Path) -> Path:
    """Keep an unconfirmed snapshot under a name that is not hidden; return its path."""
    for file, own in zip(
        extension.files_of(unconfirmed(location)), extension.files_of(location), strict=True
    ):
        file.replace(_candidate(own))
    return _candidate(location)


def _candidate(path: Path) -> Path:
    return path.with_name(path.name[: _LONGEST_NAME - len(CANDIDATE)] + CANDIDATE)


def _tests(session: pytest.Session, written: Sequence[Path]) -> list[str]:
    """Return the node ids of the tests that wrote these snapshots, by any name or index."""
    locations = {str(location) for location in written}
    syrupy_session = getattr(session.config, "_syrupy", None)
    assertions = syrupy_session.report.assertions if syrupy_session else ()
    results = (result for one in assertions for result in one.executions.values())
    ids = (r.test_location.nodeid for r in results if r.snapshot_location in locations)
    return list(dict.fromkeys(ids))


def _matched(session: pytest.Session, written: Sequence[Path]) -> tuple[set[str], str, list[str]]:
    """Return the snapshots that a fresh process matches.

    Returns:
        The snapshots, how the process failed for the others, and what it says of their tests.
    """
    config, tests = session.config, _tests(session, written)
    with TemporaryDirectory() as folder:
        (Path(folder) / _WRITTEN).write_text(json.dumps([*map(str, written)]))
        plugins = [word for plugin in config.option.plugins or () for word in ("-p", plugin)]
        options = [*deciding_options(config), "--model-store", str(Path(folder) / "store")]
        command = [sys.executable, "-m", "pytest", *plugins, *options, "--rootdir"]
        command += [str(config.rootpath), "-q", "-rfEs", "--snapshot-no-cleanup", *tests]
        done = subprocess.run(  # noqa: S603  # this interpreter, on the session's own tests
            tied(command),
            cwd=config.rootpath,
            env={**_environment(), _FOLDER: folder},
            check=False,
            capture_output=True,
        )
        matched = Path(folder) / _MATCHED
        reasons = _reasons(done.stdout.decode(errors="replace"))
        if matched.is_file():
            return {*json.loads(matched.read_text())}, "gave another result", reasons
        error = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return set(), f"ended with exit status {done.returncode}", reasons or error


def _reasons(output: str) -> list[str]:
    """Return the lines of pytest's short summary: a line per test that failed or was skipped."""
    summary = output.rpartition(_SUMMARY)[2].splitlines() if _SUMMARY in output else []
    return [line for line in summary if line.startswith(_OUTCOMES)]


def _environment() -> dict[str, str]:
    """Return the environment without what belongs to this session of pytest."""
    own = ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_XDIST")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}
