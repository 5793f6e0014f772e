"""Which commit of the project made a record: the one whose files have the digests it holds.

A record holds a digest of every file of the project (``Record.code``). They say more than the name
of a commit would: a snapshot is recorded before it is committed, when its commit has no name yet.
"""

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.errors import SettingError
from benchmark.runs.environment import CODE

_PACKAGE = "benchmark"


def commit_of(code: Mapping[str, str], repository: Path, at_most: int = 1000) -> str:
    """The newest commit whose package has exactly the files that the record was made with.

    Raises:
        SettingError: when no commit has; it names the nearest and how many files differ.
    """
    known = dict[str, str]()
    nearest, least = "", len(code) + 1
    for commit in _git(repository, "rev-list", f"-n{at_most}", "HEAD", "--", _PACKAGE).split():
        files = _digests(repository, commit, known)
        names = files.keys() | code.keys()
        differ = sum(files.get(name) != code.get(name) for name in names)
        if differ == 0:
            return commit
        if differ < least:
            nearest, least = commit, differ
    raise SettingError(
        f"{repository}: no commit has the code that the record was made with; the nearest is "
        f"{nearest[:10] or 'none'}, {least} files differ; give one with --commit"
    )


@contextmanager
def worktree(repository: Path, commit: str) -> Iterator[Path]:
    """A folder with the project as it was in that commit, gone afterwards.

    Raises:
        SettingError: when git has no such commit.
    """
    with TemporaryDirectory() as parent:
        folder = Path(parent) / "project"
        _git(repository, "worktree", "add", "--detach", "--quiet", str(folder), commit)
        try:
            yield folder
        finally:
            _git(repository, "worktree", "remove", "--force", str(folder))


def _digests(repository: Path, commit: str, known: dict[str, str]) -> dict[str, str]:
    """Of each file of the package, by its path in it; ``known`` are those by git's own names."""
    listed = _git(repository, "ls-tree", "-r", "-z", commit, "--", _PACKAGE).split("\0")
    # A line is "mode type name<TAB>path".
    pairs = (line.split(maxsplit=2)[2].split("\t", 1) for line in listed if line)
    wanted = {path: blob for blob, path in pairs if Path(path).suffix in CODE}
    for blob in wanted.values():
        if blob not in known:
            content = _bytes(repository, "cat-file", "blob", blob)
            known[blob] = hashlib.sha256(content).hexdigest()[:12]
    return {path.removeprefix(f"{_PACKAGE}/"): known[blob] for path, blob in wanted.items()}


def _git(repository: Path, *arguments: str) -> str:
    return _bytes(repository, *arguments).decode(errors="replace")


def _bytes(repository: Path, *arguments: str) -> bytes:
    try:
        # Our own words, and names that git itself gave or checks.
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(repository), *arguments],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise SettingError("git is not installed, and old code is taken from it") from error
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["failed"])[-1]
        raise SettingError(f"{repository}: git {arguments[0]}: {reason}")
    return done.stdout
