"""Widened controls: larger models that compute the same function."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.controls.widen import WideModel, shape_of, widen
from benchmark.errors import SettingError
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.planning.architectures import Architecture, architectures
from benchmark.runs.evaluation import Questions, evaluate
from benchmark.runs.requests import NOT_WRITTEN, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named
from fakes.command_line import command_line

TRACK = Path(__file__).parents[3] / "fixtures" / "models" / "track"
VOCABULARY = 689
TOLERANCE = 1e-4
"""Of logits up to 21 in float32; a dot product over a larger width is added up in another order."""


def _shape(
    hidden: int, mlp: int, layers: int, heads: tuple[int, int, int], tokens: int, *, tied: bool
) -> Architecture:
    """Return a shape; ``heads`` are query heads, key heads and the size of a head."""
    return Architecture(
        model_type="llama",
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        head_dim=heads[2],
        vocab_size=tokens,
        tie_word_embeddings=tied,
        max_position_embeddings=1024,
    )


SHAPES = {
    "multi-head, heads of 64, untied": _shape(256, 300, 4, (8, 8, 64), 689, tied=False),
    "grouped, heads of 128": _shape(256, 300, 4, (8, 4, 128), 689, tied=True),
    "grouped, heads of 256, more layers": _shape(384, 256, 6, (16, 4, 256), 1000, tied=False),
    "more tokens, tied": _shape(192, 256, 4, (4, 4, 32), 1500, tied=True),
    "the control's own": _shape(128, 256, 4, (4, 4, 32), 689, tied=True),
}


@pytest.fixture(scope="module")
def control() -> PreTrainedModel:
    """Return the control that tracks."""
    return load_model(locate(str(TRACK)), LoadOptions("cpu", "float32"))


def _logits(model: PreTrainedModel, vocabulary: int) -> torch.Tensor:
    ids = torch.tensor([[(7 * i * i + 3) % vocabulary for i in range(120)]])
    with torch.inference_mode():
        logits: torch.Tensor = model(ids).logits[0]
    return logits


def _built(wide: WideModel) -> PreTrainedModel:
    model = LlamaForCausalLM(wide.config).eval()
    weights = {name: wide.tensor(name) for name in wide.shapes}
    model.load_state_dict(weights, strict=not wide.config.tie_word_embeddings)
    return model


def _assert_equal(control: PreTrainedModel, wide: PreTrainedModel) -> None:
    vocabulary = control.config.vocab_size
    small, large = _logits(control, vocabulary), _logits(wide, vocabulary)
    assert torch.allclose(small, large[:, :vocabulary], rtol=0, atol=TOLERANCE)
    # Other tokens than the control's have the logit of one of its tokens.
    assert torch.equal(small.argmax(-1), large.argmax(-1) % vocabulary)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_logits_are_the_controls(control: PreTrainedModel, shape: Architecture) -> None:
    """In every shape, although most weights of the larger model are random."""
    wide = WideModel(control, shape, np.random.default_rng(0))
    assert {name: wide.tensor(name).shape for name in wide.shapes} == wide.shapes
    _assert_equal(control, _built(wide))


@pytest.mark.parametrize(("small", "large"), [((4, 1, 16), (8, 1, 64)), ((4, 2, 16), (12, 3, 128))])
def test_grouped_controls(small: tuple[int, int, int], large: tuple[int, int, int]) -> None:
    """A control whose query heads share keys keeps which of them share."""
    heads, keys, size = small
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        head_dim=size,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    control = LlamaForCausalLM(config).eval()
    shape = _shape(96, 56, 3, large, 97, tied=False)
    _assert_equal(control, _built(WideModel(control, shape, np.random.default_rng(0))))


def test_a_wrong_embedding_is_detected(control: PreTrainedModel) -> None:
    """Without the scale of the queries the logits differ, so the comparison can fail."""
    wide = WideModel(control, SHAPES["grouped, heads of 128"], np.random.default_rng(0))
    model = _built(wide)
    model.model.layers[0].self_attn.q_proj.weight.data /= 2
    with pytest.raises(AssertionError):
        _assert_equal(control, model)


def test_folder_is_a_model_with_the_controls_answers(tmp_path: Path) -> None:
    """The normal loader and the default engine take it; answers and scores are the control's."""
    out = tmp_path / "wide"
    widen(TRACK, SHAPES["grouped, heads of 128"], out, shard_bytes=1_500_000)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in out.glob("*.safetensors"))
    assert sorted(set(index["weight_map"].values())) == files
    assert len(files) > 2
    assert max((out / file).stat().st_size for file in files) < 1_600_000
    answers = [_judged(folder) for folder in (TRACK, out)]
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2


def _judged(folder: Path) -> list[object]:
    """Return the answers of a model to two states, and their outcomes."""
    task = task_named(DEFAULT)
    every = task.generate("test", 0, default_vocabulary(), subsampled=True)
    states = [next(every), next(every)]
    request = RunRequest(str(folder), NOT_WRITTEN, device="cpu", max_new_tokens=64)
    location = locate(str(folder))
    model = load_model(location, LoadOptions("cpu", "float32"))
    questions = Questions(task, resolve(request), load_tokenizer(location), states)
    return [answer for batch in evaluate(questions, model) for answer in batch]


def test_one_file_without_an_index(tmp_path: Path) -> None:
    """The seed decides the random weights; without additional weights there are none."""
    tensors = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        widen(TRACK, SHAPES["more tokens, tied"], tmp_path / name, dtype="bfloat16", seed=seed)
        files = [path.name for path in (tmp_path / name).glob("model*")]
        assert files == ["model.safetensors"]
        with safe_open(tmp_path / name / files[0], "pt") as file:
            tensors.append(file.get_tensor("model.layers.0.mlp.up_proj.weight"))
    assert tensors[0].dtype == torch.bfloat16
    assert torch.equal(tensors[0], tensors[1])
    assert not torch.equal(tensors[0], tensors[2])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"hidden_size": 64}, "hidden_size is 64, not 128"),
        ({"num_hidden_layers": 3}, "num_hidden_layers is 3, not 4"),
        ({"head_dim": 48}, "head_dim is 48, no multiple of 32"),
        ({"num_key_value_heads": 1}, "num_key_value_heads is 1, not 4"),
        ({"num_attention_heads": 6}, "num_attention_heads is 6, no multiple of 4"),
        ({"hidden_size": 130}, "hidden_size is 130, no multiple of 4"),
        ({"vocab_size": 10}, "vocab_size is 10, not 689"),
        ({"model_type": "gemma"}, "has the type gemma"),
    ],
)
def test_shapes_that_cannot_hold_the_control(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    """They are refused in a line that names the number; nothing is written."""
    shape = shape_of(TRACK).model_copy(update=changes)
    with pytest.raises(SettingError, match=problem):
        widen(TRACK, shape, tmp_path / "wide")
    assert not (tmp_path / "wide").exists()


def test_command(tmp_path: Path) -> None:
    """``--like`` names a published Llama, options change its numbers; a full folder is refused."""
    out = tmp_path / "wide"
    sizes = ("--hidden-size", "160", "--intermediate-size", "256", "--layers", "5")
    heads = ("--heads", "4", "--key-heads", "4", "--head-size", "64", "--vocabulary", "700")
    words = ("widen", TRACK, "--like", "llama2-7b", *sizes, *heads, "--head", "tied", "--out", out)
    assert command_line(*words).returncode == 0
    config = json.loads((out / "config.json").read_text())
    assert (config["hidden_size"], config["max_position_embeddings"]) == (160, 4096)
    assert config["tie_word_embeddings"]
    done = command_line(*words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "has files already" in done.stderr
    assert command_line("widen", TRACK, "--like", "gemma-7b", "--out", out).returncode == 2


def test_published_shapes_hold_the_control(control: PreTrainedModel) -> None:
    """Llama 2 7B and 70B do; the weights are not made."""
    for name in ("llama2-7b", "llama2-70b"):
        wide = WideModel(control, architectures().architectures[name], np.random.default_rng(0))
        assert wide.shapes["model.layers.1.self_attn.k_proj.weight"][0] in {4096, 1024}
