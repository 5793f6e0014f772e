"""The likeliest allowed token, against a loop over the allowed ones."""

import torch
from transformers import PreTrainedModel

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Question
from benchmark.decoding.speculative.token_selection import Chooser, Head

VOCABULARY, WIDTH, PLACES = 200, 4, 300


class OnlyHead(torch.nn.Module):
    """A model that is nothing but its output embeddings."""

    def __init__(self, head: torch.nn.Linear) -> None:
        """Take them."""
        super().__init__()
        self.head = head
        self.config = self

    def get_output_embeddings(self) -> torch.nn.Linear:
        """As transformers asks for them."""
        return self.head

    def get_text_config(self) -> "OnlyHead":
        """Without a soft cap."""
        return self


def test_more_places_than_are_scored_at_once() -> None:
    """Sets of few and of many allowed tokens, mixed over three chunks of places, as in a loop."""
    generator = torch.Generator().manual_seed(0)
    allowed = [range(3), range(10, 140), range(20, VOCABULARY), range(5, 60)]
    steps = tuple(dict.fromkeys(tokens, 0) for tokens in allowed)
    automaton = Automaton(steps, (None,) * 4, (None,) * 4, eos_id=0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    head.weight.data = torch.randn(VOCABULARY, WIDTH, generator=generator)
    hidden = torch.randn(PLACES, WIDTH, generator=generator)
    states = torch.randint(0, 4, (PLACES,), generator=generator).tolist()
    questions = [Question(place, state) for place, state in enumerate(states)]
    model: PreTrainedModel = OnlyHead(head)
    with torch.inference_mode():
        chosen = Chooser(automaton, Head(model)).choose(hidden, questions)
        logits = hidden @ head.weight.T
    for place, state in enumerate(states):
        best = max(allowed[state], key=lambda token: (logits[place, token].item(), -token))
        assert chosen[place] == best
