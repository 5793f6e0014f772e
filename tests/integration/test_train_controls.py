"""The command ``train-controls``: killed and resumed, and its models in a run."""

import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fakes import forked
from fakes.command_line import command_line
from fakes.recipes import TINY_RECIPE


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "benchmark", *map(str, arguments)]


def _weights(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in out.glob("*/model.safetensors")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command's output folder with the tiny recipe."""
    out = tmp_path_factory.mktemp("controls")
    done = command_line("train-controls", "--recipe", TINY_RECIPE, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_progress_is_on_stderr(tmp_path: Path) -> None:
    """Every evaluation shows the step, the loss, both accuracies and the remaining time."""
    done = command_line(
        "train-controls", "--recipe", TINY_RECIPE, "--out", tmp_path, "--only", "copy"
    )
    assert not done.stdout
    lines = done.stderr.splitlines()
    assert lines[0] == "training copy"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "step 2 of 4, bare",
        "step 4 of 4, prompted",
    ]
    assert lines[1].endswith("min left")


def test_a_killed_command_resumes(
    trained: Path,
    tmp_path: Path,
) -> None:
    """After SIGKILL at the first checkpoint, the same command ends with the same weights."""
    out = ("--recipe", str(TINY_RECIPE), "--out", str(tmp_path))
    with forked.Process(forked.command("train-controls", *out), tmp_path / "output") as process:
        while process.poll() is None and not (tmp_path / ".copy" / "checkpoint.pt").exists():
            time.sleep(0.01)
    assert process.returncode == -signal.SIGKILL
    assert not _weights(tmp_path)
    done = command_line("train-controls", *out)
    assert "resuming at step" in done.stderr
    assert _weights(tmp_path) == _weights(trained)


def test_a_folder_of_another_recipe_is_misuse(trained: Path) -> None:
    """There is one line on stderr and exit code 2, and the existing models are kept."""
    before = _weights(trained)
    done = command_line("train-controls", "--recipe", TINY_RECIPE, "--out", trained, "--seed", "1")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {trained / 'copy'}: from another recipe or seed; "
        "choose another --out, or remove the folder\n"
    )
    assert _weights(trained) == before


def test_a_control_runs_like_any_model(trained: Path, tmp_path: Path) -> None:
    """Transformers loads the folder, and ``run`` evaluates it."""
    model = AutoModelForCausalLM.from_pretrained(trained / "track")
    tokenizer = AutoTokenizer.from_pretrained(trained / "track")
    logits = model(torch.tensor([tokenizer.encode("Box 0 contains the bag")])).logits
    assert logits.shape[-1] == len(tokenizer)
    done = command_line(
        "run", "--model", trained / "track", "--states", "2", "--out", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").exists()
