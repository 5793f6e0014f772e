"""Lock files, on file systems with and without locks."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.controls.recipe import read_recipe
from benchmark.controls.train import ControlTrainer
from benchmark.locking import LockHeldError, NoLocksError, locked, locked_if_possible
from benchmark.runs.store.gpu_leases import GpuLeases
from benchmark.upgrades.venv_overlays import VenvOverlays
from fakes.recipes import TINY_RECIPE


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """A second holder is refused or waits, until the first has released the lock."""
    path = tmp_path / "lock"
    with (
        locked(path, "this", "do that"),
        pytest.raises(LockHeldError),
        locked(path, "this", "do that", wait=False),
    ):
        pass
    with locked(path, "this", "do that", wait=False):
        pass


def test_a_lock_that_is_held_if_possible(tmp_path: Path) -> None:
    """It excludes others; if it cannot be made, or after the wait, the work goes on without it."""
    path = tmp_path / "lock"
    with (
        locked_if_possible(path),
        pytest.raises(LockHeldError),
        locked(path, "this", "do that", wait=False),
    ):
        pass
    done = list[str]()
    with locked(path, "this", "do that"), locked_if_possible(path, seconds=0):
        done.append("waited")
    with locked_if_possible(path / "lock"):
        done.append("a file in place of the folder")
    assert done == ["waited", "a file in place of the folder"]


def _lease(folder: Path) -> object:
    with GpuLeases(folder, {0: "gpu-0"}).take(1) as gpus:
        return gpus


def _build(folder: Path) -> object:
    return VenvOverlays(folder).build([])


def _train(folder: Path) -> object:
    return ControlTrainer(read_recipe(TINY_RECIPE), folder, 0, print).train("copy")


@pytest.mark.parametrize("kind", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize(
    ("use", "remedy"),
    [
        (_lease, "set XDG_CACHE_HOME to a folder on a local disk"),
        (_build, "set XDG_CACHE_HOME to a folder on a local disk"),
        (_train, "choose another --out"),
    ],
)
def test_a_file_system_without_locks(
    use: Callable[[Path], object],
    remedy: str,
    kind: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GPU leases, environments and controls: one line with the folder, the reason, the remedy."""

    def refuse(*_: object) -> None:
        raise OSError(kind, os.strerror(kind))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(NoLocksError) as error:
        use(tmp_path / "folder")
    line = str(error.value)
    assert str(tmp_path / "folder") in line
    assert f"has no locks ({os.strerror(kind)})" in line
    assert line.endswith(remedy)


def test_other_errors_of_a_lock_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An I/O error says nothing about locks."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / "lock", "this", "that"):
        pass
