"""Fast reading of GGUF files, compared with the libraries' own."""

import gc
import os
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.gguf import reader

from benchmark.models.gguf_reading import fast_gguf_reading, read_gguf
from fakes.gguf_headers import array, header, text

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
    """A file is read once per process, however often the libraries open it, until it changes."""
    real, read = gguf.GGUFReader._build_fields, list[object]()

    def spy(self: object, *place: int) -> object:
        read.append(self)
        return real(self, *place)

    monkeypatch.setattr("gguf.gguf_reader.GGUFReader._build_fields", spy)
    path = folder / "model.gguf"
    for _ in range(2):
        with fast_gguf_reading():
            AutoTokenizer.from_pretrained(folder, gguf_file=path.name)
            AutoModelForCausalLM.from_pretrained(folder, gguf_file=path.name)
        read_gguf(path, "m")
        assert len(read) == 1
    os.utime(path, (0, 0))
    read_gguf(path, "m")
    assert len(read) == 2


@pytest.mark.parametrize("strings", [(), ("tokenizer.ggml.tokens",)])
def test_metadata_are_those_of_transformers(folder: Path, strings: tuple[str, ...]) -> None:
    """Every value of its own reader has the same type, and tensors are in the same places."""
    path = str(folder / "model.gguf")
    own = reader.read_gguf_metadata(path, strings), reader.GgufHeader.from_file(path)
    with fast_gguf_reading():
        fast = reader.read_gguf_metadata(path, strings), reader.GgufHeader.from_file(path)
    assert repr(fast) == repr(own)


def test_fields_are_those_of_gguf(folder: Path) -> None:
    """The contents of every field, complete and by index, are those of gguf's own reader."""
    own, fast = gguf.GGUFReader(folder / "model.gguf"), read_gguf(folder / "model.gguf", "m")
    assert own.fields.keys() == fast.fields.keys()
    for key, field in own.fields.items():
        assert repr(fast.fields[key].contents()) == repr(field.contents())
    assert fast.fields["tokenizer.ggml.tokens"].contents(1) == "<s>"
    assert [tensor.data_offset for tensor in fast.tensors] == [t.data_offset for t in own.tensors]


def test_other_files_are_left_to_the_libraries(tmp_path: Path) -> None:
    """Texts that are not UTF-8, and arrays of arrays, are read by gguf as ever."""
    path = tmp_path / "m.gguf"
    nested = array(9, 1, struct.pack("<IQ", 4, 1) + struct.pack("<I", 7))
    path.write_bytes(header(nested) + bytes(64))
    fields = read_gguf(path, "m").fields
    assert fields["x.y"].contents() == gguf.GGUFReader(path).fields["x.y"].contents()
    path.write_bytes(header(array(8, 1, text(b"\xff"))) + bytes(64))
    with pytest.raises(UnicodeDecodeError):
        read_gguf(path, "m").fields["x.y"].contents()


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
