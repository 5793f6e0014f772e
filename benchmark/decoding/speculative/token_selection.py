"""The likeliest allowed token, with what the automaton allows kept on the device."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Question
from benchmark.decoding.speculative.linears import PackedLinear

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FEW = 64
"""So many allowed tokens are scored by themselves rather than with the whole vocabulary."""

_AT_ONCE = 128
"""Of so many places the whole vocabulary is scored at once: 25 MB of logits for 50,000 tokens."""


class Head:
    """What makes logits of hidden states: the output embeddings, and a soft cap on some models."""

    def __init__(self, model: "PreTrainedModel") -> None:
        """Take a model's head."""
        self._layer: torch.nn.Module = model.get_output_embeddings()
        self._cap: float | None = getattr(
            model.config.get_text_config(), "final_logit_softcapping", None
        )
        dense = self._layer.dense if isinstance(self._layer, PackedLinear) else self._layer
        self.device: torch.device = dense.weight.device
        self._dense = dense
        # A GPU has the whole vocabulary sooner than the rows of some of it.
        self.picks = type(dense) is torch.nn.Linear and self.device.type == "cpu"
        """Whether some tokens' logits can be had by themselves, cheaper than all."""

    def all(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits, shape (places, vocabulary), of hidden states, shape (places, hidden size)."""
        return self._capped(self._layer(hidden)).float()

    def some(self, hidden: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The logits of some tokens at each place; like ``tokens`` of shape (places, tokens)."""
        weight, bias = self._dense.weight, self._dense.bias
        logits = (weight[tokens] @ hidden[:, :, None]).squeeze(-1)
        if bias is not None:
            logits = logits + bias[tokens]
        return self._capped(logits).float()

    def _capped(self, logits: torch.Tensor) -> torch.Tensor:
        return logits if self._cap is None else torch.tanh(logits / self._cap) * self._cap


class Chooser:
    """Runs a model's head only where a choice is open, and no further than it is open."""

    def __init__(self, automaton: Automaton, head: Head) -> None:
        """Prepare what each state allows, on the device of the head."""
        self._head = head
        self._set_of: list[int] = []
        """By state, which of the distinct sets of allowed tokens it has."""
        numbers: dict[frozenset[int], int] = {}
        for steps in automaton.steps:
            self._set_of.append(numbers.setdefault(frozenset(steps), len(numbers)))
        self._allowed = [torch.tensor(sorted(tokens), device=head.device) for tokens in numbers]
        self._penalties: dict[int, torch.Tensor] = {}

    def choose(self, hidden: torch.Tensor, questions: Sequence[Question]) -> list[int]:
        """The answers; ``hidden`` has shape (tokens of the pass, hidden size)."""
        answers = [0] * len(questions)
        sets = [self._set_of[question.state] for question in questions]
        few = [self._head.picks and len(self._allowed[number]) <= _FEW for number in sets]
        for which, choose in ((True, self._among_few), (False, self._among_all)):
            asked = [i for i, is_few in enumerate(few) if is_few is which]
            if asked:
                places = torch.tensor([questions[i].token for i in asked], device=hidden.device)
                found = choose(hidden[places], [sets[i] for i in asked])
                for i, answer in zip(asked, found.tolist(), strict=True):
                    answers[i] = answer
        return answers

    def _among_few(self, hidden: torch.Tensor, sets: Sequence[int]) -> torch.Tensor:
        """Score the allowed tokens of each place, padded to as many."""
        tokens = torch.nn.utils.rnn.pad_sequence(
            [self._allowed[number] for number in sets], batch_first=True, padding_value=-1
        )
        logits = self._head.some(hidden, tokens.clamp(min=0))
        # In ascending order: of equals argmax gives the first, which is the lowest token.
        best = logits.masked_fill(tokens < 0, -torch.inf).argmax(-1, keepdim=True)
        return tokens.gather(1, best).squeeze(1)

    def _among_all(self, hidden: torch.Tensor, sets: Sequence[int]) -> torch.Tensor:
        """Score the whole vocabulary, for so many places at a time that memory stays small."""
        best = []
        for start in range(0, len(sets), _AT_ONCE):
            logits = self._head.all(hidden[start : start + _AT_ONCE])
            numbers = sets[start : start + _AT_ONCE]
            penalties = [self._penalty(number, logits.shape[-1]) for number in numbers]
            best.append((logits + torch.stack(penalties)).argmax(-1))
        return torch.cat(best)

    def _penalty(self, number: int, vocabulary: int) -> torch.Tensor:
        """0 for what the set allows and minus infinity for the rest, shape (vocabulary,)."""
        if number not in self._penalties:
            allowed = self._allowed[number]
            penalty = torch.full((vocabulary,), -torch.inf, device=allowed.device)
            penalty[allowed] = 0
            self._penalties[number] = penalty
        return self._penalties[number]
