"""Models that load without an error but would be measured wrongly: each is refused or mended.

The inputs are made from the control model ``track``, as public bug reports describe them.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    RwkvConfig,
    RwkvForCausalLM,
)

from benchmark.errors import ModelError
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.runs.measure import run
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.runs.run_result import RunResult

TRACK = Path(__file__).parents[2] / "fixtures" / "models" / "track"
Weights = dict[str, torch.Tensor]
CPU = LoadOptions("cpu", "float32")


class Heard(Quiet):
    """Progress that keeps its lines."""

    def __init__(self) -> None:
        """Start without lines."""
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the control model."""
    return Path(shutil.copytree(TRACK, tmp_path / "model"))


def _run(
    folder: Path, states: int = 2, prompt_format: str = "completion"
) -> tuple[RunResult, Heard]:
    heard = Heard()
    request = RunRequest(
        model=str(folder),
        out=folder.parent / "out",
        data=DataRequest(states=states),
        device="cpu",
        max_new_tokens=150,
        prompt_format=prompt_format,
    )
    return run(request, heard), heard


def _notices(folder: Path) -> dict[str, Any]:
    document = json.loads((folder.parent / "out" / "result.json").read_text())
    notices: dict[str, Any] = document["notices"]
    return notices


def _prompt_digest(result: RunResult) -> object:
    prompts = result.identity["prompts"]
    assert isinstance(prompts, dict)
    return prompts["sha256"]


def _edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _change(folder: Path, change: Callable[[Weights], Weights]) -> None:
    path = folder / "model.safetensors"
    weights = {name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}
    save_file(weights, path, metadata={"format": "pt"})


def _refusal(folder: Path, options: LoadOptions = CPU) -> str:
    with pytest.raises(ModelError) as error:
        load_model(locate(str(folder)), options)
    message = str(error.value)
    assert message.startswith(f"{folder}: ")
    assert "\n" not in message
    return message


# Tokenizers


@pytest.mark.parametrize("class_name", ["GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer"])
def test_tokenizer_json_decides_over_a_class(folder: Path, class_name: str) -> None:
    """A class that rebuilds the pre-tokenizer changes no token id, and the result says so."""
    right, _ = _run(folder, states=4)
    shutil.rmtree(folder.parent / "out")
    config = folder / "tokenizer_config.json"
    fields = json.loads(config.read_text())
    fields.pop("backend", None)
    config.write_text(json.dumps(fields | {"tokenizer_class": class_name}))
    result, heard = _run(folder, states=4)
    assert result.texts == right.texts
    assert _prompt_digest(result) == _prompt_digest(right)
    notices = _notices(folder)["tokenizer"]
    differing = (notices["differing_prompts"], notices["differing_answers"])
    assert any("using tokenizer.json" in line for line in heard.lines) == (differing != (0, 0))
    if class_name.startswith("GPT2"):
        assert differing == (4, 4)


# Weights


def _with_scales(weights: Weights) -> Weights:
    quantized: Weights = {}
    for name, tensor in weights.items():
        if tensor.dim() == 2 and "embed" not in name:
            scale = tensor.abs().max() / 448
            quantized[name] = (tensor / scale).to(torch.float8_e4m3fn)
            quantized[f"{name}_scale_inv"] = scale.reshape(1, 1)
        else:
            quantized[name] = tensor
    return quantized


def _without_scales(weights: Weights) -> Weights:
    quantized = _with_scales(weights)
    return {name: tensor for name, tensor in quantized.items() if "scale" not in name}


def _as_integers(weights: Weights) -> Weights:
    name = "model.layers.0.mlp.up_proj.weight"
    return weights | {name: (weights[name] * 100).to(torch.int8)}


def _with(*names: str) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name: torch.ones(4, 128) for name in names}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(
            _with_scales, "28 tensors (model.layers.0.mlp.down_proj.weight_scale_inv", id="fp8"
        ),
        pytest.param(_without_scales, "stored as F8_E4M3", id="fp8 without scales"),
        pytest.param(_as_integers, "stored as I8", id="int8"),
        pytest.param(
            _with("model.layers.0.self_attn.q_proj.lora_A.weight"),
            "q_proj.lora_A.weight",
            id="lora",
        ),
        pytest.param(_with("model.layers.0.self_attn.q_proj.bias"), "q_proj.bias", id="bias"),
        pytest.param(_with("model.layers.4.mlp.up_proj.weight"), "layers.4.mlp", id="layer"),
        pytest.param(_with("score.weight"), "the tensor score.weight", id="another head"),
    ],
)
def test_tensors_that_would_not_be_used(
    folder: Path, change: Callable[[Weights], Weights], named: str
) -> None:
    """Tensors of the checkpoint that no module takes, or without scales, are refused by name."""
    _change(folder, change)
    assert named in _refusal(folder)


def test_a_configuration_with_fewer_layers(folder: Path) -> None:
    """The tensors of a layer that the configuration does not have are refused."""
    _edit(folder / "config.json", num_hidden_layers=3)
    assert "9 tensors (model.layers.3." in _refusal(folder)


def _to_pickles(folder: Path, rename: Callable[[str], str] = lambda name: name) -> None:
    path = folder / "model.safetensors"
    weights = {rename(name): tensor for name, tensor in load_file(path).items()}
    path.unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def _without_prefix(name: str) -> str:
    return name.removeprefix("model.")


@pytest.mark.parametrize("change", [_without_scales, _as_integers])
def test_pickled_weights_without_scales(folder: Path, change: Callable[[Weights], Weights]) -> None:
    """Types are checked in pickled files too."""
    _change(folder, change)
    _to_pickles(folder)
    assert "scales are missing" in _refusal(folder)


@pytest.mark.parametrize("change", [_without_scales, _as_integers])
@pytest.mark.parametrize("pickled", [True, False])
def test_renamed_weights_without_scales(
    folder: Path,
    change: Callable[[Weights], Weights],
    pickled: bool,  # noqa: FBT001
) -> None:
    """Types are checked under any name, such as those of the base model without its prefix."""
    _change(folder, change)
    if pickled:
        _to_pickles(folder, _without_prefix)
    else:
        _change(folder, lambda weights: {_without_prefix(n): t for n, t in weights.items()})
    assert "scales are missing" in _refusal(folder)


def test_types_are_those_of_the_files_that_are_read(folder: Path) -> None:
    """A file that transformers does not read may have any type."""
    weights = load_file(folder / "model.safetensors")
    save_file(_as_integers(weights), folder / "other.safetensors", metadata={"format": "pt"})
    assert load_model(locate(str(folder)), CPU)


def test_pickled_weights_are_loaded(folder: Path) -> None:
    """Pickled weights, with harmless buffers, are the weights of the safetensors."""
    _change(folder, lambda weights: weights | {LAYER_FREQUENCIES: FREQUENCIES})
    _to_pickles(folder, _without_prefix)
    weights = load_model(locate(str(folder)), CPU).state_dict()
    for name, tensor in load_file(TRACK / "model.safetensors").items():
        assert torch.equal(weights[name], tensor)


LAYER_FREQUENCIES = "model.layers.1.self_attn.rotary_emb.inv_freq"
FREQUENCIES = 10_000 ** -(torch.arange(0, 32, 2) / 32)
MASK = torch.ones(6, 6, dtype=torch.uint8).tril()[None, None]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("model.vision_tower.blocks.0.weight", torch.ones(4, 128)),
        ("model.vision_tower.position_ids", torch.ones(1, 4, dtype=torch.int64)),
        (LAYER_FREQUENCIES, FREQUENCIES),
        (LAYER_FREQUENCIES, FREQUENCIES.half()),
        (LAYER_FREQUENCIES, FREQUENCIES.bfloat16()),
        ("model.embeddings.position_ids", torch.arange(512)[None]),
        ("transformer.h.0.attn.bias", MASK),
        ("transformer.h.0.attn.bias", MASK.bool()),
        ("transformer.h.1.attn.attention.bias", MASK - MASK.tril(-3)),
        ("transformer.h.0.attn.masked_bias", torch.tensor(-1e4)),
    ],
)
def test_harmless_tensors_are_ignored(folder: Path, name: str, values: torch.Tensor) -> None:
    """Buffers of older releases and parts that a text does not use are not refused."""
    _change(folder, lambda weights: weights | {name: values})
    weights = load_model(locate(str(folder)), CPU).state_dict()
    assert torch.equal(
        weights["model.norm.weight"], load_file(TRACK / "model.safetensors")["model.norm.weight"]
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (LAYER_FREQUENCIES, 500_000 ** -(torch.arange(0, 32, 2) / 32)),
        (LAYER_FREQUENCIES, FREQUENCIES / 4),
        (LAYER_FREQUENCIES, FREQUENCIES[:8]),
        (LAYER_FREQUENCIES, (FREQUENCIES * 1.01).half()),
        (LAYER_FREQUENCIES, torch.zeros(16, dtype=torch.int8)),
        ("model.embeddings.position_ids", torch.arange(512)[None].flip(1)),
        ("transformer.h.0.attn.bias", torch.ones(6, 6)),
        ("transformer.h.0.attn.bias", torch.ones(6)),
        ("transformer.h.0.attn.bias", MASK * 0.5),
        ("transformer.h.0.attn.masked_bias", torch.ones(3)),
    ],
)
def test_buffers_with_other_values_are_refused(
    folder: Path, name: str, values: torch.Tensor
) -> None:
    """A buffer that is not what the configuration implies is refused by name."""
    _change(folder, lambda weights: weights | {name: values})
    assert f"the tensor {name} of model.safetensors would not be used" in _refusal(folder)


def test_pickled_buffers_with_other_values_are_refused(folder: Path) -> None:
    """The values of buffers are compared in pickled files too."""
    _change(folder, lambda weights: weights | {LAYER_FREQUENCIES: FREQUENCIES / 4})
    _to_pickles(folder)
    assert f"the tensor {LAYER_FREQUENCIES} of pytorch_model.bin" in _refusal(folder)


@pytest.mark.parametrize("stored", [FREQUENCIES, FREQUENCIES / 4])
def test_frequencies_of_scaled_positions(folder: Path, stored: torch.Tensor) -> None:
    """With linear scaling, both scaled and unscaled frequencies are as the configuration."""
    _edit(folder / "config.json", rope_scaling={"rope_type": "linear", "factor": 4.0})
    config = json.loads((folder / "config.json").read_text())
    config.pop("rope_parameters", None)
    (folder / "config.json").write_text(json.dumps(config))
    _change(folder, lambda weights: weights | {LAYER_FREQUENCIES: stored})
    assert load_model(locate(str(folder)), CPU)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.3.mlp.down_proj.weight"])
def test_weights_that_are_not_finite(folder: Path, name: str, value: float) -> None:
    """One weight that is not finite is refused by the name of its tensor."""

    def damage(weights: Weights) -> Weights:
        weights[name].view(-1)[-1] = value
        return weights

    _change(folder, damage)
    assert f"the tensor {name} is not finite" in _refusal(folder)


def test_weights_that_overflow_in_the_dtype(folder: Path) -> None:
    """A weight beyond the range of float16 is refused there, and loaded in float32."""

    def enlarge(weights: Weights) -> Weights:
        weights["model.norm.weight"][0] = 1e6
        return weights

    _change(folder, enlarge)
    assert "try --dtype float32 or bfloat16" in _refusal(folder, LoadOptions("cpu", "float16"))
    assert load_model(locate(str(folder)), CPU)


def test_an_adapter_is_refused(folder: Path) -> None:
    """An adapter alone, and one next to a model, must be merged first."""
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match=r"adapter_config\.json.*merge"):
        locate(str(folder))


# Architectures


def _save(model: torch.nn.Module, folder: Path) -> Path:
    folder.mkdir()
    model.save_pretrained(folder)  # type: ignore[operator]  # a model of transformers
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TRACK / name, folder)
    return folder


SMALL = {"vocab_size": 689, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    """A classifier with tied embeddings has all weights of a language model, and is not one."""
    config = LlamaConfig(**SMALL, num_attention_heads=2, tie_word_embeddings=True, pad_token_id=1)
    folder = _save(LlamaForSequenceClassification(config), tmp_path / "classifier")
    assert "names the architecture LlamaForSequenceClassification" in _refusal(folder)


@pytest.mark.parametrize("named", [True, False])
def test_an_encoder_is_refused(tmp_path: Path, named: bool) -> None:  # noqa: FBT001
    """A model whose tokens see later ones is refused, also if its configuration hides the class."""
    torch.manual_seed(0)
    config = BertConfig(**SMALL, num_attention_heads=2, is_decoder=False)
    folder = _save(BertLMHeadModel(config), tmp_path / "encoder")
    _edit(folder / "config.json", architectures=["BertForMaskedLM"] if named else None)
    expected = (
        "names the architecture BertForMaskedLM" if named else "depend on the tokens after it"
    )
    assert expected in _refusal(folder)


def test_an_encoder_decoder_is_refused(folder: Path) -> None:
    """A configuration of an encoder-decoder model is refused before its weights are read."""
    _edit(folder / "config.json", is_encoder_decoder=True)
    assert "is_encoder_decoder" in _refusal(folder)


def test_a_model_that_reads_padding_runs_unpadded(tmp_path: Path) -> None:
    """RWKV ignores the mask of padding: its answers do not depend on the batch size."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2}
    config = RwkvConfig(vocab_size=689, context_length=1024, bos_token_id=0, **sizes)
    model = RwkvForCausalLM(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(2 if weights.dim() > 1 else 1)
    folder = _save(model, tmp_path / "rwkv")
    texts, notes = [], []
    for size in (1, 4):
        heard, out = Heard(), tmp_path / str(size)
        data = DataRequest(states=4)
        request = RunRequest(
            str(folder), out, data, device="cpu", batch_size=size, max_new_tokens=150
        )
        texts.append(run(request, heard).texts)
        notes.append([line for line in heard.lines if "decoded one at a time" in line])
    assert texts[0] == texts[1]
    assert [len(lines) for lines in notes] == [0, 1]
    assert "unpadded" in json.dumps(json.loads((tmp_path / "4" / "result.json").read_text()))


# Warnings


@pytest.fixture
def warning(monkeypatch: pytest.MonkeyPatch) -> str:
    """A warning of transformers while it loads weights, and one of Python."""
    import logging
    import warnings

    from transformers import AutoModelForCausalLM

    real = AutoModelForCausalLM.from_pretrained

    def warn(*arguments: object, **options: object) -> object:
        logging.getLogger("transformers.modeling_utils").warning("Some weights\nwere changed.")
        warnings.warn("a deprecated format", UserWarning, stacklevel=1)
        return real(*arguments, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", warn)
    return "Some weights were changed."


def test_warnings_of_libraries_are_kept_in_the_result(folder: Path, warning: str) -> None:
    """A warning about weights is a line and in the result, but not in the identity."""
    result, heard = _run(folder)
    kept = _notices(folder)["weights"]["library_warnings"]
    assert kept == [warning, "UserWarning: a deprecated format"]
    assert f"warning while loading the weights: {warning}" in heard.lines
    assert warning not in json.dumps(result.identity)
    _run(folder)  # nothing is left to decode, so no weights are loaded
    assert _notices(folder)["weights"]["library_warnings"] == kept


def test_warnings_are_kept_in_a_fingerprint(folder: Path, warning: str) -> None:
    """A fingerprint has the same notices as a run, and says them."""
    run_request = RunRequest(str(folder), folder.parent, DataRequest(states=1), device="cpu")
    heard = Heard()
    record = fingerprint(FingerprintRequest(run_request), heard)
    weights = record.notices["weights"]
    assert weights == {"library_warnings": [warning, "UserWarning: a deprecated format"]}
    assert f"warning while loading the weights: {warning}" in heard.lines


def test_warnings_of_encoding_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What transformers warns of while it renders and encodes prompts is not printed but kept."""
    import logging

    from benchmark.models.tokenizer import TransformersTokenizer

    count = TransformersTokenizer.count_differing

    def warn(tokenizer: TransformersTokenizer, texts: list[str]) -> int:
        logging.getLogger("transformers.tokenization_utils_base").warning("Too long.")
        return count(tokenizer, texts)

    monkeypatch.setattr(TransformersTokenizer, "count_differing", warn)
    _, heard = _run(folder)
    assert _notices(folder)["tokenizer"]["library_warnings"].count("Too long.") == 1
    assert "warning while loading the tokenizer: Too long." in heard.lines
    assert "Too long" not in "".join(capfd.readouterr())


# Chat templates


def _chat(folder: Path, template: str, states: int = 1) -> Heard:
    (folder / "chat_template.jinja").write_text(template)
    return _run(folder, states, prompt_format="chat")[1]


TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("<user>{{ messages[-1].content }}<assistant>", "leaves the instruction out"),
        (
            TURNS.replace("in messages", "in messages if m.role != 'assistant'"),
            "answer of example 1",
        ),
        (TURNS.replace("in messages", "in messages[:4]"), "leaves example 2 out"),
        (TURNS.replace("in messages", "in messages[:-1]"), "leaves the query out"),
        (TURNS.replace("in messages", "in messages | reverse"), "out of order"),
        (TURNS + "{{ messages[-1].content }}", "repeats the query"),
        (TURNS + "{{ messages[0].content }}", "repeats the instruction"),
        (TURNS.replace("{{ m.content }}", "{{ m.content | upper }}"), "leaves the instruction out"),
        (TURNS + "<deep_think>\n", r"model: the chat template ends with '.*<deep_think>"),
    ],
)
def test_a_template_that_loses_content_is_refused(folder: Path, template: str, fault: str) -> None:
    """A rendered chat has every part once and in order, or the run ends in one line."""
    with pytest.raises(ModelError, match=fault):
        _chat(folder, template)


def test_a_template_for_content_in_parts(folder: Path) -> None:
    """A template that reads content as parts gets parts, and the result says so."""
    parts = "{% for c in m.content %}{{ c.text }}{% endfor %}"
    heard = _chat(folder, TURNS.replace("{{ m.content }}", parts))
    assert "the chat template needs content as a list of parts; using parts" in heard.lines
    assert _notices(folder)["chat_template"]["content_parts"] is True


def test_the_date_of_a_template_is_fixed(folder: Path) -> None:
    """A template that calls ``strftime_now`` is rendered with the fixed date."""
    from benchmark.models.tokenizer_loading import load_tokenizer
    from benchmark.records import Message

    (folder / "chat_template.jinja").write_text("Today: {{ strftime_now('%Y-%m-%d') }}\n" + TURNS)
    text = load_tokenizer(locate(str(folder))).render([Message("user", "hello")])
    assert text.startswith("Today: 2024-05-31\n<user>hello")
    _run(folder, 1, prompt_format="chat")


@pytest.mark.parametrize("opening", ["<think>\n", "<think>", "[THINK]", "<seed:think>\n"])
def test_an_open_block_of_reasoning_is_closed(folder: Path, opening: str) -> None:
    """A block of reasoning is closed before the answer, and the result has the closing text."""
    heard = _chat(folder, TURNS + opening)
    closing = _notices(folder)["chat_template"]["closed_reasoning"]
    assert closing.strip() == opening.strip().replace("<", "</").replace("[", "[/")
    assert any("block of reasoning" in line for line in heard.lines)


def test_a_template_without_the_header_of_the_answer(folder: Path) -> None:
    """It is used as it is, and a line and the result say which header is missing."""
    heard = _chat(folder, TURNS.removesuffix("<assistant>"))
    assert _notices(folder)["chat_template"]["omitted_header"] == "<assistant>"
    assert any("<assistant> before the answers of the examples" in line for line in heard.lines)


def test_a_template_that_never_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template of nested loops is stopped after the time limit."""
    monkeypatch.setattr("benchmark.models.tokenizer._RENDERING_LIMIT", 0.2)
    loops = "".join(f"{{% for {name} in range(100000) %}}" for name in "abcde")
    with pytest.raises(ModelError, match=r"takes more than 0\.2 s to render"):
        _chat(folder, loops + "{% endfor %}" * 5 + TURNS)


def test_a_nested_tokenizer_is_named(folder: Path) -> None:
    """The line has the file, not Python's words, and no advice: no limit of reading helps."""
    from benchmark.models.tokenizer_loading import load_tokenizer

    (folder / "tokenizer.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(ModelError, match=r"tokenizer: .*tokenizer\.json: nested too deeply$"):
        load_tokenizer(locate(str(folder)))
