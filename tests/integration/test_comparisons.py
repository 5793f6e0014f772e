"""The commands that compare two runs, and their shared store, on tiny random models."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.app import app
from benchmark.errors import ModelError
from fakes.short_answers import save_short_answer_model

STATES = 4


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """Return the folders of two tiny Llamas with different seeds."""
    folders = enumerate(("first", "second"))
    return [str(save_short_answer_model(tmp_path / name, seed)) for seed, name in folders]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``command(name, ...)``: the output of a command on four states and the CPU."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        common = ("--states", str(STATES), "--device", "cpu", "--store", str(tmp_path / "store"))
        app([*arguments, *common], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_pair_measures_each_model_once(
    command: Callable[..., str], models: list[str], tmp_path: Path
) -> None:
    """Both models are run on the same states; a second call decodes nothing."""
    first = json.loads(command("pair", *models, "--json"))
    assert first["hypothesis"] == "gain"
    assert first["base"]["overall"]["total"] == 7 * STATES
    assert first["base"]["exact"]["overall"]["total"] == 7 * STATES
    expected = first["variant"]["nontrivial"]["correct"] - first["base"]["nontrivial"]["correct"]
    difference = first["difference"]["nontrivial"]
    assert difference["gained"] - difference["lost"] == expected
    predictions = sorted((tmp_path / "store").glob("*/predictions.jsonl"))
    assert len(predictions) == 2
    before = [path.stat().st_mtime_ns for path in predictions]
    assert json.loads(command("pair", *models, "--json")) == first
    assert [path.stat().st_mtime_ns for path in predictions] == before


def test_pair_as_a_table(command: Callable[..., str], models: list[str]) -> None:
    """The table fits 80 columns and a line has the verdict with its reason."""
    text = command("pair", *models)
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert ">= 1" in text
    assert "hypothesis at numops >= 1, gain: undecided: " in text
    assert "at least 5 needed" in text
    assert "warning: 4 states show only large effects; measure 64 or more" in text


def test_pair_of_a_custom_registry(
    command: Callable[..., str], models: list[str], tmp_path: Path
) -> None:
    """The keys of --registry can be used, and its pair's hypothesis is tested."""
    models_toml = "\n".join(
        f'[models.{key}]\nname = "{key}"\nhuggingface_id = "./{key}"\narchitecture = "llama"\n'
        'size = "1M"\nadded = []\nformat = "completion"\npaper = false'
        for key in ("first", "second")
    )
    pair = (
        '[[pairs]]\nid = "control-own"\nexperiment = "control"\nbase = "first"\n'
        'variant = "second"\nhypothesis = "no gain"\nsource = "a test"'
    )
    path = tmp_path / "own.toml"
    path.write_text(f"alone = true\n{models_toml}\n{pair}\n")
    pair_result = json.loads(command("pair", "first", "second", "--registry", str(path), "--json"))
    assert pair_result["hypothesis"] == "no gain"
    assert (pair_result["verdict"], pair_result["holds"]) == ("undecided", None)
    nontrivial = pair_result["difference"]["nontrivial"]
    assert nontrivial["low"] is None
    assert "at least 12 needed" in nontrivial["no_interval"]


def test_prompt_format_names_the_better(command: Callable[..., str], models: list[str]) -> None:
    """Both formats are run on the dev split, and the better one is named."""
    result = json.loads(command("prompt-format", "--model", models[0], "--json"))
    assert result["better"] in {"completion", "chat"}
    assert result["base"]["overall"]["total"] == result["variant"]["overall"]["total"] == 7 * STATES
    assert "better on the dev split: " in command("prompt-format", "--model", models[0])


@pytest.mark.parametrize("name", ["prompt-format", "pair"])
def test_both_runs_are_checked_before_one_is_decoded(
    name: str, command: Callable[..., str], models: list[str], tmp_path: Path
) -> None:
    """Without a chat template, or a second model, nothing is measured."""
    (Path(models[0]) / "chat_template.jinja").unlink()
    gone = str(tmp_path / "gone")
    arguments = ("pair", models[0], gone) if name == "pair" else (name, "--model", models[0])
    with pytest.raises(ModelError):
        command(*arguments)
    assert not list((tmp_path / "store").glob("*/*"))


def test_ablation_counts_broken_answers(command: Callable[..., str], models: list[str]) -> None:
    """Without the constraint, every answer of a random model breaks the format."""
    result = json.loads(command("ablation", "--model", models[0], "--json"))
    assert result["broken_answers"] == {"broken": STATES, "total": STATES}
    assert result["base"]["overall"]["correct"] == 0
    text = command("ablation", "--model", models[0])
    assert f"unconstrained answers that break the format: {STATES}/{STATES}" in text


def test_other_settings_are_another_measurement(
    command: Callable[..., str], models: list[str], tmp_path: Path
) -> None:
    """Settings that can change a score are part of the store's key."""
    command("pair", *models)
    command("pair", *models, "--dtype", "bfloat16")
    command("pair", *models, "--batch-size", "2")
    assert len(list((tmp_path / "store").glob("*/result.json"))) == 6


def test_sensitivity_runs_every_variant(
    command: Callable[..., str], models: list[str], tmp_path: Path
) -> None:
    """Each variant is run with and without a BOS, and compared with the default, the first."""
    prompts = json.loads(command("sensitivity", "--model", models[0], "--json"))["prompts"]
    variants = [
        (row["prompt_format"], row["prompt_variant"], row["bos"], row["leading_bos"])
        for row in prompts
    ]
    assert variants == [
        ("completion", "authors", "auto", True),
        ("completion", "authors", "never", False),
        ("completion", "table2", "auto", True),
        ("completion", "table2", "never", False),
        ("chat", None, "auto", True),
        ("chat", None, "never", False),
    ]
    assert [row["usual"] for row in prompts] == [True, *[False] * 5]
    assert prompts[0]["difference"] is None
    for row in prompts[1:]:
        difference = row["difference"]["overall"]
        gained = row["overall"]["correct"] - prompts[0]["overall"]["correct"]
        assert difference["gained"] - difference["lost"] == gained
        assert set(row["exact"]) == {"overall", "nontrivial", "by_numops"}
    assert len(list((tmp_path / "store").glob("*/result.json"))) == 6


def test_sensitivity_as_a_table(command: Callable[..., str], models: list[str]) -> None:
    """The table fits 80 columns and has one row per variant and BOS."""
    text = command("sensitivity", "--model", models[0])
    assert max(map(len, text.splitlines())) <= 80
    names = {"authors", "table2", "chat"}
    words = [line.split() for line in text.splitlines()]
    rows = [line[:2] for line in words if line[:1] and line[0] in names]
    assert rows == [[name, bos] for name in ("authors", "table2", "chat") for bos in ("yes", "no")]
