"""An engine's own process: asked over a pipe, it answers over one, and keeps what it loaded.

Only the standard library is used: engines run in environments that may lack all else.
"""

import json
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from benchmark.speed.messages import Setup

_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")
_KILOBYTE = 1024


def serve(create: Callable[[Setup], Callable[[_Request], _Reply]]) -> None:
    """Open an engine with the first line of stdin, and ask it with each of the others.

    A line of the answer is ``{"reply": ..., "peak_memory": bytes}`` or ``{"error": text}``. What
    anything prints in the meantime goes to stderr.
    """
    channel = _channel()
    lines = iter(sys.stdin)
    setup: Setup = json.loads(next(lines))
    engine: list[Callable[[_Request], _Reply]] = []
    _answer(channel, lambda: engine.append(create(setup)))
    # From here on the peak is that of decoding, with the weights but without loading them.
    _forget_peak()
    for line in lines if engine else ():
        request: _Request = json.loads(line)
        _answer(channel, partial(engine[0], request))


def peak_memory() -> int:
    """The largest resident memory of this process and those it started, in bytes.

    On Linux since :func:`_forget_peak`; elsewhere since the start and of this process alone.
    """
    peaks = [_peak(process) for process in _family(os.getpid())]
    if peaks and all(peaks):
        return sum(peaks)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * _KILOBYTE


def _answer(channel: TextIO, act: Callable[[], object]) -> None:
    try:
        message = {"reply": act(), "peak_memory": peak_memory()}
    except Exception as error:  # noqa: BLE001  # whatever an engine raises is the other side's news
        message = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    print(json.dumps(message), file=channel, flush=True)


def _channel() -> TextIO:
    """The pipe to the measuring process; stdout itself is led to stderr."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def _family(process: int) -> Iterator[int]:
    """The process and all that descend from it, as far as the system tells."""
    yield process
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text(encoding="ascii").split()
        except OSError:  # that thread has ended since
            continue
        for child in children:
            yield from _family(int(child))


def _peak(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * _KILOBYTE if match else 0


def _forget_peak() -> None:
    """Begin the kernel's count of the peak anew, where it can be told to (Linux)."""
    for process in _family(os.getpid()):
        path = Path(f"/proc/{process}/clear_refs")
        if path.exists():
            path.write_text("5", encoding="ascii")
