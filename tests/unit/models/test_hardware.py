"""What the system says about the processor."""

from pathlib import Path

import pytest

from benchmark.models import hardware
from benchmark.models.hardware import waiting_seconds


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
