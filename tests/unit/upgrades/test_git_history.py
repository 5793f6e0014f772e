"""Find the commit of a record's code, in a repository made by the tests."""

from hashlib import sha256
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.upgrades.git_history import commit_of, worktree
from fakes.git import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits of a package: a file, then a second file, then a text that is not code."""
    git(tmp_path, "init", "-q")
    (tmp_path / "benchmark" / "a b").mkdir(parents=True)
    for number, (name, content) in enumerate(
        [("one.py", "1"), ("a b/two.toml", "x = 2"), ("notes.md", "3")]
    ):
        (tmp_path / "benchmark" / name).write_text(content)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", str(number))
    return tmp_path


def _code(**files: str) -> dict[str, str]:
    return {name: sha256(content.encode()).hexdigest()[:12] for name, content in files.items()}


def test_commit_is_found_by_its_files(repository: Path) -> None:
    """The newest commit with these files is found; files that are not code do not count."""
    first, last = git(repository, "rev-list", "--reverse", "HEAD").split()[::2]
    assert commit_of(_code(**{"one.py": "1"}), repository) == first
    assert commit_of(_code(**{"one.py": "1", "a b/two.toml": "x = 2"}), repository) == last


def test_code_without_a_commit(repository: Path) -> None:
    """The error names the nearest commit and the number of differing files."""
    with pytest.raises(SettingError, match=r"the nearest is \w{10}, where 1 files differ"):
        commit_of(_code(**{"one.py": "1", "a b/two.toml": "changed"}), repository)


def test_worktree_has_the_old_files(repository: Path) -> None:
    """The worktree is removed afterwards, also from git's list."""
    first = git(repository, "rev-list", "--reverse", "HEAD").split()[0]
    with worktree(repository, first) as folder:
        assert [path.name for path in (folder / "benchmark").iterdir()] == ["one.py"]
    assert not folder.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_missing_commit(repository: Path, tmp_path: Path) -> None:
    """The error is git's own, in one line."""
    with pytest.raises(SettingError, match="git worktree"), worktree(repository, "f" * 40):
        pass
