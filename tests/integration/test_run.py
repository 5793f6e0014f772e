"""A run from end to end on a tiny random model: its files, and resuming after a kill."""

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pytest
import torch

from benchmark.decoding import outlines_engine
from benchmark.errors import DataError, ResumeError, SettingError
from benchmark.records import Completion, Tally, TokenIds
from benchmark.runs.data import load_states, score_files
from benchmark.runs.measure import run
from benchmark.runs.progress_notes import ProgressNotes
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.store.run_folder import RunFolder
from fakes import forked
from fakes.command_line import command_line
from fakes.short_answers import save_short_answer_model

STATES = 5
BATCH = 2


class Process(Protocol):
    """The common interface of a command and a forked process."""

    def poll(self) -> int | None:
        """Return the exit code if the process has ended."""


@dataclass
class RecordedProgress:
    """A progress that records its calls and can interrupt the run after a number of states."""

    fail_after: int | None = None
    started: list[tuple[int, int]] = field(default_factory=list)
    advanced: list[int] = field(default_factory=list)
    right: list[Tally | None] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Ignore the text."""

    def start(self, total: int, done: int, name: str = "", forecast: float | None = None) -> None:
        """Record the number of states."""
        self.started.append((total, done))

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Record the number, and raise KeyboardInterrupt at ``fail_after`` states."""
        self.advanced.append(states)
        self.right.append(right)
        if self.fail_after is not None and sum(self.advanced) >= self.fail_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny Llama with its tokenizer."""
    return save_short_answer_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def request_(model_folder: Path, tmp_path: Path) -> RunRequest:
    """Return a request for five states in batches of two with the engine ``outlines``."""
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
def complete_run(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("expected")
    run(_request(model_folder, out), RecordedProgress())
    return out


@pytest.fixture(scope="module")
def expected(complete_run: Path) -> bytes:
    """Return the predictions of the uninterrupted run."""
    return (complete_run / "predictions.jsonl").read_bytes()


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


def test_quiet(request_: RunRequest) -> None:
    """With -q a run shows its result and no progress."""
    done = command_line(*_command(request_)[3:], "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert "accuracy" in done.stdout


def test_a_run_writes_predictions_and_result(request_: RunRequest) -> None:
    """A run writes one prediction per state and a result with all its settings."""
    progress = RecordedProgress()
    measured = run(request_, progress)
    assert progress.started == [(STATES, 0)]
    assert progress.advanced == [2, 2, 1]
    assert progress.right[-1] == measured.summary.overall.tally
    lines = (request_.out / "predictions.jsonl").read_text().splitlines()
    predictions = [json.loads(line) for line in lines]
    states = load_states(request_.data)
    assert [p["input"] for p in predictions] == [state.description for state in states]
    fields = {"input", "prediction", "token_ids", "finished"}
    assert all(set(p) == fields for p in predictions)
    result = json.loads((request_.out / "result.json").read_text())
    assert result["overall"]["total"] == 7 * STATES
    assert {name: result[name] for name in measured.document} == measured.document
    assert result["protocol"]["batch_size"] == BATCH
    assert result["protocol"]["dtype"] == "float32"
    assert set(result["environment"]["versions"]) >= {"torch", "transformers", "outlines"}
    assert result["model"]["fingerprint"].startswith("sha256-tree:")
    scored = score_files(request_.out / "predictions.jsonl", request_.data, partial=False)
    summaries = {score: scored_by.summary for score, scored_by in measured.scores.items()}
    assert scored.summaries == summaries
    codes = result["errors"]["codes"]
    assert ["".join(str(int(code == ".")) for code in state) for state in codes] == result[
        "outcomes"
    ]
    assert "errors" not in measured.document_of_record()


def test_the_speculative_engine_writes_the_same_predictions(
    request_: RunRequest, expected: bytes, complete_run: Path
) -> None:
    """Interrupted and resumed, the default engine writes the same predictions as ``outlines``.

    The result names the drafts; a result of ``outlines`` has none.
    """
    fast = replace(request_, engine=None)
    with pytest.raises(KeyboardInterrupt):
        run(fast, RecordedProgress(fail_after=1))
    run(fast, RecordedProgress())
    predictions = (fast.out / "predictions.jsonl").read_bytes()
    assert predictions == expected
    result = json.loads((fast.out / "result.json").read_text())
    assert result["protocol"]["engine"] == "speculative"
    [composition] = result["compositions"]
    assert composition["drafts"] == ["answers", "completion", "expected", "expression", "prompt"]
    assert composition["pace"]["rows"] == BATCH
    plain = json.loads((complete_run / "result.json").read_text())
    assert "compositions" not in plain


def test_an_interrupted_run_resumes(request_: RunRequest, expected: bytes) -> None:
    """Ctrl-C keeps finished states; the same request decodes the rest, to the same bytes."""
    with pytest.raises(KeyboardInterrupt):
        run(request_, RecordedProgress(fail_after=1))
    predictions = request_.out / "predictions.jsonl"
    assert predictions.read_bytes().count(b"\n") == BATCH
    assert not (request_.out / "result.json").exists()
    progress = RecordedProgress()
    run(request_, progress)
    assert progress.started == [(STATES, BATCH)]
    assert predictions.read_bytes() == expected
    assert json.loads((request_.out / "result.json").read_text())["timing"]["starts"] == 2
    progress = RecordedProgress()
    run(request_, progress)
    assert progress.started == []


def test_a_truncated_file_is_completed(request_: RunRequest, expected: bytes) -> None:
    """A file that ends within a batch's second line is completed to the same bytes."""
    run(request_, RecordedProgress())
    predictions = request_.out / "predictions.jsonl"
    lines = expected.splitlines(keepends=True)
    predictions.write_bytes(lines[0] + lines[1][:40])
    (request_.out / "result.json").unlink()
    progress = RecordedProgress()
    run(request_, progress)
    assert progress.advanced == [1, 2, 1]
    assert progress.right[-1] == Tally(*_overall(request_.out))
    assert predictions.read_bytes() == expected


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


OTHER = b'{"input": "Box 0 is not in the data.", "prediction": ""}\n'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines, lines[0]], r"predictions.jsonl:6: a second line for the same"),
        (lambda lines: lines[:-1], r"1 of 5 states have no line.*a finished run was changed"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], r"predictions.jsonl:5: not JSON"),
        (_swapped, r"prediction 1 is not about state 1: a finished run was changed"),
        (lambda lines: [*lines, OTHER], r"prediction 6 is about no state of the data"),
    ],
    ids=["doubled", "missing", "torn", "reordered", "extra"],
)
def test_changed_lines_of_a_finished_run_are_an_error(
    complete_run: Path,
    request_: RunRequest,
    change: Callable[[list[bytes]], list[bytes]],
    message: str,
) -> None:
    """Doubled, missing, torn, reordered and other lines: the files stay as they are."""
    shutil.copytree(complete_run, request_.out)
    predictions = request_.out / "predictions.jsonl"
    content = b"".join(change(predictions.read_bytes().splitlines(keepends=True)))
    predictions.write_bytes(content)
    with pytest.raises(DataError, match=message):
        run(request_, RecordedProgress())
    assert predictions.read_bytes() == content


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_sizes": [-2]}, r"batch_sizes\.0: Input should be greater than or equal to 1"),
        ({"batch_sizes": [0]}, r"batch_sizes\.0: Input should be greater"),
        ({"batch_sizes": [10**30]}, r"do not shrink from 2"),
        ({"batch_sizes": [1, 2]}, r"do not shrink from 2"),
        ({"batch_sizes": ["2"]}, r"batch_sizes\.0: Input should be a valid integer"),
        ({"batch_sizes": [True]}, r"batch_sizes\.0: Input should be a valid integer"),
        ({"batch_sizes": None}, r"batch_sizes: Input should be a valid tuple"),
        ({"timing": {"decoded_states": 2, "seconds": float("nan")}}, r"NaN is not a finite number"),
        ({"timing": {"decoded_states": -2, "seconds": 1.0}}, r"timing\.decoded_states"),
        ({"timing": {"decoded_states": 2, "seconds": 1.0, "starts": 0.5}}, r"timing\.starts"),
        ({"timing": []}, r"timing: Input should be"),
        ({"compositions": [1]}, r"compositions\.0: Input should be a valid dictionary"),
        ({"batches": 3}, r"batches: Unexpected keyword argument"),
    ],
)
def test_damaged_notes_are_an_error(
    complete_run: Path, request_: RunRequest, values: dict[str, object], message: str
) -> None:
    """A value of the wrong type or size ends the run with a line; it names file and remedy."""
    shutil.copytree(complete_run, request_.out)
    path = request_.out / "progress.json"
    notes = json.loads(path.read_text())
    path.write_text(json.dumps({**notes, **values}))
    with pytest.raises(DataError, match=rf"progress\.json: .*{message}.*; remove the file"):
        run(request_, RecordedProgress())
    path.unlink()
    run(request_, RecordedProgress())


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"a": ' * 200 + "1" + "}" * 200])
def test_a_damaged_result_is_an_error(
    complete_run: Path, request_: RunRequest, content: str
) -> None:
    """The line names the file; without it the same command writes it again."""
    shutil.copytree(complete_run, request_.out)
    path = request_.out / "result.json"
    expected, _ = path.read_bytes(), path.write_text(content)
    with pytest.raises(DataError, match=r"result\.json: .*; remove it, and the same command"):
        run(request_, RecordedProgress())
    path.unlink()
    run(request_, RecordedProgress())
    old, new = json.loads(expected), json.loads(path.read_bytes())
    assert {**new, "timing": 0} == {**old, "timing": 0}


def _moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def _replaced(folder: Path) -> None:
    _moved(folder)
    folder.mkdir()


@pytest.mark.parametrize("after", [2, STATES], ids=["meanwhile", "at the end"])
@pytest.mark.parametrize("change", [_moved, shutil.rmtree, _replaced])
def test_a_folder_that_is_lost_ends_the_run(
    request_: RunRequest, change: Callable[[Path], None], after: int
) -> None:
    """Moved, removed or replaced while a run writes into it: one line, and no new folder."""

    class Losing(RecordedProgress):
        def advance(
            self, states: int, right: Tally | None = None, memory: int | None = None
        ) -> None:
            super().advance(states, right, memory)
            if sum(self.advanced) == after:
                change(request_.out)

    with pytest.raises(ResumeError, match=r"run: moved, removed or replaced.*--out to resume"):
        run(request_, Losing())
    assert not request_.out.exists() or not [*request_.out.iterdir()]


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("")])
def test_predictions_that_are_lost_end_the_run(
    request_: RunRequest, change: Callable[[Path], None]
) -> None:
    """Removed or changed by another program, they are not written on as if they were whole."""

    class Losing(RecordedProgress):
        def advance(
            self, states: int, right: Tally | None = None, memory: int | None = None
        ) -> None:
            change(request_.out / "predictions.jsonl")

    with pytest.raises((ResumeError, FileNotFoundError), match=r"predictions\.jsonl"):
        run(request_, Losing())
    assert not (request_.out / "result.json").exists()


def test_a_killed_process_loses_no_finished_state(
    request_: RunRequest, expected: bytes, tmp_path: Path
) -> None:
    """After SIGKILL, the same command ends with the same predictions."""
    predictions = request_.out / "predictions.jsonl"
    with forked.Process(forked.command(*_command(request_)[3:]), tmp_path / "output") as process:
        _wait_for_predictions(process, predictions)
    assert process.returncode == -signal.SIGKILL
    kept = predictions.read_bytes()
    assert expected.startswith(kept[: kept.rfind(b"\n") + 1])
    assert kept
    run(request_, RecordedProgress())
    assert predictions.read_bytes() == expected


def test_ctrl_c_is_one_line(request_: RunRequest, tmp_path: Path) -> None:
    """An interrupted command says where finished states are saved, and exits with code 130."""
    # So many states that the run is not finished soon after the first batch.
    command = forked.command(*_command(request_, states=200)[3:])

    def interruptible() -> None:
        # Processes in the background of a shell ignore Ctrl-C, and so do their children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        command()

    with forked.Process(interruptible, tmp_path / "output") as process:
        _wait_for_predictions(process, request_.out / "predictions.jsonl")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
    message = f"Stopped. Finished states are saved in {request_.out}; rerun to resume."
    assert process.err.splitlines()[-1] == message
    assert "Traceback" not in process.err


def test_a_full_disk_keeps_finished_states(
    request_: RunRequest, expected: bytes, tmp_path: Path
) -> None:
    """If predictions cannot be written, the run ends with one line and can be resumed."""
    limit = len(b"".join(expected.splitlines(keepends=True)[:BATCH])) + 100

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        forked.command(*_command(request_)[3:])()

    process = forked.Process(fill, tmp_path / "output")
    assert process.wait() == 2
    assert "File too large" in process.err.splitlines()[-1]
    assert "Traceback" not in process.err
    run(request_, RecordedProgress())
    assert (request_.out / "predictions.jsonl").read_bytes() == expected


def test_another_run_into_the_same_folder_is_refused(request_: RunRequest) -> None:
    """A run with other settings is refused; the error names the first difference."""
    run(request_, RecordedProgress())
    with pytest.raises(ResumeError, match="max_new_tokens was 256, now 300"):
        run(replace(request_, max_new_tokens=300), RecordedProgress())


def test_a_limit_that_cuts_correct_answers_is_refused(request_: RunRequest) -> None:
    """The default protocol refuses limits below the longest gold answer; the paper's does not."""
    with pytest.raises(SettingError, match="would cut correct answers"):
        run(replace(request_, max_new_tokens=20), RecordedProgress())
    assert not request_.out.exists()
    measured = run(replace(request_, protocol="paper", max_new_tokens=20), RecordedProgress())
    assert measured.document["answers_without_full_stop"] == STATES


def test_the_paper_protocol(request_: RunRequest) -> None:
    """The paper's protocol runs one prompt at a time in bfloat16 with up to 100 new tokens."""
    run(replace(request_, protocol="paper", batch_size=None), RecordedProgress())
    protocol = json.loads((request_.out / "run.json").read_text())["protocol"]
    assert (protocol["batch_size"], protocol["max_new_tokens"]) == (1, 100)
    assert protocol["dtype"] == "bfloat16"


@pytest.mark.parametrize("change", [{"engine": "unconstrained"}, {"prompt_format": "chat"}])
def test_engines_and_formats_run(request_: RunRequest, change: dict[str, Any]) -> None:
    """The ablation and the chat format run to the end, and are named in the result."""
    run(replace(request_, max_new_tokens=250, **change), RecordedProgress())
    result = json.loads((request_.out / "result.json").read_text())
    assert result["protocol"].items() >= change.items()


def test_a_resumed_run_keeps_its_history(
    request_: RunRequest, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch sizes that were reduced for lack of memory, and times, are kept across Ctrl-C."""
    generate, batch_sizes = outlines_engine.OutlinesEngine.generate, []

    def out_of_memory(
        self: outlines_engine.OutlinesEngine, prompts: list[TokenIds], done: set[int]
    ) -> Iterator[list[tuple[int, Completion]]]:
        batch_sizes.append(self._limits.batch_size)
        if self._limits.batch_size > 1:
            raise torch.OutOfMemoryError("too large")
        yield from generate(self, prompts, done)

    monkeypatch.setattr(outlines_engine.OutlinesEngine, "generate", out_of_memory)
    with pytest.raises(KeyboardInterrupt):
        run(request_, RecordedProgress(fail_after=2))
    monkeypatch.undo()
    run(request_, RecordedProgress())
    assert batch_sizes == [BATCH, 1]
    result = json.loads((request_.out / "result.json").read_text())
    assert result["batch_sizes"] == [1]
    assert result["timing"]["decoded_states"] == STATES
    assert (request_.out / "predictions.jsonl").read_bytes() == expected
    before = result["timing"]
    run(request_, RecordedProgress())
    assert json.loads((request_.out / "result.json").read_text())["timing"] == before


@pytest.mark.parametrize("killed_after", [1, -(-STATES // BATCH)])
def test_a_run_killed_before_its_notes_counts_every_state(
    request_: RunRequest, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions on disk count as decoded, even if the run was killed before noting them."""
    noted, note = [0], RunFolder.write_progress

    def kill(self: RunFolder, notes: ProgressNotes) -> None:
        noted[0] += 1
        if noted[0] == killed_after:
            raise KeyboardInterrupt
        note(self, notes)

    monkeypatch.setattr(RunFolder, "write_progress", kill)
    with pytest.raises(KeyboardInterrupt):
        run(request_, RecordedProgress())
    monkeypatch.undo()
    run(request_, RecordedProgress())
    result = json.loads((request_.out / "result.json").read_text())
    assert result["timing"]["decoded_states"] == STATES
