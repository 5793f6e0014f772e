"""An engine's process: it reads requests from a pipe, replies over a pipe, and stays loaded.

Only the standard library is used, as engines run in environments that may lack other packages.
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

from benchmark.decoding.external.messages import EngineSetup

_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")
_KILOBYTE = 1024


def serve(create: Callable[[EngineSetup], Callable[[_Request], _Reply]]) -> None:
    """Open an engine with the first line of stdin, and reply to each further line.

    A reply is the line ``{"reply": ..., "peak_memory": bytes}`` or ``{"error": text, "refused":
    text}``; ``refused`` is the message if the model itself is refused, else None. If the engine
    returns an iterator, each of its items is a line ``{"part": ...}`` before that. Anything that is
    printed meanwhile goes to stderr.
    """
    channel = redirected_output()
    lines = iter(sys.stdin)
    setup: EngineSetup = json.loads(next(lines))
    engine: list[Callable[[_Request], _Reply]] = []
    _answer(channel, lambda: engine.append(create(setup)))
    # From here on the peak is that of decoding, including the weights but not their loading.
    _reset_peak()
    for line in lines if engine else ():
        request: _Request = json.loads(line)
        _answer(channel, partial(engine[0], request))


def peak_memory() -> int:
    """Return the largest resident memory of this process and those it started, in bytes.

    On Linux since :func:`_reset_peak`; elsewhere since the start, for this process alone.
    """
    peaks = [_peak(process) for process in _process_tree(os.getpid())]
    if peaks and all(peaks):
        return sum(peaks)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * _KILOBYTE


def _answer(channel: TextIO, act: Callable[[], object]) -> None:
    try:
        reply = act()
        if isinstance(reply, Iterator):
            for part in reply:
                print(json.dumps({"part": part}), file=channel, flush=True)
            reply = None
        message = {"reply": reply, "peak_memory": peak_memory()}
    except Exception as error:  # noqa: BLE001  # any error of an engine is reported to the other side
        text = " ".join(str(error).split())[:500]
        refused = text if getattr(error, "refuses_model", False) else None
        message = {"error": f"{type(error).__name__}: {text}", "refused": refused}
    print(json.dumps(message), file=channel, flush=True)


def redirected_output() -> TextIO:
    """Return the pipe to the measuring process, and redirect stdout to stderr."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return channel


def _process_tree(process: int) -> Iterator[int]:
    """Yield the process and its descendants, as far as the system lists them."""
    yield process
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text(encoding="ascii").split()
        except OSError:  # that thread has ended meanwhile
            continue
        for child in children:
            yield from _process_tree(int(child))


def _peak(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * _KILOBYTE if match else 0


def _reset_peak() -> None:
    """Reset the kernel's record of peak memory (Linux only)."""
    for process in _process_tree(os.getpid()):
        path = Path(f"/proc/{process}/clear_refs")
        if path.exists():
            path.write_text("5", encoding="ascii")
