"""Fast reading of GGUF files, compared with the libraries' own."""

import gc
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmark.models.gguf_reading import fast_gguf_reading

WIDTH, LAYERS, HEADS = 32, 2, 2
TOKENS = ["<unk>", "<s>", "</s>", *(chr(i) for i in range(33, 127)), *map(str, range(100, 125))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A two-layer Llama with a vocabulary and some quantized weights."""
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([-float(i) for i in range(len(TOKENS))])
    writer.add_token_types([2, 3, 3, *[1] * (len(TOKENS) - 3)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    draw = np.random.Generator(np.random.PCG64(1))
    shapes = {"token_embd": (len(TOKENS), WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        here = {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,), "ffn_down": (WIDTH, 2 * WIDTH)}
        here |= {f"attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        here |= {f"ffn_{name}": (2 * WIDTH, WIDTH) for name in ("gate", "up")}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in here.items()}
    for name, shape in shapes.items():
        values = draw.standard_normal(shape, dtype=np.float32)
        if "ffn" in name and len(shape) > 1:
            packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(f"{name}.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path


def test_the_same_model_and_tokenizer(folder: Path) -> None:
    """Every weight and every id is the same as without fast reading."""

    def load() -> tuple[dict[str, torch.Tensor], list[int], int]:
        named = {"gguf_file": "model.gguf"}
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **named)
        tokenizer = AutoTokenizer.from_pretrained(folder, **named)
        return model.state_dict(), tokenizer.encode("a!b~100 101"), model.config.num_hidden_layers

    weights, ids, layers = load()
    with fast_gguf_reading():
        quick_weights, *rest = load()
    assert rest == [ids, layers]
    assert weights.keys() == quick_weights.keys()
    assert all(torch.equal(weight, quick_weights[name]) for name, weight in weights.items())
    assert len({tuple(weight.flatten()[:4].tolist()) for weight in weights.values()}) > LAYERS


def test_the_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is read once per use, however often the libraries open it."""
    real, read = gguf.GGUFReader._build_fields, list[object]()

    def spy(self: object, *place: int) -> object:
        read.append(self)
        return real(self, *place)

    monkeypatch.setattr("gguf.gguf_reader.GGUFReader._build_fields", spy)
    for times in (1, 2):
        with fast_gguf_reading():
            AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf")
        assert len(read) == times


def test_everything_is_as_before_afterwards() -> None:
    """The libraries' readers and garbage collection are restored, also after an error."""
    before = gguf.GGUFReader, gguf.get_tensor_name_map
    with fast_gguf_reading():
        assert not gc.isenabled()
        assert gguf.GGUFReader is not before[0]
    with pytest.raises(FileNotFoundError), fast_gguf_reading():
        gguf.GGUFReader("none")
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before
    assert gc.isenabled()
