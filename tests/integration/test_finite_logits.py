"""A model that overflows in float16 is refused with the place, by ``run`` and ``fingerprint``."""

import shutil
from collections.abc import Iterator
from pathlib import Path

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

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "track"


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


@pytest.mark.parametrize("engine", ["outlines", "unconstrained", "speculative"])
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


def test_fingerprint(overflowing: Path, tmp_path: Path) -> None:
    """Both stages that run the model have failed, each with its place."""
    out = tmp_path / "record.json.gz"
    settings = ("--states", "2", "--device", "cpu", "--dtype", "float16", "--repeats", "1")
    result = command_line("fingerprint", overflowing, "--out", out, *settings)
    assert result.returncode == 0, result.stderr
    stages = read_fingerprint(out).stages
    for name in ("logits", "generated_ids"):
        failure = str(stages[name].failed)
        assert failure.startswith("NonFiniteLogitsError: track: the logits for token 0 "), failure
    assert stages["weights"].failed is None


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
