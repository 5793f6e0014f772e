"""GPU leases: exclusive, free of deadlock, in even shares."""

import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.runs.store import gpu_leases
from benchmark.runs.store.gpu_leases import GpuLeases, share

Held = tuple[float, float, tuple[int, ...]]


def _hold(folder: Path, gpus: Sequence[int], count: int, first: Sequence[int]) -> Held:
    """Lease GPUs, hold them for a moment, and return which from when to when."""
    with GpuLeases(folder, {n: f"gpu-{n}" for n in gpus}).take(count, first) as taken:
        start = time.monotonic()
        time.sleep(0.05)
        return start, time.monotonic(), taken


def test_processes_never_share_a_gpu(tmp_path: Path) -> None:
    """Four processes that need one to three of three GPUs all get them, one process per GPU."""
    counts = [1, 3, 1, 2, 2, 1, 3, 1, 2, 1]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        jobs = [pool.submit(_hold, tmp_path, range(3), n, [n % 3]) for n in counts]
        held = [job.result(timeout=120) for job in jobs]
    assert [len(gpus) for _, _, gpus in held] == counts
    for gpu in range(3):
        spans = sorted((start, end) for start, end, gpus in held if gpu in gpus)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_preferred_gpus_come_first(tmp_path: Path) -> None:
    """A worker gets its own GPUs if they are free, else others."""
    leases = GpuLeases(tmp_path, {n: f"gpu-{n}" for n in range(4)})
    with leases.take(2, [2, 3]) as first:
        assert first == (2, 3)
        with leases.take(2, [3]) as second:
            assert second == (0, 1)
    with leases.take(4) as every:
        assert every == (0, 1, 2, 3)


def test_machines_that_share_a_home_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a process waits for the GPU of one machine, another gets that of the other one."""
    one, other = GpuLeases(tmp_path, {0: "gpu-a"}), GpuLeases(tmp_path, {0: "gpu-b"})
    asked, proceed = threading.Event(), threading.Event()

    def wait(_: float) -> None:
        asked.set()
        assert proceed.wait(60)

    def take(leases: GpuLeases) -> None:
        with leases.take(1):
            pass

    monkeypatch.setattr("socket.gethostname", lambda: "node-a")
    with one.take(1):
        monkeypatch.setattr(gpu_leases, "sleep", wait)
        waiting = threading.Thread(target=take, args=[one], daemon=True)
        waiting.start()
        assert asked.wait(60)
        monkeypatch.setattr("socket.gethostname", lambda: "node-b")
        taking = threading.Thread(target=take, args=[other], daemon=True)
        taking.start()
        taking.join(60)
        assert not taking.is_alive()
    proceed.set()
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.parametrize("count", [0, 3])
def test_more_gpus_than_available(tmp_path: Path, count: int) -> None:
    """A request for more GPUs than exist is an error."""
    with (
        pytest.raises(ValueError, match="GPUs requested, of 2"),
        GpuLeases(tmp_path, {0: "a", 1: "b"}).take(count),
    ):
        pass


def test_gpus_are_released_after_an_error(tmp_path: Path) -> None:
    """A failed measurement releases its GPUs."""
    leases = GpuLeases(tmp_path, {0: "a"})
    with pytest.raises(RuntimeError), leases.take(1):
        raise RuntimeError
    with leases.take(1) as again:
        assert again == (0,)


@given(workers=st.integers(1, 9), gpus=st.integers(0, 9))
def test_shares_are_even_and_cover_all(workers: int, gpus: int) -> None:
    """The workers' shares are disjoint, cover all GPUs, and differ by at most one."""
    shares = [share(f"gw{n}", workers, range(gpus)) for n in range(workers)]
    assert [gpu for part in shares for gpu in part] == list(range(gpus))
    sizes = {len(part) for part in shares}
    assert max(sizes) - min(sizes) <= 1


def test_one_process_has_all_gpus() -> None:
    """Without xdist there is one share."""
    assert share(None, 1, [0, 1, 2]) == (0, 1, 2)


def test_gpus_are_identified_by_their_uuid(tmp_path: Path) -> None:
    """Two processes with different GPUs as number 0 do not wait for each other."""
    with GpuLeases(tmp_path, {0: "GPU-a"}).take(1), GpuLeases(tmp_path, {0: "GPU-b"}).take(1):
        held = {path.name for path in tmp_path.iterdir()}
    assert {"GPU-a.lock", "GPU-b.lock"} <= held
