"""A model that overflows in float16 is refused with the place, by ``run`` and ``fingerprint``."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmark.decoding import outlines_engine
from benchmark.decoding.finite_logits import NonFiniteLogitsError
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.fingerprints.vanilla import vanilla_fingerprint
from benchmark.records import Completion, TokenIds
from benchmark.runs.requests import DataRequest
from fakes.command_line import command_line
from fakes.engine_rows import with_weights

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "track"
OVERFLOW = "are not finite (both counted from 0); the model may overflow in float16"


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control model whose weights are finite and whose last norm overflows in float16."""
    folder = tmp_path_factory.mktemp("models") / "track"
    shutil.copytree(MODEL, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_decoder().norm.weight.fill_(60_000)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("engine", with_weights())
def test_run(overflowing: Path, tmp_path: Path, engine: str) -> None:
    """It is one line with model, state, token and the next step, and exit code 2."""
    settings = ("--states", "2", "--device", "cpu", "--dtype", "float16", "--engine", engine)
    out = tmp_path / "out"
    result = command_line("run", "--model", overflowing, "--out", out, *settings)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == (
        "error: track: the logits for token 0 of the answer to state 0 are not finite (both "
        "counted from 0); the model may overflow in float16; use --dtype bfloat16 or float32"
    )
    assert not (out / "result.json").exists()


def _refused(result: CompletedProcess[str], out: Path, reason: str) -> None:
    """Check that a command was refused in one line that has the reason, and wrote nothing."""
    assert (result.returncode, result.stdout) == (2, "")
    *_, line = result.stderr.splitlines()
    assert line.startswith("error: track: " if reason is OVERFLOW else "error: ")
    assert reason in line
    assert "log-probabilities" not in result.stderr
    assert not list(out.parent.iterdir())


def test_fingerprint(overflowing: Path, tmp_path: Path) -> None:
    """A first record of such a model is refused, as ``run`` refuses it."""
    out = tmp_path / "record.json"
    settings = ("--states", "2", "--device", "cpu", "--dtype", "float16", "--repeats", "1")
    _refused(command_line("fingerprint", overflowing, "--out", out, *settings), out, OVERFLOW)


def test_fingerprint_along(overflowing: Path, tmp_path: Path) -> None:
    """In a record that follows another, both stages that run the model have failed, with place."""
    settings = ("--states", "2", "--device", "cpu", "--out")
    command = ("fingerprint", overflowing, *settings)
    old, out = tmp_path / "old.json.gz", tmp_path / "record.json.gz"
    assert command_line(*command, old).returncode == 0
    result = command_line(*command, out, "--along", old, "--dtype", "float16")
    assert result.returncode == 0, result.stderr
    stages = read_fingerprint(out).stages
    for name in ("logits", "generated_ids"):
        failure = str(stages[name].failed)
        assert failure.startswith("NonFiniteLogitsError: track: the logits for token 0 "), failure
    assert stages["weights"].failed is None


def _speed(model: Path, out: Path, *more: str) -> CompletedProcess[str]:
    settings = ("--states", "2", "--device", "cpu", "--repeats", "1", "--json-file", out)
    return command_line("speed", "--model", model, *settings, *more)


def test_speed(
    overflowing: Path, tmp_path: Path, warm_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``speed`` refuses it with the first engine, and writes no figures."""
    monkeypatch.setattr(sys, "executable", str(warm_programs / "python"))
    out = tmp_path / "speed.json"
    engines = ("--engines", "speculative:float16,outlines")
    _refused(_speed(overflowing, out, *engines), out, OVERFLOW)


def test_weights_that_are_not_finite(
    tmp_path: Path, warm_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights with a NaN are refused by both commands."""
    monkeypatch.setattr(sys, "executable", str(warm_programs / "python"))
    folder = Path(shutil.copytree(MODEL, tmp_path / "models" / "track"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_decoder().norm.weight[0] = float("nan")
    model.save_pretrained(folder)
    out = tmp_path / "out" / "record.json"
    result = command_line("fingerprint", folder, "--out", out, "--states", "1", "--device", "cpu")
    _refused(result, out, "model.norm.weight is not finite")
    _refused(_speed(folder, out), out, "model.norm.weight is not finite")


def test_vanilla_fingerprint(overflowing: Path, tmp_path: Path) -> None:
    """The libraries used directly yield tokens of such logits; the stage is recorded as failed."""
    folder = shutil.copytree(overflowing, tmp_path / "half")
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    stages = vanilla_fingerprint(folder, DataRequest(states=1)).stages
    assert stages["weights"].failed is None
    failure = str(stages["generated_ids"].failed)
    assert failure.startswith(
        "NonFiniteLogitsError: the logits for token 0 of the answer to prompt 0"
    )


def test_finished_states_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """States that were finished before stay in the folder, and the run can be resumed."""
    generate = outlines_engine.OutlinesEngine.generate

    def fail(
        engine: outlines_engine.OutlinesEngine, prompts: list[TokenIds], done: set[int]
    ) -> Iterator[list[tuple[int, Completion]]]:
        yield next(generate(engine, prompts, done))
        raise NonFiniteLogitsError(1, 7)

    out = tmp_path / "out"
    settings = ("--states", "2", "--device", "cpu", "--batch-size", "1", "--engine", "outlines")
    command = ("run", "--model", MODEL, "--out", out, *settings)
    monkeypatch.setattr(outlines_engine.OutlinesEngine, "generate", fail)
    result = command_line(*command)
    assert result.returncode == 2
    assert "token 7 of the answer to state 1 are not finite" in result.stderr
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 1
    monkeypatch.undo()
    assert command_line(*command).returncode == 0
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 2
