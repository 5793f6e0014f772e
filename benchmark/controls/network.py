"""The network of the controls: a small Llama, its loss, optimizer and learning rate."""

import math
from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmark.controls.data import TrainingExample
from benchmark.controls.recipe import ModelSize, Optimizer, TrainingStage
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import Cache

_IGNORED = -100


def random_model(
    shape: ModelSize, vocabulary_size: int, bos_id: int, eos_id: int, seed: int
) -> LlamaForCausalLM:
    """Return a Llama with tied embeddings and random weights from the seed."""
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
    """Return the mean cross-entropy of the answers' tokens after prefix and prompt, a scalar.

    The prefix is computed once and shared by the batch.
    """
    ids, targets = _tensors(examples)
    past = _shared_past(model, prefix, len(examples)) if prefix else None
    arguments = {cache_argument(model.model): past, "use_cache": past is not None}
    hidden = model.model(ids, **arguments).last_hidden_state
    in_answer = targets != _IGNORED
    logits = model.lm_head(hidden[in_answer])
    return torch.nn.functional.cross_entropy(logits, targets[in_answer])


def adamw(model: LlamaForCausalLM, settings: Optimizer) -> torch.optim.AdamW:
    """Return the optimizer; the learning rate is set before every step."""
    return torch.optim.AdamW(
        model.parameters(),
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
    )


def learning_rate(stage: TrainingStage, step: int) -> float:
    """Return the rate: linear warm-up, then half a cosine down to the stage's final rate."""
    warm = min(1.0, (step + 1) / stage.warmup)
    cosine = (1 + math.cos(math.pi * step / stage.steps)) / 2
    low = stage.final_learning_rate
    return warm * (low + (stage.learning_rate - low) * cosine)


def cache_argument(model: torch.nn.Module) -> str:
    """Return the name under which a model of transformers takes and returns keys and values.

    It is ``"cache"`` since transformers 5.24, which warns about the older ``"past_key_values"``.
    """
    return "cache" if "cache" in signature(model.forward).parameters else "past_key_values"


def _shared_past(model: LlamaForCausalLM, prefix: TokenIds, rows: int) -> "Cache":
    output = model.model(torch.tensor([prefix]), use_cache=True)
    past: Cache = output[cache_argument(model.model)]
    past.batch_repeat_interleave(rows)
    return past


def _tensors(examples: Sequence[TrainingExample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and next-token targets, both of shape (batch, longest), padded on the right.

    Right padding needs no mask because attention is causal.
    """
    width = max(len(example.prompt) + len(example.answer) for example in examples) - 1
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    targets = torch.full((len(examples), width), _IGNORED)
    for row, example in enumerate(examples):
        sequence = torch.tensor((*example.prompt, *example.answer))
        prompt_length, last = len(example.prompt), len(sequence) - 1
        ids[row, :last] = sequence[:-1]
        targets[row, prompt_length - 1 : last] = sequence[prompt_length:]
    return ids, targets
