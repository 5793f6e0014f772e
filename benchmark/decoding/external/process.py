"""The measuring process's side of the pipe to an engine's process."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple, Self, cast

from benchmark.decoding.external.messages import (
    CopyReply,
    CopyRequest,
    DecodeReply,
    DecodeRequest,
    EngineSetup,
    LimitReply,
    LimitRequest,
    MarginReply,
    MarginRequest,
    ScoredRow,
    ScoreRequest,
    StreamedAnswer,
    StreamRequest,
)
from benchmark.errors import BenchmarkError, RefusedModelError
from benchmark.lifetime import tied

_LOG_TAIL = 2000
_CLOSE_TIMEOUT = 10


class EngineProcessError(BenchmarkError):
    """An engine's process failed or ended."""


class EngineImportError(EngineProcessError, ImportError):
    """A library cannot be imported in an engine's process."""


_IMPORT_ERRORS = ("ImportError:", "ModuleNotFoundError:")


class _Response(NamedTuple):
    reply: object
    peak_memory: int


class EngineProcess:
    """An engine in its own process, from opening to closing."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], setup: EngineSetup
    ) -> None:
        """Run the command, and open the engine in its process.

        Raises:
            EngineProcessError: if the engine does not open.
            RefusedModelError: if the model is refused.
        """
        self._name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in close
        self._process = subprocess.Popen(  # noqa: S603
            tied(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **environment},
            # Ctrl-C goes to the measuring process only, which then closes this one.
            start_new_session=True,
        )
        try:
            self._ask(setup)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the process, which is already open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the process."""
        self.close()

    def measure(self, request: DecodeRequest) -> DecodeReply:
        """Decode the prompts.

        Raises:
            EngineProcessError: if the engine fails.
            RefusedModelError: if logits of the model are not finite.
        """
        response = self._ask(request)
        reply = cast("DecodeReply", response.reply)
        reply["peak_memory"] = response.peak_memory
        return reply

    def stream(
        self, prompts: Sequence[Sequence[int]], *, values: bool = False, forget: bool = False
    ) -> Iterator[StreamedAnswer]:
        """Decode the prompts, and yield each answer as it is finished.

        With ``values`` answers have their log-probabilities; with ``forget`` the engine's prefix
        cache is cleared before. A process whose answers are not read
        to the end can only be killed.

        Raises:
            EngineProcessError: if the engine fails.
        """
        request: StreamRequest = {"stream": [list(ids) for ids in prompts]}
        if values:
            request["values"] = True
        if forget:
            request["forget"] = True
        for part in self._parts(request):
            yield cast("StreamedAnswer", part)

    def score(self, request: ScoreRequest) -> Iterator[ScoredRow]:
        """Yield the log-probabilities along answers, as :meth:`stream` does answers."""
        for part in self._parts(request):
            yield cast("ScoredRow", part)

    def limit(self, request: LimitRequest) -> LimitReply:
        """Time the model's matrix products; only for the engine ``limit``."""
        return cast("LimitReply", self._ask(request).reply)

    def margins(self, request: MarginRequest) -> MarginReply:
        """Measure margins; only for the engine ``margins``."""
        return cast("MarginReply", self._ask(request).reply)

    def copy(self, request: CopyRequest) -> CopyReply:
        """Write the model as safetensors; only for the engine ``copy``."""
        return cast("CopyReply", self._ask(request).reply)

    def close(self) -> None:
        """End the process and all processes that it started."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(_CLOSE_TIMEOUT if self._process.returncode is None else 0)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def kill(self) -> None:
        """Kill the process at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.close()

    @property
    def _stdin(self) -> IO[str]:
        if self._process.stdin is None:
            raise EngineProcessError(f"{self._name}: no pipe to its process")
        return self._process.stdin

    def _ask(self, request: object) -> _Response:
        self._send(request)
        message = self._message()
        return _Response(message["reply"], cast("int", message["peak_memory"]))

    def _parts(self, request: object) -> Iterator[object]:
        self._send(request)
        while (part := self._message().get("part")) is not None:
            yield part

    def _send(self, request: object) -> None:
        try:
            self._stdin.write(json.dumps(request) + "\n")
            self._stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def _message(self) -> dict[str, object]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise self._ended()
        message: dict[str, object] = json.loads(line)
        if message.get("refused"):
            raise RefusedModelError(str(message["refused"]))
        if str(message.get("error")).startswith(_IMPORT_ERRORS):
            raise EngineImportError(f"{self._name}: {message['error']}")
        if "error" in message:
            raise EngineProcessError(f"{self._name}: {message['error']}")
        return message

    def _ended(self) -> EngineProcessError:
        code = self._process.wait()
        self._log.seek(0)
        tail = " ".join(self._log.read()[-_LOG_TAIL:].split())[-300:]
        return EngineProcessError(f"{self._name}: its process ended with code {code}: ...{tail}")
