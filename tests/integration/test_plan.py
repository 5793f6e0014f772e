"""``plan`` from the command line, offline."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from benchmark.cli.app import app
from benchmark.errors import DoesNotFitError, SettingError
from benchmark.models.registry import registry
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.measure import prepare
from benchmark.runs.placement import needed_gpus
from benchmark.runs.progress import RunProgress
from benchmark.runs.requests import DataRequest, RunRequest

Plan = Callable[..., str]


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plan:
    """``plan(...)``: what the verb prints; asking the hub for anything fails the test."""

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("transformers.utils.hub.snapshot_download", reached)
    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", reached)

    def run(*arguments: str) -> str:
        app(["plan", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_whole_registry_without_a_network(plan: Plan) -> None:
    """Every model is planned, pairs that share models one after the other."""
    found = json.loads(plan("--gpus", "4", "--vram", "80", "--json"))
    assert found["models"].keys() == set(registry().models)
    order = [slot["model"] for slot in found["order"]]
    assert sorted(order) == sorted(registry().models)
    own = {"llama2-70b", "llama2-70b-chat", "codellama-70b", "codellama-70b-instruct"}
    starts = sorted((s["start"], s["seconds"]) for s in found["order"] if s["model"] in own)
    assert starts[0][0] == 0
    for (start, seconds), (following, _) in itertools.pairwise(starts):
        assert following == pytest.approx(start + seconds)


def test_one_experiment_as_a_table(plan: Plan) -> None:
    """Only its pairs are shown."""
    text = plan("--experiment", "math", "--gpu", "A100-40GB")
    assert "math-llama-7b" in text
    assert "code-llama2-7b" not in text
    assert "1 GPU of 40 GB, as fast as A100-40GB" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--experiment", "poetry"), "no pairs of experiment 'poetry'; choose of code, math"),
        (("--gpu", "Abacus"), "unknown GPU 'Abacus'; choose one of H100"),
        (("--dtype", "int3"), "unknown dtype 'int3'; choose one of float32"),
        (("--batch-size", "0"), "batch"),
    ],
)
def test_misuse(plan: Plan, arguments: tuple[str, ...], message: str) -> None:
    """It is refused with what there is."""
    with pytest.raises(SettingError, match=message):
        plan(*arguments)


@pytest.fixture
def folder(
    tmp_path: Path,
    tiny_model: Callable[..., PreTrainedModel],
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> Path:
    """A local model."""
    path, tokenizer = tmp_path / "mine", tiny_tokenizer()
    tiny_model("gemma", len(tokenizer.raw), tokenizer.eos_id).save_pretrained(path)
    tokenizer.raw.save_pretrained(path)
    return path


def test_a_user_s_own_local_model(plan: Plan, folder: Path, tmp_path: Path) -> None:
    """Its configuration is read from its folder."""
    file = tmp_path / "own.toml"
    file.write_text(
        f"""
[models.mine]
name = "Mine"
huggingface_id = "./{folder.name}"
architecture = "gemma"
size = "tiny"
added = ["code"]
format = "completion"
paper = false

[[pairs]]
id = "mine"
experiment = "code"
base = "gemma-2b"
variant = "mine"
hypothesis = "gain"
source = "a test"
""",
        encoding="utf-8",
    )
    found = json.loads(plan("--registry", str(file), "--json"))
    assert found["pairs"]["mine"] == {"fits": True, "reasons": []}
    assert 0 < found["models"]["mine"]["parameters"] < 100_000


def test_an_architecture_that_cannot_be_planned(plan: Plan, folder: Path, tmp_path: Path) -> None:
    """It is one line and its pair does not fit; everything else is planned."""
    (folder / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    file = tmp_path / "own.toml"
    file.write_text(
        f"""
[models.mine]
name = "Mine"
huggingface_id = "./{folder.name}"
architecture = "mamba"
size = "tiny"
added = ["code"]
format = "completion"
paper = false

[[pairs]]
id = "mine"
experiment = "code"
base = "gemma-2b"
variant = "mine"
hypothesis = "gain"
source = "a test"
""",
        encoding="utf-8",
    )
    found = json.loads(plan("--registry", str(file), "--json"))
    assert found["pairs"]["mine"] == {"fits": False, "reasons": ["mine: size unknown"]}
    assert found["unplanned"].keys() == {"mine"}
    assert "mine" not in found["unpinned"]  # a local folder has no revision
    assert found["models"].keys() == set(registry().models)
    text = " ".join(plan("--registry", str(file)).split())
    assert "No forecast of mine: the size of a model of type 'mamba' cannot be counted" in text


def test_a_prepared_run_knows_its_gpus(folder: Path, tmp_path: Path) -> None:
    """A model that fits takes one GPU; one too small for a single prompt is told so."""
    from rich.console import Console

    request = RunRequest(model=str(folder), out=tmp_path, data=DataRequest(states=2), device="cpu")
    prepared = prepare(request, RunProgress(Console(quiet=True)))
    assert needed_gpus(prepared, 24_000_000_000, 2) == 1
    with pytest.raises(DoesNotFitError, match="one prompt is more than 2 GPUs of 1 GB hold"):
        needed_gpus(prepared, 1_000_000_000, 2)
