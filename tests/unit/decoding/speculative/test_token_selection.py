"""The likeliest allowed token, compared with a loop over the allowed ones."""

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.speculative import token_selection
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import NOT_FINITE, NextTokenRequest
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.token_selection import OutputHead, TokenSelector

VOCABULARY, WIDTH, POSITIONS = 200, 4, 300


class OnlyHead(torch.nn.Module):
    """A model that consists of its output embeddings."""

    def __init__(self, head: torch.nn.Linear) -> None:
        """Take the output embeddings."""
        super().__init__()
        self.head = head
        self.config = self

    def get_output_embeddings(self) -> torch.nn.Linear:
        """Return the output embeddings, as transformers models do."""
        return self.head

    def get_text_config(self) -> "OnlyHead":
        """Return a config without a soft cap."""
        return self


@pytest.mark.parametrize("fused", [None, FusedKernels()], ids=["torch", "compiled"])
def test_more_positions_than_one_chunk(
    fused: FusedKernels | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small and large sets of allowed tokens, mixed over three chunks; some logits are NaN."""
    monkeypatch.setattr(token_selection, "positions_at_once", lambda vocabulary: POSITIONS // 5)
    generator = torch.Generator().manual_seed(0)
    allowed = [range(3), range(10, 140), range(20, VOCABULARY), range(5, 60)]
    steps = tuple(dict.fromkeys(tokens, 0) for tokens in allowed)
    automaton = Automaton.from_transitions(dict(enumerate(steps)), 0, {}, eos_id=0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    head.weight.data = torch.randn(VOCABULARY, WIDTH, generator=generator)
    hidden = torch.randn(POSITIONS, WIDTH, generator=generator)
    hidden[::50, 0] = torch.nan
    states = torch.randint(0, 4, (POSITIONS,), generator=generator).tolist()
    requests = [NextTokenRequest(position, state) for position, state in enumerate(states)]
    model: PreTrainedModel = OnlyHead(head)
    with torch.inference_mode():
        selected = TokenSelector(automaton, OutputHead(model), fused).select(hidden, requests)
        logits = hidden @ head.weight.T
    for position, state in enumerate(states):
        if position % 50 == 0:
            assert selected[position] == NOT_FINITE
            continue
        best = max(allowed[state], key=lambda token: (logits[position, token].item(), -token))
        assert selected[position] == best
