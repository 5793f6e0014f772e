"""The trial of the speculative engine refuses passes that are broken in any of the ways named here.

The vocabulary is larger than the number of tokens that the trial scores.
"""

from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.speculative import attention_plans, compatibility, model_runner, passes
from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.passes import AttentionPass, RowsPass
from benchmark.decoding.speculative.token_selection import OutputHead
from fakes.tiny_models import tiny_model

ARCHITECTURES = ("llama", "gemma", "gemma2", "gemma3", "mistral", "qwen2")
VOCABULARY = 1500

Patch = pytest.MonkeyPatch


def _shift_rows(patch: Patch) -> None:
    """Move the positions of rows by one, relative to the prefix."""
    run = model_runner.hidden_states

    def shifted(
        model: PreTrainedModel,
        tokens: Sequence[int],
        positions: Sequence[int],
        attention_pass: AttentionPass,
    ) -> torch.Tensor:
        step = int(isinstance(attention_pass, RowsPass))
        return run(model, tokens, [position + step for position in positions], attention_pass)

    patch.setattr(compatibility, "hidden_states", shifted)


def _see_later_tokens(patch: Patch) -> None:
    """Let the tokens of a row see later ones."""
    visible = attention_plans.visible
    patch.setattr(
        attention_plans,
        "visible",
        lambda positions, length, window: visible(positions + 1, length, window),
    )


def _ignore_window(patch: Patch) -> None:
    """Let rows see beyond the sliding window."""
    visible = attention_plans.visible
    patch.setattr(
        attention_plans, "visible", lambda positions, length, _: visible(positions, length, None)
    )


def _forget_prefix(patch: Patch) -> None:
    """Compute the prefix without keeping it."""
    store = RaggedCache.store_prefix

    def forgetting(
        cache: RaggedCache, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> KeyValues:
        store(cache, layer, keys, values)
        return cache.prefix.pop(layer)

    patch.setattr(RaggedCache, "store_prefix", forgetting)


def _forget_single_tokens(patch: Patch) -> None:
    """Let passes of one token per row see their own keys, and lose them afterwards."""
    store = RaggedCache.store

    def forgetting(
        cache: RaggedCache, layer: int, keys: torch.Tensor, values: torch.Tensor, rows: torch.Tensor
    ) -> KeyValues:
        stored = store(cache, layer, keys, values, rows)
        if len(keys) > 2:
            return stored
        complete = KeyValues(*(tensor.clone() for tensor in stored))
        for tensor in stored:
            tensor.flatten(0, 2)[rows] = 0
        return complete

    patch.setattr(RaggedCache, "store", forgetting)


def _write_to_one_slot(patch: Patch) -> None:
    """Write the keys and values of all rows to the first slot."""
    rows = RaggedCache.row_indices
    patch.setattr(
        RaggedCache,
        "row_indices",
        lambda cache, slots, *others: rows(cache, torch.zeros_like(slots), *others),
    )


def _leave_out_cap_of_logits(patch: Patch) -> None:
    patch.setattr(OutputHead, "_capped", lambda _, logits: logits)


def _leave_out_cap_of_scores(patch: Patch) -> None:
    patch.setattr(
        passes, "ScoreParameters", lambda scaling, _, window: ScoreParameters(scaling, None, window)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "gemma3"])
def test_a_window_that_is_shorter_than_the_prefix(
    monkeypatch: Patch, architecture: str, dtype: torch.dtype
) -> None:
    """Packed passes then have the model's own logits; a prefix without the window has others."""
    monkeypatch.setattr(compatibility, "_SHARED", 20)
    monkeypatch.setattr(compatibility, "_LENGTH", 32)  # the window of 8 is added
    model = tiny_model(architecture, VOCABULARY, 1).to(dtype)
    assert model.config.sliding_window == 8
    assert compatibility.unsupported_reason(model) is None
    monkeypatch.setattr(
        passes, "visible", lambda places, length, _: attention_plans.visible(places, length, None)
    )
    assert "standard deviations off" in str(compatibility.unsupported_reason(model))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trial_scores_few_tokens_and_restores_the_head(architecture: str) -> None:
    """A model's own passes and packed ones have a few hundred logits per token meanwhile."""
    model = tiny_model(architecture, VOCABULARY, 1)
    head, widths = model.get_output_embeddings(), set[int]()
    if architecture == "llama":
        head.weight = model.get_input_embeddings().weight
    weights = {name: weight.data_ptr() for name, weight in model.named_parameters()}
    head.register_forward_hook(lambda *call: widths.add(call[-1].shape[-1]))
    assert compatibility.unsupported_reason(model) is None
    assert widths == {compatibility._SCORED}
    assert {name: weight.data_ptr() for name, weight in model.named_parameters()} == weights


def test_a_trial_that_lacks_memory_for_the_head_restores_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weights are replaced first, and memory for the bias is missing."""
    head = torch.nn.Linear(4, VOCABULARY)
    weight, bias, parameter = head.weight, head.bias, torch.nn.Parameter

    def failing(data: torch.Tensor, *, requires_grad: bool) -> torch.nn.Parameter:
        if data.dim() == 1:
            raise torch.OutOfMemoryError("out of memory")
        return parameter(data, requires_grad)

    model = tiny_model("llama", VOCABULARY, 1)
    model.set_output_embeddings(head)
    monkeypatch.setattr(torch.nn, "Parameter", failing)
    with pytest.raises(torch.OutOfMemoryError):
        compatibility.unsupported_reason(model)
    assert head.weight is weight
    assert head.bias is bias


@pytest.mark.parametrize(
    ("architecture", "break_passes"),
    [
        *(
            ("llama", change)
            for change in (
                _shift_rows,
                _see_later_tokens,
                _forget_prefix,
                _forget_single_tokens,
                _write_to_one_slot,
            )
        ),
        ("mistral", _ignore_window),
        ("gemma2", _leave_out_cap_of_logits),
        ("gemma2", _leave_out_cap_of_scores),
    ],
)
def test_broken_passes_are_refused(
    monkeypatch: Patch, architecture: str, break_passes: Callable[[Patch], None]
) -> None:
    """Each of these changes the logits of some tokens by more than rounding."""
    break_passes(monkeypatch)
    model = tiny_model(architecture, VOCABULARY, 1)
    assert "standard deviations off" in str(compatibility.unsupported_reason(model))
