"""The measuring process's end of the pipe."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple, Self, cast

from benchmark.errors import BenchmarkError
from benchmark.speed.messages import (
    Copied,
    CopyWork,
    LimitTaken,
    LimitWork,
    MarginTaken,
    MarginWork,
    Setup,
    Taken,
    Work,
)

_LAST_WORDS = 2000
_SECONDS_TO_END = 10


class EngineProcessError(BenchmarkError):
    """An engine's process failed or ended."""


class _Answer(NamedTuple):
    reply: object
    peak_memory: int


class EngineProcess:
    """An engine in a process of its own, from when it is opened until it is closed."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], setup: Setup
    ) -> None:
        """Start the command, and open the engine in it.

        Raises:
            EngineProcessError: when it does not come up.
        """
        self._name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in close
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **environment},
            # Ctrl-C is for the measuring process; it ends this one when it is done.
            start_new_session=True,
        )
        try:
            self._ask(setup)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """It is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def measure(self, work: Work) -> Taken:
        """Decode the prompts.

        Raises:
            EngineProcessError: when the engine fails.
        """
        answer = self._ask(work)
        taken = cast("Taken", answer.reply)
        taken["peak_memory"] = answer.peak_memory
        return taken

    def limit(self, work: LimitWork) -> LimitTaken:
        """Time the model's products; for the engine ``limit``."""
        return cast("LimitTaken", self._ask(work).reply)

    def margins(self, work: MarginWork) -> MarginTaken:
        """Measure margins; for the engine ``margins``."""
        return cast("MarginTaken", self._ask(work).reply)

    def copy(self, work: CopyWork) -> Copied:
        """Write the model as safetensors; for the engine ``copy``."""
        return cast("Copied", self._ask(work).reply)

    def close(self) -> None:
        """End the process and all that it started."""
        with suppress(BrokenPipeError):
            self._pipe_in.close()
        try:
            self._process.wait(_SECONDS_TO_END if self._process.returncode is None else 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.close()

    @property
    def _pipe_in(self) -> IO[str]:
        if self._process.stdin is None:
            raise EngineProcessError(f"{self._name}: no pipe to its process")
        return self._process.stdin

    def _ask(self, request: object) -> _Answer:
        try:
            self._pipe_in.write(json.dumps(request) + "\n")
            self._pipe_in.flush()
        except BrokenPipeError as error:
            raise self._ended() from error
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise self._ended()
        message = json.loads(line)
        if "error" in message:
            raise EngineProcessError(f"{self._name}: {message['error']}")
        return _Answer(message["reply"], message["peak_memory"])

    def _ended(self) -> EngineProcessError:
        code = self._process.wait()
        self._log.seek(0)
        words = " ".join(self._log.read()[-_LAST_WORDS:].split())[-300:]
        return EngineProcessError(f"{self._name}: its process ended with code {code}: ...{words}")
