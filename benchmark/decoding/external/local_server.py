"""The engine ``llama.cpp``: its own server, started for a run in the engines' environment."""

import atexit
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace

from benchmark.decoding.connection import ConnectInputs
from benchmark.decoding.engines import ENGINES
from benchmark.decoding.external import server_probe
from benchmark.decoding.external.installed import LLAMA_CPP_LIBRARIES, versions_in
from benchmark.decoding.external.launch import LaunchCommand, engine_environment, launch_command
from benchmark.decoding.external.process import EngineProcessError
from benchmark.decoding.external.server_probe import ServerConnection
from benchmark.errors import SettingError
from benchmark.lifetime import tied

_NAME = "llama.cpp"
_WORKER = "benchmark.decoding.external.llama_cpp_server"
_CONTEXT = 4096
"""The most tokens of prompt and answer; the states of the tasks take up to a fourth of them."""
_SLOTS = 2
"""The number of requests at a time; each computes the prefix of its prompts again."""


def connect(inputs: ConnectInputs) -> ServerConnection:
    """Return a llama.cpp server that is started here and ends with this process.

    Raises:
        MissingLibraryError: if xllamacpp is not installed.
        SettingError: for a model that is not a GGUF file, and on a GPU.
        EngineProcessError: if the server does not start.
    """
    location = inputs.location
    if not location.gguf:
        raise SettingError(f"{location.name}: engine {_NAME} takes a GGUF file; name one")
    if inputs.device != "cpu":
        raise SettingError(f"engine {_NAME} computes on the CPU here; use --device cpu")
    traits = ENGINES[_NAME].speed
    versions = versions_in(engine_environment(_NAME, traits), LLAMA_CPP_LIBRARIES)
    command = launch_command(_NAME, traits, worker=_WORKER)
    address = _start(command, str(location.folder / location.gguf))
    settings = replace(inputs.settings, base_url=address, kind=_NAME)
    connection = server_probe.connect(replace(inputs, settings=settings))
    return replace(connection, libraries=versions, weights="the model's own file")


def _start(command: LaunchCommand, path: str) -> str:
    """Start a server, which ends with this process, and return its address.

    Raises:
        EngineProcessError: if it ends before it has one.
    """
    words = [*command.command, path, "--context", str(_CONTEXT), "--slots", str(_SLOTS)]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
    process = subprocess.Popen(  # noqa: S603
        tied(words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **command.environment},
        start_new_session=True,
    )

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with process:  # closes its pipes
            process.wait()
        log.close()

    line = process.stdout.readline().strip() if process.stdout else ""
    if line.startswith("http"):
        atexit.register(end)
        return line
    process.wait()
    log.seek(0)
    # What llama.cpp writes when it ends comes after an error, and would hide it.
    reason = line or f"...{' '.join(log.read()[-2000:].split())[-300:]}"
    end()
    raise EngineProcessError(f"{_NAME}: its server ended with {process.returncode}: {reason}")
