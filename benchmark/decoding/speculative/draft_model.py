"""Which token to draft, and how likely it is right: learned while a run's answers are decoded.

Each source of drafts has been right more or less often, and several of them may agree or differ. A
logistic regression with a weight per source turns that into one probability. It is fitted to each
token that the model chooses, so that a source counts as much as it has been worth with this model.
(Mixing the predictions of several models in this way is known from data compression: M. Mahoney,
Adaptive Weighing of Context Models for Lossless Data Compression, 2005.)
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.drafts import AnswerNgrams, Draft, Drafter, DraftFunction
from benchmark.records import TokenIds

EXPRESSION, ANSWERS = "expression", "answers"
"""The sources that every model has: text that the expression forces, and the run's answers."""

_PRIOR_SEEN = 2.0
"""How many drafts the rate of a wider class is worth."""

_STREAKS = (0, 1, 2, 3, 8, 16, 32)
"""Runs of right drafts are counted together up to the next of these lengths.

A text that repeats itself is predicted for as long as it does, which drafts after three right ones
in general are not.
"""

_FIRST_WEIGHT, _STEP = 0.6, 0.02
"""Of the regression: the first weight of each source, and how far a token moves the weights."""

_LARGEST_LOGIT = 7.0
"""Rates count as between 0.1 % and 99.9 %."""


Class = tuple[object, ...]
"""What drafts that are counted together have in common.

It is their source, basis, set of allowed tokens and class of streaks, or the first of these.
"""


class SourceDraft(NamedTuple):
    """A source's draft, how many of its drafts in a row were right before, and its class."""

    token: int
    streak: int
    narrowest: Class


class Prediction(NamedTuple):
    """The likeliest next token of those that sources draft.

    ``source`` is the best of those that draft it, ``drafts`` has those of all sources.
    ``allowed_set`` is the number of the set of tokens that the automaton allows, and ``inputs`` has
    the inputs of the regression.
    """

    token: int
    probability: float
    source: str
    drafts: Mapping[str, SourceDraft]
    allowed_set: int
    inputs: Sequence[float]


class DraftModel:
    """What a run has learned about its sources of drafts."""

    def __init__(self, automaton: Automaton, drafters: Mapping[str, Drafter]) -> None:
        """Take the automaton of the answers, and the sources in addition to its forced texts."""
        self._automaton = automaton
        self._answers = AnswerNgrams()
        self._drafters: dict[str, Drafter] = {**drafters, ANSWERS: lambda _: self._answers.draft}
        self._places = {name: i for i, name in enumerate([*self._drafters, EXPRESSION])}
        self._rates = Rates()
        self._weights: dict[int, list[float]] = {}

    def functions(self, prompt: TokenIds) -> dict[str, DraftFunction]:
        """Return the draft functions for the completion of a prompt, by source."""
        return {name: drafter(prompt) for name, drafter in self._drafters.items()}

    def predict(
        self,
        functions: Mapping[str, DraftFunction],
        text: Sequence[int],
        state: int,
        streaks: Mapping[str, int],
    ) -> Prediction | None:
        """Return the likeliest token after a text, in a state that allows several; None if unknown.

        ``streaks`` has, by source, how many of its last drafts in a row were right.
        """
        allowed_set = self._automaton.set_of_state[state]
        drafts = {}
        for source, draft in self._allowed_drafts(functions, text, state):
            streak = streaks.get(source, 0)
            narrowest = (source, draft.basis, allowed_set, bisect_right(_STREAKS, streak))
            drafts[source] = SourceDraft(draft.token, streak, narrowest)
        if not drafts:
            return None
        rates = {source: self._rates.rate(one.narrowest) for source, one in drafts.items()}
        inputs = {
            token: self._inputs(token, drafts, rates)
            for token in dict.fromkeys(draft.token for draft in drafts.values())
        }
        probabilities = {
            token: self._probability(allowed_set, one) for token, one in inputs.items()
        }
        token = max(probabilities, key=probabilities.__getitem__)
        agreeing = [source for source, draft in drafts.items() if draft.token == token]
        source = max(agreeing, key=rates.__getitem__)
        return Prediction(token, probabilities[token], source, drafts, allowed_set, inputs[token])

    def observe(self, prediction: Prediction | None, text: Sequence[int], token: int) -> None:
        """Learn from the token that the model chose after a text, among several."""
        self._answers.observe(text, token)
        if prediction is None:
            return
        right = prediction.token == token
        error = right - self._probability(prediction.allowed_set, prediction.inputs)
        weights = self._weights_of(prediction.allowed_set)
        for place, number in enumerate(prediction.inputs):
            weights[place] += _STEP * error * number
        for draft in prediction.drafts.values():
            self._rates.observe(draft.narrowest, right=draft.token == token)

    def _allowed_drafts(
        self, functions: Mapping[str, DraftFunction], text: Sequence[int], state: int
    ) -> list[tuple[str, Draft]]:
        allowed = self._automaton.transitions[state]
        proposed = [(source, function(text)) for source, function in functions.items()]
        forced = self._automaton.forced_text[state]
        proposed.append((EXPRESSION, None if forced is None else Draft(forced)))
        return [(source, draft) for source, draft in proposed if draft and draft.token in allowed]

    def _inputs(
        self, token: int, drafts: Mapping[str, SourceDraft], rates: Mapping[str, float]
    ) -> list[float]:
        """Return the regression's inputs for a token: a logit per source, and 1.

        A source that drafts another token is right about that with its rate; half of the rest is
        this token's.
        """
        inputs = [0.0] * len(self._places) + [1.0]
        for source, draft in drafts.items():
            rate = rates[source]
            inputs[self._places[source]] = _logit(rate if draft.token == token else (1 - rate) / 2)
        return inputs

    def _probability(self, allowed_set: int, inputs: Sequence[float]) -> float:
        weights = self._weights_of(allowed_set)
        total = sum(weight * number for weight, number in zip(weights, inputs, strict=True))
        return 1 / (1 + math.exp(-max(min(total, 50.0), -50.0)))

    def _weights_of(self, allowed_set: int) -> list[float]:
        if allowed_set not in self._weights:
            self._weights[allowed_set] = [_FIRST_WEIGHT] * len(self._places) + [0.0]
        return self._weights[allowed_set]


class Rates:
    """The share of right drafts by class.

    A class is a tuple; those that it begins with are wider. A class with few drafts has about the
    rate of the next wider one, and the widest with few drafts about 1/2. Every draft is compared
    with the token that the model then chose, even if it was not computed.
    """

    def __init__(self) -> None:
        """Begin without a draft."""
        self._counts: dict[Class, _Count] = {}
        self._chains: dict[Class, list[_Count]] = {}

    def rate(self, narrowest: Class) -> float:
        """Return the estimated probability that a draft of a class is right."""
        rate = 0.5
        for count in self._chain(narrowest):
            rate = (count.right + rate * _PRIOR_SEEN) / (count.seen + _PRIOR_SEEN)
        return rate

    def observe(self, narrowest: Class, *, right: bool) -> None:
        """Count a draft of a class, and so of all wider ones."""
        for count in self._chain(narrowest):
            count.seen += 1
            count.right += right

    def _chain(self, narrowest: Class) -> "list[_Count]":
        """Return the counts of a class and the wider ones, the widest first."""
        chain = self._chains.get(narrowest)
        if chain is None:
            wider = [narrowest[:length] for length in range(1, len(narrowest) + 1)]
            chain = [self._counts.setdefault(one, _Count()) for one in wider]
            self._chains[narrowest] = chain
        return chain


@dataclass(slots=True)
class _Count:
    seen: int = 0
    right: int = 0


def next_streaks(streaks: Mapping[str, int], prediction: Prediction, token: int) -> dict[str, int]:
    """Return the streaks after a token: longer of sources whose draft was right, 0 of others."""
    after = {
        source: draft.streak + 1 if draft.token == token else 0
        for source, draft in prediction.drafts.items()
    }
    return {**streaks, **after}


def _logit(rate: float) -> float:
    odds = math.log(rate / (1 - rate)) if 0 < rate < 1 else math.copysign(math.inf, rate - 0.5)
    return max(min(odds, _LARGEST_LOGIT), -_LARGEST_LOGIT)
