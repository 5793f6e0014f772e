"""Find the commit that made a record, by the digests of the project's files.

A record holds a digest of every file of the project (``Fingerprint.code``) and no commit hash: a
snapshot is recorded before it is committed, when its commit does not exist yet.
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
    """Return the newest commit whose package has exactly the files that made the record.

    Args:
        code: the record's digests, by the file's path in the package.
        repository: the folder of the git repository.
        at_most: the number of commits to look at.

    Raises:
        SettingError: if there is none; the error names the nearest commit.
    """
    blob_digests = dict[str, str]()
    nearest, least = "", len(code) + 1
    for commit in _git(repository, "rev-list", f"-n{at_most}", "HEAD", "--", _PACKAGE).split():
        files = _digests(repository, commit, blob_digests)
        names = files.keys() | code.keys()
        differ = sum(files.get(name) != code.get(name) for name in names)
        if differ == 0:
            return commit
        if differ < least:
            nearest, least = commit, differ
    raise SettingError(
        f"{repository}: no commit has the code that made the record; the nearest is "
        f"{nearest[:10] or 'none'}, where {least} files differ; name one with --commit"
    )


@contextmanager
def worktree(repository: Path, commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, which is removed afterwards.

    Raises:
        SettingError: if git has no such commit.
    """
    with TemporaryDirectory() as parent:
        folder = Path(parent) / "project"
        _git(repository, "worktree", "add", "--detach", "--quiet", str(folder), commit)
        try:
            yield folder
        finally:
            _git(repository, "worktree", "remove", "--force", str(folder))


def _digests(repository: Path, commit: str, blob_digests: dict[str, str]) -> dict[str, str]:
    """Return the digest of each file of the package; ``blob_digests`` caches them by blob."""
    listed = _git(repository, "ls-tree", "-r", "-z", commit, "--", _PACKAGE).split("\0")
    # A line is "mode type name<TAB>path".
    pairs = (line.split(maxsplit=2)[2].split("\t", 1) for line in listed if line)
    blobs = {path: blob for blob, path in pairs if Path(path).suffix in CODE}
    for blob in blobs.values():
        if blob not in blob_digests:
            content = _bytes(repository, "cat-file", "blob", blob)
            blob_digests[blob] = hashlib.sha256(content).hexdigest()[:12]
    return {path.removeprefix(f"{_PACKAGE}/"): blob_digests[blob] for path, blob in blobs.items()}


def _git(repository: Path, *arguments: str) -> str:
    return _bytes(repository, *arguments).decode(errors="replace")


def _bytes(repository: Path, *arguments: str) -> bytes:
    try:
        # Arguments of our own, and names that come from git or are checked by it.
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(repository), *arguments],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise SettingError("git is not installed; install it to run old code") from error
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["failed"])[-1]
        raise SettingError(f"{repository}: git {arguments[0]}: {reason}")
    return done.stdout
