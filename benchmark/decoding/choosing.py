"""The likeliest allowed token, with the automaton's masks kept on the device."""

from collections.abc import Callable, Sequence

import torch

from benchmark.decoding.automaton import Automaton
from benchmark.decoding.batch import Question

_FEW = 64
"""Up to so many allowed tokens are scored by themselves, where the head is a plain one."""


class Chooser:
    """Runs a model's head only where a choice is open."""

    def __init__(self, automaton: Automaton, head: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Take what makes logits of hidden states, shape (tokens, vocabulary)."""
        self._automaton = automaton
        self._head = head
        self._masks: dict[frozenset[int], torch.Tensor] = {}
        self._by_state: dict[int, torch.Tensor] = {}

    def choose(self, hidden: torch.Tensor, questions: Sequence[Question]) -> list[int]:
        """The answers; ``hidden`` has shape (tokens of the pass, hidden size)."""
        if not questions:
            return []
        places = torch.tensor([question.token for question in questions], device=hidden.device)
        logits = self._head(hidden[places]).float()
        masks = [self._mask(question.state, logits) for question in questions]
        answers: list[int] = logits.masked_fill_(~torch.stack(masks), -torch.inf).argmax(-1).tolist()
        return answers

    def _mask(self, state: int, like: torch.Tensor) -> torch.Tensor:
        """Which tokens the state allows, shape (vocabulary,); states that agree share one."""
        if state not in self._by_state:
            allowed = frozenset(self._automaton.steps[state])
            if allowed not in self._masks:
                mask = torch.zeros(like.shape[-1], dtype=torch.bool, device=like.device)
                mask[sorted(allowed)] = True
                self._masks[allowed] = mask
            self._by_state[state] = self._masks[allowed]
        return self._by_state[state]
