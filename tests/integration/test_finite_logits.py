"""A model that overflows in float16 is refused with the place, by ``run`` and ``fingerprint``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmark.fingerprints.storage import read_fingerprint

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "track"
WORD = "chain"
"""Logits overflow after the token ``the chain``, which is in no answer to the first state."""

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def model(fakes: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control model that overflows after one word."""
    folder = tmp_path_factory.mktemp("models") / "track"
    shutil.copytree(MODEL, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (token,) = tokenizer.encode(f" the {WORD}", add_special_tokens=False)
    weights = AutoModelForCausalLM.from_pretrained(folder)
    fakes("overflowing").overflowing(weights, token).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("engine", ["outlines", "speculative"])
def test_run(command_line: Command, model: Path, tmp_path: Path, engine: str) -> None:
    """One line with model, state, token and next step, exit code 2; finished states are saved."""
    settings = ("--states", "3", "--device", "cpu", "--batch-size", "1", "--engine", engine)
    common = ("--model", model, "--out", tmp_path / "out", *settings)
    result = command_line("run", *common, "--dtype", "float16")
    assert result.returncode == 2
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: track: the logits for token ")
    assert " of the answer to state " in error
    assert error.endswith("the model may overflow in float16; use --dtype bfloat16 or float32")
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    predictions = [json.loads(line)["prediction"] for line in lines]
    assert predictions
    assert not any(WORD in prediction for prediction in predictions)
    assert not (tmp_path / "out" / "result.json").exists()
    result = command_line("run", *common, "--dtype", "float32", "--set-aside")
    assert result.returncode == 0


def test_fingerprint(command_line: Command, model: Path, tmp_path: Path) -> None:
    """Both stages that run the model have failed, each with its place."""
    out = tmp_path / "record.json.gz"
    common = ("--states", "2", "--device", "cpu", "--dtype", "float16", "--repeats", "1")
    result = command_line("fingerprint", model, "--out", out, *common)
    assert result.returncode == 0, result.stderr
    stages = read_fingerprint(out).stages
    for name in ("logits", "generated_ids"):
        failure = str(stages[name].failed)
        assert failure.startswith("NonFiniteLogitsError: track: the logits for token "), failure
        assert " of the answer to state 1 " in failure
    assert stages["weights"].failed is None
