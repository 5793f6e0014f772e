"""Processes end with the process that started them, also while they compute."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from benchmark import lifetime
from benchmark.lifetime import run_tied, tied

ROOT = Path(__file__).parents[2]

COMPUTING = """
import os, pathlib, sys
part = pathlib.Path(sys.argv[1] + ".part")
part.write_text(str(os.getpid()))
part.rename(sys.argv[1])
while True: pass  # holds the interpreter, so that no thread of this process runs
"""
"""A worker that writes its number, and then computes for ever."""

CONTROLLERS = {
    "a command": "from benchmark.lifetime import run_tied; run_tied(WORKER)",
    "pip": """
import sys
from unittest import mock
from benchmark.upgrades.pip import run_pip
with mock.patch("benchmark.upgrades.pip.run_tied", lambda _, **rest: run_tied(WORKER, **rest)):
    run_pip("install", patience=60)
""",
    "an engine of speed": """
from benchmark.decoding.external.process import EngineProcess
EngineProcess("engine", WORKER, {}, {})
""",
    "a chat template": """
import sys
from benchmark.models.template_process import ChatRenderer
sys.argv = ["", WORKER[3]]
ChatRenderer(lambda *_: exec(WORKER[2], {}), 60).render([], generation=True)
""",
    "a worker of pytest": """
import subprocess, sys
code = "from benchmark.lifetime import end_with_parent; end_with_parent();" + WORKER[2]
subprocess.run([*WORKER[:2], code, WORKER[3]])
""",
}
"""What controllers run, each until it is killed."""


def _runs(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for has ended, too."""
    with suppress(OSError):
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _seconds_until_ended(pid: int) -> float:
    began = time.monotonic()
    while _runs(pid) and time.monotonic() < began + 20:
        time.sleep(0.01)
    return time.monotonic() - began


def _number(path: Path) -> int:
    for _ in range(6000):
        if path.exists():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError("the worker did not start")


def _started(code: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], env=environment)  # noqa: S603


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Path]:
    """The file that a worker writes its number to; a worker that is left over is killed."""
    path = tmp_path / "worker"
    yield path
    if path.exists():
        with suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_a_worker_ends_with_its_controller(kind: str, worker: Path) -> None:
    """Within a second of the controller's SIGKILL, while the worker computes."""
    words = [sys.executable, "-c", COMPUTING, str(worker)]
    code = f"from benchmark.lifetime import run_tied\nWORKER = {words!r}\n{CONTROLLERS[kind]}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with _started(code, environment) as controller:
        pid = _number(worker)
        assert _runs(pid)
        controller.kill()
        assert _seconds_until_ended(pid) < 1


@pytest.mark.parametrize("kind", ["a command", "a worker of pytest"])
def test_without_the_kernel(kind: str, worker: Path, tmp_path: Path) -> None:
    """On systems without ``prctl`` a process, or a thread, looks for the parent."""
    copy = tmp_path / "benchmark"
    copy.mkdir()
    (copy / "__init__.py").touch()
    source = Path(lifetime.__file__).read_text().replace('"linux"', '"none"')
    (copy / "lifetime.py").write_text(source)
    idle = COMPUTING.replace("pass", "time.sleep(0.01)").replace("import os", "import time, os")
    words = [sys.executable, "-c", idle, str(worker)]
    code = f"WORKER = {words!r}\n{CONTROLLERS[kind]}"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with _started(code, environment) as controller:
        pid = _number(worker)
        controller.kill()
        assert _seconds_until_ended(pid) < 1


def test_output_and_status_are_those_of_the_command() -> None:
    """The command runs in its own environment, and its status and output are returned."""
    code = "import os, sys; print(os.environ['A']); print('e', file=sys.stderr); sys.exit(5)"
    done = run_tied([sys.executable, "-c", code], environment={**os.environ, "A": "out"})
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "e\n")


def test_a_command_that_does_not_exist() -> None:
    """It is named, with the status of a shell."""
    done = run_tied(["no/such/command"])
    assert (done.returncode, done.stderr) == (127, "no/such/command: No such file or directory\n")


def test_a_command_that_takes_too_long(worker: Path) -> None:
    """It is killed, with what it has started."""
    words = [sys.executable, "-c", COMPUTING]
    code = f"import subprocess, sys; subprocess.run([*{words!r}, *sys.argv[1:]])"
    with pytest.raises(subprocess.TimeoutExpired):
        run_tied([sys.executable, "-c", code, str(worker)], timeout=3)
    if worker.exists():
        assert _seconds_until_ended(int(worker.read_text())) < 1


def test_a_command_whose_parent_has_ended_is_not_run(worker: Path) -> None:
    """The parent may end before the kernel is asked to watch it."""
    command = tied([sys.executable, "-c", COMPUTING, str(worker)])
    position = command.index(str(os.getpid()))
    command[position] = "1"
    assert subprocess.run(command, check=False).returncode == 127  # noqa: S603
    assert not worker.exists()


def test_the_status_of_commands_is_kept() -> None:
    """After a shell's ``trap '' CHLD``, subprocess takes a failure for a success."""
    code = (
        "import subprocess as s, benchmark.lifetime as lifetime; lifetime.keep_child_statuses();"
        "print(s.run(['false']).returncode)"
    )
    command = ["sh", "-c", 'trap "" CHLD; exec "$0" -c "$1"', sys.executable, code]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout == b"1\n"  # noqa: S603
