"""A control model as a GGUF file, in float32 or with its layers in 4 bits."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors.numpy import load_file

from fakes.gguf_models import LAYER


def write_control_gguf(model: Path, path: Path, *, quantized: bool) -> Path:
    """Write a control's weights and vocabulary for llama.cpp, and return the path.

    Its tokenizer splits texts in another way than the control's; only ids are sent to it.
    """
    config = json.loads((model / "config.json").read_text())
    writer = GGUFWriter(path, "llama")
    _write_shape(writer, config)
    _write_vocabulary(writer, json.loads((model / "tokenizer.json").read_text()))
    heads, size = config["num_attention_heads"], config["hidden_size"]
    for name, weight in load_file(model / "model.safetensors").items():
        values = weight.astype(np.float32)
        if "q_proj" in name or "k_proj" in name:  # llama.cpp rotates pairs of neighbours
            halves = values.reshape(heads, 2, size // heads // 2, size)
            values = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(size, size))
        if quantized and "proj" in name:
            kind = GGMLQuantizationType.Q4_1
            writer.add_tensor(_name(name), gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(_name(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_shape(writer: GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(1e4)
    writer.add_vocab_size(config["vocab_size"])


def _write_vocabulary(writer: GGUFWriter, definition: dict[str, Any]) -> None:
    special = {token["content"]: token["id"] for token in definition["added_tokens"]}
    ids: dict[str, int] = {**definition["model"]["vocab"], **special}
    tokens = sorted(ids, key=ids.__getitem__)
    merges: list[str | list[str]] = definition["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    )
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def _name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, *rest = name.split(".")
    return f"blk.{layer}.{LAYER['.'.join(rest[:-1])]}.weight"
