"""The command ``plan``, offline."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import BadParameter

from benchmark.cli.app import app
from benchmark.cli.detect import detect_as_json, detect_lines
from benchmark.errors import DoesNotFitError, SettingError
from benchmark.models.gpus import Gpu
from benchmark.models.registry import registry
from benchmark.runs.gpu_fit import fit
from benchmark.runs.measure import prepare
from benchmark.runs.placement import LeasedGpus, _parts
from benchmark.runs.progress import RunProgress
from benchmark.runs.requests import DataRequest, RunRequest
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

Plan = Callable[..., str]


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plan:
    """``plan(...)``: the output of the command; a request to the hub fails the test."""

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("a request to the hub")

    monkeypatch.setattr("transformers.utils.hub.snapshot_download", reached)
    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", reached)

    def run(*arguments: str) -> str:
        app(["plan", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_complete_registry_without_a_network(plan: Plan) -> None:
    """Every model is planned, and the largest run first, at the same time."""
    planned = json.loads(plan("--gpus", "4", "--vram", "80", "--json"))
    assert planned["models"].keys() == set(registry().models)
    order = [slot["model"] for slot in planned["order"]]
    assert sorted(order) == sorted(registry().models)
    models_70b = {"llama2-70b", "llama2-70b-chat", "codellama-70b", "codellama-70b-instruct"}
    slots = sorted((s["start"], s["gpus"]) for s in planned["order"] if s["model"] in models_70b)
    assert [gpus for _, gpus in slots] == [[0, 1], [2, 3]] * 2
    assert slots[0][0] == slots[1][0] == 0
    assert {planned["models"][key]["dtype"] for key in models_70b} == {"bfloat16"}


def test_the_states_that_show_an_effect(plan: Plan) -> None:
    """``--detect`` adds a line per assumption, and the same numbers in the JSON."""
    arguments = ("--experiment", "math", "--gpus", "1", "--vram", "80")
    text = plan(*arguments, "--detect", "1")
    _, _, lines = text.partition("States that show 1 point at numops >= 1")
    document = json.loads(plan(*arguments, "--detect", "1", "--json"))["detect"]
    assert document["points"] == 1
    for needed in document["states"]:
        assert f"{needed['states']:,}  {100 * needed['changed']:4.1f} % change; " in lines
    assert max(map(len, lines.splitlines())) <= 80
    assert "detect" not in json.loads(plan(*arguments, "--json"))
    for wrong in ("0", "101", "nan"):
        with pytest.raises(BadParameter, match="not above 0 and at most 100 points"):
            plan("--detect", wrong)


def test_the_states_of_a_run_and_what_they_show() -> None:
    """``run --detect`` says how many rows its states reach, and warns about few of them."""
    few, enough = (list(detect_lines(5, "boxes", states)) for states in (12, 717))
    assert few[-2:] == [
        "      12  states of this run: below every row",
        "warning: 12 states show only large effects; measure 64 or more",
    ]
    assert enough[-1] == "     717  states of this run: enough for 5 of 5 rows"
    found = detect_as_json(5, "boxes", 12)["detect"]
    assert isinstance(found, dict)
    assert (found["run_states"], found["warning"]) == (12, few[-1])


def test_one_experiment_as_a_table(plan: Plan) -> None:
    """Only the experiment's pairs are shown."""
    text = plan("--experiment", "math", "--gpu", "A100-40GB")
    assert "math-llama-7b" in text
    assert "code-llama2-7b" not in text
    assert "1 GPU of 40 GB, as fast as A100-40GB" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--experiment", "poetry"), "'poetry' is not one of 'code', 'math', 'alignment'"),
        (("--gpu", "Abacus"), "unknown GPU 'Abacus'; choose one of H100"),
        (("--batch-size", "0"), "batch"),
    ],
)
def test_misuse(plan: Plan, arguments: tuple[str, ...], message: str) -> None:
    """The error lists the choices."""
    with pytest.raises((SettingError, BadParameter), match=message):
        plan(*arguments)


@pytest.fixture
def folder(
    tmp_path: Path,
) -> Path:
    """Return the folder of a local model."""
    path, tokenizer = tmp_path / "mine", tiny_tokenizer()
    tiny_model("gemma", len(tokenizer.raw), tokenizer.eos_id).save_pretrained(path)
    tokenizer.raw.save_pretrained(path)
    return path


def test_a_local_model(plan: Plan, folder: Path, tmp_path: Path) -> None:
    """The configuration of a local model is read from its folder."""
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
    planned = json.loads(plan("--registry", str(file), "--json"))
    assert planned["pairs"]["mine"] == {"fits": True, "reasons": []}
    assert 0 < planned["models"]["mine"]["parameters"] < 100_000


def test_an_unsupported_architecture(plan: Plan, folder: Path, tmp_path: Path) -> None:
    """The model has a one-line error and its pair does not fit; all others are planned."""
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
    planned = json.loads(plan("--registry", str(file), "--json"))
    assert planned["pairs"]["mine"] == {"fits": False, "reasons": ["mine: size unknown"]}
    assert planned["unplanned"].keys() == {"mine"}
    assert "mine" not in planned["unpinned"]  # a local folder has no revision
    assert planned["models"].keys() == set(registry().models)
    text = " ".join(plan("--registry", str(file)).split())
    assert "No forecast of mine: the size of a model of type 'mamba' cannot be counted" in text


def test_gpus_of_a_prepared_run(folder: Path, tmp_path: Path) -> None:
    """A model that fits needs one GPU; too little memory for one prompt is an error."""
    from rich.console import Console

    request = RunRequest(model=str(folder), out=tmp_path, data=DataRequest(states=2), device="cpu")
    prepared = prepare(request, RunProgress(Console(quiet=True)))
    fitting = fit(*_parts(prepared), [24_000_000_000] * 2)
    assert fitting is not None
    assert (fitting.gpus, fitting.batch.batch_size) == (1, 64)
    assert 300 < fitting.batch.shared_tokens < fitting.batch.prompt_tokens
    tiny = [Gpu(f"g{n}", 1_000_000_000) for n in range(2)]
    with (
        pytest.raises(
            DoesNotFitError, match="one prompt needs more memory than 2 GPUs of 1 GB have"
        ),
        LeasedGpus(tiny, (0, 1)).place(prepared),
    ):
        pass


def test_another_engine_pads_its_prompts(folder: Path, tmp_path: Path) -> None:
    """The memory of an engine that is not packed is that of transformers' own cache."""
    from rich.console import Console

    data = DataRequest(states=2)
    request = RunRequest(str(folder), tmp_path, data, device="cpu", engine="outlines")
    fitting = fit(*_parts(prepare(request, RunProgress(Console(quiet=True)))), [24_000_000_000])
    assert fitting is not None
    assert (fitting.batch.shared_tokens, fitting.batch.pass_tokens) == (0, None)
