"""Every failure of a command is one line and exit code 2, and output does not end a finished run.

Each row of the tables is a new process: its descriptors, encoding and environment are the case.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmark.cli import crash
from fakes import fake_fingerprints, finished_runs
from fakes.command_line import command_line

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "copy-a"
BENCHMARK = (sys.executable, "-m", "benchmark")
CLAIMS = ("claims", "--results", "{}/run")
GENERATE = ("generate", "--split", "dev", "--subsample", "--out")
NOWHERE = ("claims", "--results", "{}/nowhere")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and two fingerprints."""
    from benchmark.fingerprints.storage import write_fingerprint

    place = tmp_path_factory.mktemp("inputs")
    finished_runs.write_run(
        place / "run", "owner/caf\xe9", finished_runs.first_states(13), finished_runs.mixed_answer
    )
    for name in ("a", "b"):
        write_fingerprint(fake_fingerprints.fake_fingerprint(), place / f"{name}.json")
    return place


@dataclass(frozen=True)
class Case:
    """A command in a shell, what is done to its output, and how it ends.

    ``{}`` is the folder of inputs. ``error`` is in the only line of standard error; an empty one
    means that there is no line that begins with ``error:``.
    """

    arguments: Sequence[str]
    redirect: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    error: str = ""


CASES = {
    "reader-leaves": Case(CLAIMS, "| head -n 1"),
    "reader-leaves-data": Case((*GENERATE, "/dev/stdout"), "| head -n 1"),
    "reader-leaves-help": Case(("--help",), "| true"),
    "full-output": Case(CLAIMS, "> /dev/full", code=2, error="standard output: No space left"),
    "full-json": Case(
        (*CLAIMS, "--json"), "> /dev/full", code=2, error="standard output: No space"
    ),
    "full-help": Case(("--help",), "> /dev/full", code=2, error="standard output: No space left"),
    "full-errors": Case(NOWHERE, "2> /dev/full", code=2),
    "closed-output": Case(CLAIMS, ">&-"),
    "closed-errors": Case(NOWHERE, "2>&-", code=2),
    "closed-both": Case(CLAIMS, "<&- >&- 2>&-"),
    "ascii": Case(CLAIMS, environment={"PYTHONIOENCODING": "ascii"}),
    "latin-1": Case(CLAIMS, environment={"PYTHONIOENCODING": "latin-1"}),
    "ascii-help": Case(("claims", "--help"), environment={"PYTHONIOENCODING": "ascii"}),
    "no-home": Case(CLAIMS, environment={"HOME": ""}),
    "read-only-home": Case(
        ("report", "{}/run", "--out", "{}/proc"),
        environment={"HOME": "/proc", "XDG_CACHE_HOME": "/proc", "TMPDIR": "/proc"},
    ),
    "odd-name": Case(
        ("claims", "--results", os.fsdecode(b"{}/\xff\x1b[2J")), code=2, error=r"\udcff\x1b[2J"
    ),
    "odd-output": Case((*GENERATE, os.fsdecode(b"{}/\xff.jsonl"))),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
@pytest.mark.parametrize("name", CASES)
def test_a_process_ends_well(name: str, inputs: Path) -> None:
    """With its own exit code, at most one line of error, and never a traceback."""
    case = CASES[name]
    words = [word.replace("{}", str(inputs)) for word in (*BENCHMARK, *case.arguments)]
    process = subprocess.run(  # noqa: S603
        # The pipe's exit code is that of the benchmark, not that of its reader.
        ["/bin/bash", "-c", f'set -o pipefail; "$@" {case.redirect}', "bash", *words],
        capture_output=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", "GITHUB_ACTIONS": "", **case.environment},
        timeout=120,
    )
    errors = process.stderr.decode(errors="backslashreplace")
    assert process.returncode == case.code, errors
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == bool(case.error), errors
    assert case.error in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_finished_run_is_not_ended_by_its_table(tmp_path: Path, warm_programs: Path) -> None:
    """The result is written although nothing can be printed; the exit code says so."""
    out = tmp_path / "out"
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(  # noqa: S603
            [
                warm_programs / "python",
                *BENCHMARK[1:],
                "run",
                "-q",
                "--model",
                MODEL,
                "--states",
                "1",
                "--out",
                out,
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=300,
        )
    assert process.returncode == 2
    assert process.stderr.count(b"error: standard output: No space left") == 1
    assert "outcomes" in json.loads((out / "result.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("report", ""), "argument 2"),
        (("generate", "--out", ""), "--out"),
        (("generate", "--out="), "--out"),
        (("claims", "--results", ""), "--results"),
        (("compare", "", ""), "argument 2"),
        (("",), "argument 1"),
    ],
)
def test_an_empty_argument_is_misuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], name: str
) -> None:
    """As a path it would be the working directory, into which nothing is written."""
    monkeypatch.chdir(tmp_path)
    process = command_line(*arguments)
    assert process.returncode == 2
    assert process.stderr == f"error: {name} is empty; give it a value\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("compare", "{}/a.json", "{}/b.json", "--json-file", "{}/a.json"), "old"),
        (("compare", "{}/a.json", "{}/b.json", "--junit", "{}/x/../b.json"), "new"),
        (
            ("compare", "{}/a.json", "{}/b.json", "--junit", "{}/x", "--json-file", "{}/x"),
            "--json-file",
        ),
        (("baseline", "--data", "{}/a.json", "--json-file", "{}/a.json"), "--data"),
        (("canary", "numpy", "--report", "{}/a.json", "--suite", "{}/a.json"), "--suite"),
    ],
)
def test_an_output_in_the_place_of_another_file(
    inputs: Path, arguments: Sequence[str], name: str
) -> None:
    """An input is not overwritten by a result, nor a result by another."""
    before = (inputs / "a.json").read_bytes()
    process = command_line(*(word.replace("{}", str(inputs)) for word in arguments))
    assert process.returncode == 2
    assert f"{name} is the same file; name another\n" in process.stderr
    assert (inputs / "a.json").read_bytes() == before


def test_a_working_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is in no folder then; the line says why."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    process = command_line(*GENERATE, "x.jsonl")
    assert process.returncode == 2
    assert process.stderr == "error: the working directory was removed; change to another\n"


class Panic(BaseException):
    """An error as extensions in Rust raise it, which is no Exception."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ZeroDivisionError("a\nb"), "ZeroDivisionError: a b; this is a fault of "),
        (Panic("called unwrap"), "Panic: called unwrap; this is a fault of "),
        (KeyError(), "KeyError: no message; this is a fault of "),
        (MemoryError(), "out of memory; use a smaller --batch-size or model; the traceback"),
        (OSError(28, "No space left on device"), "a file: No space left on device; the traceback"),
        (OSError(10, "No child processes"), "ChildProcessError: No child processes; the traceback"),
        (OSError("not a model\nSee the docs"), "OSError: not a model See the docs; this is"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), "UnicodeDecodeError: 'utf-8' codec"),
    ],
)
def test_an_unexpected_error_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, line: str
) -> None:
    """In a file that the line names."""
    from benchmark.runs.store import runs

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "read_runs", fail)
    process = command_line("export", "results", tmp_path, "--out", tmp_path / "x.parquet")
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: {line}")
    assert process.stderr.count("\n") == 1
    log = Path(process.stderr.rpartition("the traceback is in ")[2].strip())
    assert log.is_relative_to(tmp_path)
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_traceback_that_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is printed all the same, with a hint."""
    monkeypatch.setattr(crash, "_folders", lambda: iter([Path("/proc/nowhere"), Path("/dev/null")]))
    line = crash.error_line(ZeroDivisionError("x"))
    assert line.endswith("the traceback could not be written; set TMPDIR to a folder that can be")
