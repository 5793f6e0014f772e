"""Control models as GGUF files."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import gguf
import numpy as np
from safetensors.numpy import load_file

TRACK = Path(__file__).parents[2] / "fixtures" / "models" / "track"
DEFINITION = json.loads((TRACK / "tokenizer.json").read_text())
LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def _tensors() -> dict[str, np.ndarray]:
    """Return the control model's weights under the names of GGUF, with heads interleaved."""
    tensors = {}
    for name, tensor in load_file(TRACK / "model.safetensors").items():
        if name == "model.embed_tokens.weight":
            tensors["token_embd.weight"] = tensor
        elif name == "model.norm.weight":
            tensors["output_norm.weight"] = tensor
        else:
            _, _, layer, *module, _ = name.split(".")
            key = ".".join(module)
            rotary = key.endswith(("q_proj", "k_proj"))
            if rotary:
                tensor = tensor.reshape(4, 2, 16, 128).swapaxes(1, 2).reshape(128, 128)  # noqa: PLW2901
            tensors[f"blk.{layer}.{LAYER[key]}.weight"] = tensor
    return tensors


def write_gguf(
    path: Path,
    pre: str | None,
    merges: tuple[str, ...] = (),
    extra: str = "",
    numbers: Mapping[str, int] = MappingProxyType({}),
) -> Path:
    """Write the control model as a GGUF file, with further merges and a further tensor.

    ``numbers`` are entries of the metadata with other values.
    """
    special = {token["content"]: token["id"] for token in DEFINITION["added_tokens"]}
    ids = {**DEFINITION["model"]["vocab"], **special}
    tokens = sorted(ids, key=ids.__getitem__)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(numbers.get("context_length", 1024))
    writer.add_embedding_length(numbers.get("embedding_length", 128))
    writer.add_block_count(numbers.get("block_count", 4))
    writer.add_feed_forward_length(numbers.get("feed_forward_length", 256))
    writer.add_head_count(numbers.get("head_count", 4))
    writer.add_head_count_kv(numbers.get("head_count_kv", 4))
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e4)
    writer.add_vocab_size(numbers.get("vocab_size", len(tokens)))
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    own = [m if isinstance(m, str) else " ".join(m) for m in DEFINITION["model"]["merges"]]
    writer.add_token_merges([*own, *merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, tensor in _tensors().items():
        writer.add_tensor(name, tensor.astype(np.float32))
    if extra:
        writer.add_tensor(extra, np.ones(16, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.parent
