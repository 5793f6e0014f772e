"""Selects the likeliest allowed token; what the automaton allows is kept on the device."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.finite_logits import finite_rows
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import NOT_FINITE, NextTokenRequest
from benchmark.decoding.speculative.linears import PackedLinear
from benchmark.decoding.speculative.transfers import on_device
from benchmark.planning.memory import positions_at_once

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.speculative.fused.passes import FusedKernels

_FEW = 64
"""Up to this many allowed tokens are scored on their own, not with the whole vocabulary."""


class OutputHead:
    """Makes logits of hidden states: output embeddings, and a soft cap if the model has one."""

    def __init__(self, model: "PreTrainedModel") -> None:
        """Take a model's head."""
        self._layer: torch.nn.Module = model.get_output_embeddings()
        self._cap: float | None = getattr(
            model.config.get_text_config(), "final_logit_softcapping", None
        )
        dense = self._layer.dense if isinstance(self._layer, PackedLinear) else self._layer
        self.device: torch.device = dense.weight.device
        self._dense = dense
        self.vocabulary = len(dense.weight)
        """How many tokens there are logits of."""
        # On a GPU the whole vocabulary is faster than gathering some of its rows.
        self.scores_subsets = type(dense) is torch.nn.Linear and self.device.type == "cpu"
        """Whether the logits of some tokens are cheaper than those of all."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (n, vocabulary), of hidden states, shape (n, hidden size)."""
        return self.own_logits(hidden).float()

    def own_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return :meth:`logits` in the dtype in which the model computes them."""
        return self._capped(self._layer(hidden))

    def logits_of(self, hidden: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits of some tokens at each position, shape of ``tokens``: (n, tokens)."""
        weight, bias = self._dense.weight, self._dense.bias
        logits = (weight[tokens] @ hidden[:, :, None]).squeeze(-1)
        if bias is not None:
            logits = logits + bias[tokens]
        return self._capped(logits).float()

    def _capped(self, logits: torch.Tensor) -> torch.Tensor:
        return logits if self._cap is None else torch.tanh(logits / self._cap) * self._cap


class TokenSelector:
    """Runs a model's head only for requests, and only for the tokens they allow if those are few.

    States that allow the same tokens share one set of them.
    """

    def __init__(
        self, automaton: Automaton, head: OutputHead, fused: "FusedKernels | None" = None
    ) -> None:
        """Put the sets of allowed tokens on the device of the head."""
        self.head = head
        self._set_of_state = automaton.set_of_state
        self._allowed = [torch.tensor(one, device=head.device) for one in automaton.token_sets]
        self._biases: dict[int, torch.Tensor] = {}
        self._kernel = fused.allowed_tokens(self._allowed) if fused else None

    def select(self, hidden: torch.Tensor, requests: Sequence[NextTokenRequest]) -> list[int]:
        """Return a token per request; ``hidden`` has shape (tokens of the pass, hidden size).

        It is :data:`NOT_FINITE` if one of the logits that were computed for it is not finite.
        """
        selected = [0] * len(requests)
        sets = [self._set_of_state[request.state] for request in requests]
        few = [self.head.scores_subsets and len(self._allowed[n]) <= _FEW for n in sets]
        for by_subset, select in ((True, self._among_few), (False, self._among_all)):
            indices = [i for i, is_few in enumerate(few) if is_few is by_subset]
            if indices:
                positions = on_device([requests[i].token for i in indices], hidden.device)
                tokens = select(hidden[positions], [sets[i] for i in indices])
                for i, token in zip(indices, tokens.tolist(), strict=True):
                    selected[i] = token
        return selected

    def _among_few(self, hidden: torch.Tensor, sets: Sequence[int]) -> torch.Tensor:
        """Score the allowed tokens of each position, padded to the largest set."""
        tokens = torch.nn.utils.rnn.pad_sequence(
            [self._allowed[number] for number in sets], batch_first=True, padding_value=-1
        )
        logits = self.head.logits_of(hidden, tokens.clamp(min=0)).masked_fill_(tokens < 0, 0)
        finite = finite_rows(logits)
        # In ascending order: of equals argmax returns the first, which is the lowest token.
        best = logits.masked_fill(tokens < 0, -torch.inf).argmax(-1, keepdim=True)
        return tokens.gather(1, best).squeeze(1).where(finite, NOT_FINITE)

    def _among_all(self, hidden: torch.Tensor, sets: Sequence[int]) -> torch.Tensor:
        """Score the whole vocabulary, in chunks of positions that keep memory small."""
        best, most = [], positions_at_once(self.head.vocabulary)
        for start in range(0, len(sets), most):
            chunk, numbers = hidden[start : start + most], sets[start : start + most]
            if self._kernel:
                own = self.head.own_logits(chunk)
                best.append(self._kernel.choose(own, numbers, NOT_FINITE))
                continue
            logits = self.head.logits(chunk)
            biases = [self._bias(number, logits.shape[-1]) for number in numbers]
            tokens = (logits + torch.stack(biases)).argmax(-1)
            best.append(tokens.where(finite_rows(logits), NOT_FINITE))
        return torch.cat(best)

    def _bias(self, number: int, vocabulary: int) -> torch.Tensor:
        """Return 0 for the tokens of the set and minus infinity for others, by token id."""
        if number not in self._biases:
            allowed = self._allowed[number]
            bias = torch.full((vocabulary,), -torch.inf, device=allowed.device)
            bias.index_fill_(0, allowed, 0)
            self._biases[number] = bias
        return self._biases[number]
