"""Models whose logits overflow in float16 after one token, and nowhere else.

Component 0 of every hidden state is that of the token's embedding, as no layer adds to it. It is
zero for all tokens but one, for which the final norm multiplies it beyond what float16 holds. In
float32 the same weights compute finite logits.
"""

import torch
from transformers import PreTrainedModel

_EMBEDDING = 50.0
_NORM_WEIGHT = 60_000.0
"""Largest float16: 65504. A normalized component of about 5 times this is beyond it."""


def overflowing(model: PreTrainedModel, token: int | None) -> PreTrainedModel:
    """Change a Llama model so that the logits after ``token`` overflow in float16; return it.

    With None it is changed in the same way, but no logits overflow.
    """
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        embeddings[:, 0] = 0
        if token is not None:
            embeddings[token, 0] = _EMBEDDING
        for layer in model.get_decoder().layers:
            layer.self_attn.o_proj.weight[0] = 0
            layer.mlp.down_proj.weight[0] = 0
        model.get_decoder().norm.weight[0] = _NORM_WEIGHT
    return model
