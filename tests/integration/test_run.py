"""A run from end to end on a tiny random model: its files, and what survives a kill."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest
import torch

from benchmark.decoding import outlines_engine
from benchmark.errors import ResumeError, SettingError
from benchmark.records import Completion, Tally, TokenIds
from benchmark.runs.data import load_states, score_files
from benchmark.runs.measure import run
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.store.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
STATES = 5
BATCH = 2


class Process(Protocol):
    """What both a command and a forked process can be asked."""

    def poll(self) -> int | None:
        """The return code when it has ended."""


@dataclass
class Watch:
    """Progress that keeps what it is told, and may raise when states are done."""

    fail_after: int | None = None
    started: list[tuple[int, int]] = field(default_factory=list)
    advanced: list[int] = field(default_factory=list)
    right: list[Tally | None] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Keep nothing."""

    def start(self, total: int, done: int, name: str = "") -> None:
        """Keep how much there is."""
        self.started.append((total, done))

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Keep the number, and stop like Ctrl-C when it is time."""
        self.advanced.append(states)
        self.right.append(right)
        if self.fail_after is not None and sum(self.advanced) >= self.fail_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, terse_folder: Callable[..., Path]
) -> Path:
    """A tiny Llama with its tokenizer, saved as any model is."""
    return terse_folder(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def request_(model_folder: Path, tmp_path: Path) -> RunRequest:
    """A run of five states in batches of two, that are known: of the engine ``outlines``."""
    return _request(model_folder, tmp_path / "run")


def _request(model: Path, out: Path) -> RunRequest:
    return RunRequest(
        model=str(model),
        out=out,
        data=DataRequest(seed=3, states=STATES),
        device="cpu",
        batch_size=BATCH,
        engine="outlines",
    )


@pytest.fixture(scope="module")
def whole_run(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run when nothing stops it."""
    out = tmp_path_factory.mktemp("whole")
    run(_request(model_folder, out), Watch())
    return out


@pytest.fixture(scope="module")
def whole(whole_run: Path) -> bytes:
    """Its predictions."""
    return (whole_run / "predictions.jsonl").read_bytes()


def _command(request: RunRequest, states: int = STATES) -> list[str]:
    return [
        *(sys.executable, "-m", "benchmark", "run", "--model", request.model),
        *("--out", str(request.out), "--seed", "3", "--states", str(states)),
        *("--device", "cpu", "--batch-size", str(BATCH), "--engine", str(request.engine)),
    ]


def _wait_for_predictions(process: Process, path: Path) -> None:
    while process.poll() is None and not (path.exists() and path.stat().st_size):
        time.sleep(0.02)


def _overall(folder: Path) -> tuple[int, int]:
    overall = json.loads((folder / "result.json").read_text())["overall"]
    return overall["correct"], overall["total"]


def test_quiet(
    request_: RunRequest, command_line: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """With -q a run shows its result, and nothing of how it goes."""
    done = command_line(*_command(request_)[3:], "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert "accuracy" in done.stdout


def test_a_run_writes_predictions_and_result(request_: RunRequest) -> None:
    """A run leaves a prediction a state and a result that says what it depends on."""
    watch = Watch()
    measured = run(request_, watch)
    assert watch.started == [(STATES, 0)]
    assert watch.advanced == [2, 2, 1]
    assert watch.right[-1] == measured.summary.overall.tally
    lines = (request_.out / "predictions.jsonl").read_text().splitlines()
    predictions = [json.loads(line) for line in lines]
    states = load_states(request_.data)
    assert [p["input"] for p in predictions] == [state.description for state in states]
    assert all(set(p) == {"input", "prediction"} for p in predictions)
    result = json.loads((request_.out / "result.json").read_text())
    assert result["overall"]["total"] == 7 * STATES
    assert {name: result[name] for name in measured.document} == measured.document
    assert result["protocol"]["batch_size"] == BATCH
    assert result["protocol"]["dtype"] == "float32"
    assert set(result["environment"]["versions"]) >= {"torch", "transformers", "outlines"}
    assert result["model"]["fingerprint"].startswith("sha256:")
    scored = score_files(request_.out / "predictions.jsonl", request_.data, partial=False)
    assert scored == {by: each.summary for by, each in measured.scores.items()}


def test_the_speculative_engine_writes_the_same_predictions(
    request_: RunRequest, whole: bytes, whole_run: Path
) -> None:
    """Stopped and gone on with, the default writes what ``outlines`` does, in the same order.

    The result says what drafted, and nothing of it where the engine is ``outlines``.
    """
    fast = replace(request_, engine=None)
    with pytest.raises(KeyboardInterrupt):
        run(fast, Watch(fail_after=1))
    run(fast, Watch())
    predictions = (fast.out / "predictions.jsonl").read_bytes()
    assert predictions == whole
    result = json.loads((fast.out / "result.json").read_text())
    assert result["protocol"]["engine"] == "speculative"
    [composition] = result["compositions"]
    assert composition["drafts"] == ["expected", "expression", "prompt"]
    assert composition["pace"]["rows"] == BATCH
    plain = json.loads((whole_run / "result.json").read_text())
    assert "compositions" not in plain


def test_an_interrupted_run_goes_on(request_: RunRequest, whole: bytes) -> None:
    """Ctrl-C keeps what is finished; the same request decodes the rest, to the same bytes."""
    with pytest.raises(KeyboardInterrupt):
        run(request_, Watch(fail_after=1))
    predictions = request_.out / "predictions.jsonl"
    assert predictions.read_bytes().count(b"\n") == BATCH
    assert not (request_.out / "result.json").exists()
    watch = Watch()
    run(request_, watch)
    assert watch.started == [(STATES, BATCH)]
    assert predictions.read_bytes() == whole
    assert json.loads((request_.out / "result.json").read_text())["timing"]["starts"] == 2
    watch = Watch()
    run(request_, watch)
    assert watch.started == []


def test_a_torn_batch_is_completed(request_: RunRequest, whole: bytes) -> None:
    """A file cut off inside a batch's second line is completed to the same bytes."""
    run(request_, Watch())
    predictions = request_.out / "predictions.jsonl"
    lines = whole.splitlines(keepends=True)
    predictions.write_bytes(lines[0] + lines[1][:40])
    watch = Watch()
    run(request_, watch)
    assert watch.advanced == [1, 2, 1]
    assert watch.right[-1] == Tally(*_overall(request_.out))
    assert predictions.read_bytes() == whole


def test_a_killed_process_loses_no_finished_state(
    request_: RunRequest, whole: bytes, tmp_path: Path, fakes: Callable[[str], ModuleType]
) -> None:
    """After a SIGKILL in the middle the same command ends with the same predictions."""
    forked = fakes("forked")
    predictions = request_.out / "predictions.jsonl"
    with forked.Forked(forked.command(*_command(request_)[3:]), tmp_path / "output") as process:
        _wait_for_predictions(process, predictions)
    assert process.returncode == -signal.SIGKILL
    kept = predictions.read_bytes()
    assert whole.startswith(kept[: kept.rfind(b"\n") + 1])
    assert kept
    run(request_, Watch())
    assert predictions.read_bytes() == whole


def test_ctrl_c_is_one_line(
    request_: RunRequest, tmp_path: Path, fakes: Callable[[str], ModuleType]
) -> None:
    """An interrupted command says that the same command goes on, and exits with 130."""
    forked = fakes("forked")
    # Far from done when the first batch is.
    command = forked.command(*_command(request_, states=200)[3:])

    def interruptible() -> None:
        # Whoever runs the tests in the background has them, and their children, ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        command()

    with forked.Forked(interruptible, tmp_path / "output") as process:
        _wait_for_predictions(process, request_.out / "predictions.jsonl")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
    assert process.err.splitlines()[-1].startswith("stopped; whatever was finished is kept")
    assert "Traceback" not in process.err


def test_a_full_disk_keeps_what_is_finished(
    request_: RunRequest, whole: bytes, tmp_path: Path, fakes: Callable[[str], ModuleType]
) -> None:
    """When predictions cannot be written the run ends in one line, and goes on later."""
    limit = len(b"".join(whole.splitlines(keepends=True)[:BATCH])) + 100
    forked = fakes("forked")

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        forked.command(*_command(request_)[3:])()

    process = forked.Forked(fill, tmp_path / "output")
    assert process.wait() == 2
    assert "File too large" in process.err.splitlines()[-1]
    assert "Traceback" not in process.err
    run(request_, Watch())
    assert (request_.out / "predictions.jsonl").read_bytes() == whole


def test_another_run_into_the_same_folder_is_refused(request_: RunRequest) -> None:
    """Other settings do not mix with what is there; the message names the first."""
    run(request_, Watch())
    with pytest.raises(ResumeError, match="max_new_tokens was 256, now 300"):
        run(replace(request_, max_new_tokens=300), Watch())


def test_a_limit_that_cuts_correct_answers_is_refused(request_: RunRequest) -> None:
    """The default protocol takes no limit under the longest gold answer; the paper's does."""
    with pytest.raises(SettingError, match="would cut correct answers"):
        run(replace(request_, max_new_tokens=20), Watch())
    assert not request_.out.exists()
    measured = run(replace(request_, protocol="paper", max_new_tokens=20), Watch())
    assert measured.document["answers_without_full_stop"] == STATES


def test_the_paper_protocol_is_what_it_says(request_: RunRequest) -> None:
    """The paper's protocol runs one prompt at a time in bfloat16 with 100 new tokens."""
    run(replace(request_, protocol="paper", batch_size=None), Watch())
    protocol = json.loads((request_.out / "run.json").read_text())["protocol"]
    assert (protocol["batch_size"], protocol["max_new_tokens"]) == (1, 100)
    assert protocol["dtype"] == "bfloat16"


@pytest.mark.parametrize("change", [{"engine": "unconstrained"}, {"prompt_format": "chat"}])
def test_engines_and_formats_run(request_: RunRequest, change: dict[str, Any]) -> None:
    """The ablation and the chat format run the whole way, and say so in the result."""
    run(replace(request_, max_new_tokens=250, **change), Watch())
    result = json.loads((request_.out / "result.json").read_text())
    assert result["protocol"].items() >= change.items()


def test_a_resumed_run_keeps_what_happened_before(
    request_: RunRequest, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch sizes of a run that memory made smaller, and its time, survive Ctrl-C."""
    real, asked = outlines_engine.OutlinesEngine.generate, []

    def cramped(
        self: outlines_engine.OutlinesEngine, prompts: list[TokenIds], done: set[int]
    ) -> Iterator[list[tuple[int, Completion]]]:
        asked.append(self._limits.batch_size)
        if self._limits.batch_size > 1:
            raise torch.OutOfMemoryError("too large")
        yield from real(self, prompts, done)

    monkeypatch.setattr(outlines_engine.OutlinesEngine, "generate", cramped)
    with pytest.raises(KeyboardInterrupt):
        run(request_, Watch(fail_after=2))
    monkeypatch.undo()
    run(request_, Watch())
    assert asked == [BATCH, 1]
    result = json.loads((request_.out / "result.json").read_text())
    assert result["batch_sizes"] == [1]
    assert result["timing"]["decoded_states"] == STATES
    assert (request_.out / "predictions.jsonl").read_bytes() == whole
    before = result["timing"]
    run(request_, Watch())
    assert json.loads((request_.out / "result.json").read_text())["timing"] == before


@pytest.mark.parametrize("killed_after", [1, -(-STATES // BATCH)])
def test_a_run_killed_before_its_notes_counts_every_state(
    request_: RunRequest, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions on disk are counted as decoded, though the kill came before the note of them."""
    noted, note = [0], RunFolder.note

    def kill(self: RunFolder, notes: Mapping[str, object]) -> None:
        noted[0] += 1
        if noted[0] == killed_after:
            raise KeyboardInterrupt
        note(self, notes)

    monkeypatch.setattr(RunFolder, "note", kill)
    with pytest.raises(KeyboardInterrupt):
        run(request_, Watch())
    monkeypatch.undo()
    run(request_, Watch())
    result = json.loads((request_.out / "result.json").read_text())
    assert result["timing"]["decoded_states"] == STATES
