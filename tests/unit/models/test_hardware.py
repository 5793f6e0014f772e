"""What the system says about the processor."""

import ctypes
import gc
import platform
from contextlib import suppress
from pathlib import Path

import pytest

from benchmark.models import hardware
from benchmark.models.hardware import waiting_seconds
from fakes.resident import resident_bytes


@pytest.mark.parametrize(
    ("threads", "all_threads", "own_thread"),
    [
        (["9000000000 1500000000 7", "8 250000000 7"], 1.75, 1.5),
        (["9 0 7"], 0.0, 0.0),
        (["0 0 0", "0 0 0"], None, None),  # a kernel that does not count
        (["damaged", "9 1000000000 7"], 1.0, None),
        ([], None, None),  # no such files, as on macOS
    ],
)
def test_waiting_is_that_of_all_threads_or_of_one(
    threads: list[str],
    all_threads: float | None,
    own_thread: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second number of each thread's file, in nanoseconds; the first thread is this one."""
    monkeypatch.setattr(hardware, "_PROC", tmp_path)
    places = [tmp_path / "self" / "task" / str(number) for number in range(len(threads))]
    for place, text in zip(places, threads, strict=True):
        place.mkdir(parents=True)
        (place / "schedstat").write_text(text, encoding="utf-8")
    if places:
        (tmp_path / "thread-self").symlink_to(places[0])
    assert waiting_seconds() == all_threads
    assert waiting_seconds(own_thread=True) == own_thread


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_returned() -> None:
    """What is between memory in use is given back too, which glibc keeps otherwise."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    size = 100_000  # less than what glibc takes from the system by itself
    pieces = [libc.malloc(size) for _ in range(1000)]
    for piece in pieces:
        ctypes.memset(piece, 1, size)
    for piece in pieces[:-1]:
        libc.free(piece)
    before = resident_bytes()
    hardware.trim_heap()
    assert before - resident_bytes() > 80e6
    libc.free(pieces[-1])


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"max": "1000", "current": "900", "stat": "anon 300\ninactive_file 500\n"}, 600),
        ({"max": "1000", "current": "900", "stat": "anon 300\n"}, None),
        ({"max": "max", "current": "900", "stat": "inactive_file 500\n"}, None),
        ({}, None),
    ],
)
def test_free_memory_is_that_of_the_container(
    files: dict[str, str],
    free: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read from files can be used again; without a limit the machine's memory counts."""
    for name, text in files.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(hardware, "_CGROUP", tmp_path)
    if free is None:
        assert hardware.free_memory() > 10**6
    else:
        assert hardware.free_memory() == free


@pytest.mark.usefixtures("unfrozen")
def test_objects_are_left_out_of_collections() -> None:
    """Until the outermost use ends, also by an exception."""
    with suppress(LookupError), hardware.uncollected():
        assert gc.get_freeze_count()
        with hardware.uncollected():
            pass
        assert gc.get_freeze_count()
        raise LookupError
    assert not gc.get_freeze_count()


@pytest.mark.usefixtures("unfrozen")
def test_what_others_have_frozen_stays_so() -> None:
    """Objects that an application froze are not collected afterwards either."""
    gc.freeze()
    before = gc.get_freeze_count()
    with hardware.uncollected():
        assert gc.get_freeze_count() == before
    assert gc.get_freeze_count() == before
