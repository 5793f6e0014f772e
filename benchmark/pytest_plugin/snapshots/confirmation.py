"""Record a new snapshot only if a second, fresh process gives it again.

A session with ``--snapshot-update`` writes its snapshots first. At its end another process runs the
tests that wrote them, with an empty model store: nothing is read from finished runs, and every
answer is decoded again. A snapshot that this process does not match is taken back: the old one is
restored, and the new one is kept next to it as ``NAME.candidate``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.location import PyTestLocation

_MATCHED = "ENTITY_TRACKING_MATCHED_SNAPSHOTS"
"""The variable that names the file in which the second process lists what it matched."""

CANDIDATE = ".candidate"

_MOST_IN_A_TEST = 10
"""The largest number of snapshots of one test."""

_OPTIONS = (
    *("--device", "--registry", "--states", "--data", "--password", "--task", "--protocol"),
    *("--engine", "--dtype", "--batch-size", "--max-new-tokens", "--margin", "--known-failures"),
)
"""The options of the plugin that decide what a test measures."""


@dataclass(frozen=True, slots=True)
class WrittenSnapshot:
    """A snapshot that this session wrote.

    Attributes:
        location: its file.
        extension: the class that wrote it.
        old: the earlier content of its files; None for a file that did not exist.
    """

    location: Path
    extension: type[AbstractSyrupyExtension]
    old: Mapping[Path, bytes | None]

    def take_back(self) -> Path:
        """Restore the earlier files; return the path of the candidate."""
        for path, content in self.old.items():
            path.replace(path.with_name(path.name + CANDIDATE))
            if content is not None:
                path.write_bytes(content)
        return self.location.with_name(self.location.name + CANDIDATE)


_written: list[WrittenSnapshot] = []


def remember(extension: type[AbstractSyrupyExtension], files: Sequence[Path]) -> None:
    """Remember a snapshot that is about to be written; ``files`` begin with its location."""
    old = {path: path.read_bytes() if path.is_file() else None for path in files}
    _written.append(WrittenSnapshot(files[0], extension, old))


def confirm(session: pytest.Session) -> list[str]:
    """Run the tests that wrote snapshots again; return a line per snapshot that is taken back."""
    written = [one for one in _written if one.location.is_relative_to(session.config.rootpath)]
    _written[:] = [one for one in _written if one not in written]
    if not written or session.config.getoption("--no-confirm"):
        return []
    tests = list(_tests(session, written))
    try:
        matched, why = _matched(session.config, tests)
    except BaseException:  # interrupted: nothing is confirmed
        for one in written:
            one.take_back()
        raise
    lines = []
    for one in written:
        if str(one.location) not in matched:
            candidate = one.take_back()
            lines.append(f"not recorded: a second process {why}; candidate: {candidate}")
    return lines


def report_matched(session: pytest.Session) -> None:
    """List the snapshots that matched, if another process asked for it."""
    if path := os.environ.get(_MATCHED):
        syrupy_session = getattr(session.config, "_syrupy", None)
        matched = syrupy_session.report.matched if syrupy_session else ()
        Path(path).write_text(json.dumps([one.location for one in matched]))


def _tests(session: pytest.Session, written: Sequence[WrittenSnapshot]) -> Iterator[str]:
    """Yield the node ids of the tests that wrote the snapshots."""
    for item in session.items:
        if "snapshot" not in getattr(item, "fixturenames", ()):
            continue
        location = PyTestLocation(item)
        if any(
            one.extension.get_location(test_location=location, index=index) == str(one.location)
            for one in written
            for index in range(_MOST_IN_A_TEST)
        ):
            yield item.nodeid


def _matched(config: pytest.Config, tests: Sequence[str]) -> tuple[set[str], str]:
    """Return the snapshots that a fresh process matches, and how it failed for the others."""
    if not tests:
        return set(), "has no such test"
    with TemporaryDirectory() as folder:
        matched = Path(folder) / "matched.json"
        options = [
            word
            for name in _OPTIONS
            if (value := config.getoption(name)) is not None
            for word in (name, str(value.absolute() if isinstance(value, Path) else value))
        ]
        plugins = [word for plugin in config.option.plugins or () for word in ("-p", plugin)]
        store = ["--model-store", str(Path(folder) / "store")]
        command = [sys.executable, "-m", "pytest", *plugins, *options, *store, "--rootdir"]
        done = subprocess.run(  # noqa: S603  # this interpreter, on the session's own tests
            [*command, str(config.rootpath), "-q", "--snapshot-no-cleanup", *tests],
            cwd=config.rootpath,
            env={**_environment(), _MATCHED: str(matched)},
            check=False,
            capture_output=True,
        )
        if matched.is_file():
            return set(json.loads(matched.read_text())), "gave another result"
        return set(), f"ended with exit status {done.returncode}"


def _environment() -> dict[str, str]:
    """Return the environment without what belongs to this session of pytest."""
    own = ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_XDIST")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}
