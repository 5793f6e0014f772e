"""The network: a small Llama, and its loss on the answers of a batch."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmark.controls.data import TrainingExample
from benchmark.controls.recipe import ModelSize, Optimizer, TrainingStage
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import Cache

_IGNORED = -100


def fresh_model(
    shape: ModelSize, vocabulary_size: int, bos_id: int, eos_id: int, seed: int
) -> LlamaForCausalLM:
    """A Llama with tied embeddings and weights drawn from the seed."""
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=True,
        bos_token_id=bos_id,
        eos_token_id=eos_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def answer_loss(
    model: LlamaForCausalLM, examples: Sequence[TrainingExample], prefix: TokenIds
) -> torch.Tensor:
    """The mean cross-entropy of the wanted tokens, a scalar, after prefix and given tokens.

    The prefix is the same for the whole batch, so it is run once and shared.
    """
    ids, targets = _tensors(examples)
    past = _shared_past(model, prefix, len(examples)) if prefix else None
    hidden = model.model(ids, past_key_values=past, use_cache=past is not None).last_hidden_state
    asked = targets != _IGNORED
    logits = model.lm_head(hidden[asked])
    return torch.nn.functional.cross_entropy(logits, targets[asked])


def adamw(model: LlamaForCausalLM, settings: Optimizer) -> torch.optim.AdamW:
    """The optimizer; its learning rate is set before every step."""
    return torch.optim.AdamW(
        model.parameters(),
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
    )


def learning_rate(stage: TrainingStage, step: int) -> float:
    """Linear warm-up to the stage's rate, then half a cosine down to its final one."""
    warm = min(1.0, (step + 1) / stage.warmup)
    cosine = (1 + math.cos(math.pi * step / stage.steps)) / 2
    low = stage.final_learning_rate
    return warm * (low + (stage.learning_rate - low) * cosine)


def _shared_past(model: LlamaForCausalLM, prefix: TokenIds, rows: int) -> "Cache":
    past = model.model(torch.tensor([prefix]), use_cache=True).past_key_values
    past.batch_repeat_interleave(rows)
    return past


def _tensors(examples: Sequence[TrainingExample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and next-token targets, both (batch, longest), padded on the right.

    Padding needs no mask: what is real stands before it, and attention looks back.
    """
    width = max(len(each.given) + len(each.wanted) for each in examples) - 1
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    targets = torch.full((len(examples), width), _IGNORED)
    for row, each in enumerate(examples):
        whole = torch.tensor((*each.given, *each.wanted))
        ids[row, : len(whole) - 1] = whole[:-1]
        targets[row, len(each.given) - 1 : len(whole) - 1] = whole[len(each.given) :]
    return ids, targets
