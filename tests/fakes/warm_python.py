"""A ``python`` and an ``entity-tracking`` that need not import torch, for shells and subprocesses.

A run in a new process imports for 10 s and computes for less than one. These two are small programs
that send their arguments, folder, environment and standard streams to a server: a fork of the test
process, with the libraries imported. The server forks again for each program and runs its module or
script there; the exit status comes back. If the small program is killed, the other one goes on
until its standard input ends. One test of each kind still starts a new process.
"""

import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import benchmark
from benchmark.lifetime import end_with_parent
from fakes.command_line import command_line

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "copy-a"

_CLIENT = """#!{python} -IS
import json, os, socket, sys
words = {words!r} + sys.argv[1:]
if words[0] != "-m" and not words[0].endswith(".py"):
    os.execv({python!r}, [{python!r}, *words])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"."], [0, 1, 2])
server.sendall(json.dumps([sys.argv[0], words, os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(9) or b"1"))
"""
_IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


@contextmanager
def serving() -> Iterator[Path]:
    """Yield a folder with both programs, which work until the end of the block.

    ``python`` runs modules (``-m``) and scripts in the server, and is the real one otherwise.
    """
    with tempfile.TemporaryDirectory() as name:  # a socket's address has at most 107 bytes
        folder = Path(name)
        address = str(folder / "socket")
        _write_programs(folder, address)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            pid = _fork()
            if pid == 0:
                _only(lambda: _serve(server, folder))
        try:
            yield folder
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _write_programs(folder: Path, address: str) -> None:
    for name, words in (("python", []), ("entity-tracking", ["-m", "benchmark"])):
        text = _CLIENT.format(python=sys.executable, words=words, address=address)
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)


def _fork() -> int:
    with warnings.catch_warnings():
        # xdist's thread in the parent holds no lock that the child uses.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _only(work: Callable[[], object]) -> NoReturn:
    """Do nothing but this in a forked process, which must not go on with its parent's tests."""
    try:
        work()
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _serve(server: socket.socket, folder: Path) -> None:
    end_with_parent()
    # Half of what a run imports is imported while it runs.
    command_line("run", "--model", MODEL, "--states", "1", "--out", folder / "run", "-q")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    while True:
        client, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _only(lambda: _answer(client))  # noqa: B023  # it does not return
        client.close()


def _answer(client: socket.socket) -> None:
    end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    text = b"".join(iter(lambda: client.recv(1 << 16), b""))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    code = _run(*json.loads(text))
    client.sendall(str(code).encode())
    os._exit(code)


def _run(program: str, words: list[str], folder: str, environment: Mapping[str, str]) -> int:
    """Run a module or a script as a new interpreter would, and return its exit status."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    _forget_another(Path(folder) / "benchmark")
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    warnings.resetwarnings()  # the tests' make errors of them
    for category in _IGNORED:
        warnings.simplefilter("ignore", category)
    code = 0
    try:
        if words[0] == "-m":
            sys.argv = [program, *words[2:]]
            runpy.run_module(words[1], run_name="__main__")
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
        sys.stdout.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        code = 1
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _forget_another(package: Path) -> None:
    """Let the benchmark be imported from this folder, if it is another copy than this one."""
    if package.exists() and not package.samefile(Path(benchmark.__file__).parent):
        for name in list(sys.modules):
            if name.split(".")[0] == "benchmark":
                del sys.modules[name]
