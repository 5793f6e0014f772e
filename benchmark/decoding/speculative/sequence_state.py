"""One prompt being decoded: its tokens so far, and the drafts after them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmark.decoding.finite_logits import NonFiniteLogitsError
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import NOT_FINITE
from benchmark.decoding.speculative.draft_model import DraftModel, Prediction, next_streaks
from benchmark.decoding.speculative.drafts import DraftFunction
from benchmark.records import TokenIds


class DraftPosition(NamedTuple):
    """A position after the known tokens.

    ``prediction`` is that of the draft model, if several tokens are allowed. ``draft`` is the token
    that is computed; None at the last position.
    """

    state: int
    prediction: Prediction | None
    draft: int | None


@dataclass(frozen=True, slots=True)
class GenerationRules:
    """What all sequences of a run share: the automaton, the stop ids, and the token limit."""

    automaton: Automaton
    stop_ids: frozenset[int]
    max_new_tokens: int


@dataclass(slots=True)
class Statistics:
    """Counts of a run.

    ``tokens`` counts those of prompts, answers and rejected drafts; ``questions`` the positions
    at which a token was chosen among several; ``proposed`` and ``accepted`` the drafts by source.
    """

    passes: int = 0
    tokens: int = 0
    questions: int = 0
    proposed: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)


class SequenceState:
    """A prompt without the shared prefix, the tokens generated so far, and drafts after them."""

    def __init__(
        self,
        index: int,
        prompt: TokenIds,
        rules: GenerationRules,
        draft_model: DraftModel,
        draft_functions: Mapping[str, DraftFunction],
    ) -> None:
        """Begin with a prompt of at least one token."""
        self.index = index
        self.prompt = prompt
        self.slot = -1
        self.requests = range(0)
        """Which requests of the present pass are this sequence's."""
        self.cached = 0
        """How many of the tokens have their keys and values in the slot."""
        self.finished = False
        """Whether a stop id was generated, as opposed to reaching the limit."""
        self.done = False
        self.chosen_places: list[int] = []
        """The places of the answer whose tokens were chosen among several."""
        self._rules = rules
        self._draft_model = draft_model
        self._draft_functions = draft_functions
        self._tokens = list(prompt)
        self._state = 0
        self._streaks: Mapping[str, int] = {}
        self._positions: list[DraftPosition] = []
        self._append_forced()

    @property
    def generated(self) -> TokenIds:
        """The tokens after the prompt."""
        return tuple(self._tokens[len(self.prompt) :])

    def propose(self, threshold: float) -> list[DraftPosition]:
        """Draft tokens while the probability that all of them are right exceeds the threshold."""
        rules = self._rules
        text, state = list(self.generated), self._state
        streaks, probability = self._streaks, 1.0
        self._positions = []
        while True:
            draft, prediction = rules.automaton.single_token[state], None
            if draft is None:
                prediction = self._draft_model.predict(self._draft_functions, text, state, streaks)
            if prediction:
                draft = prediction.token
                probability *= prediction.probability
                streaks = next_streaks(streaks, prediction, draft)
            # The last token within the limit is chosen after the one before it and needs no pass.
            room = len(text) + 1 < rules.max_new_tokens
            likely = probability >= threshold
            if draft is None or draft in rules.stop_ids or not likely or not room:
                self._positions.append(DraftPosition(state, prediction, None))
                return self._positions
            self._positions.append(DraftPosition(state, prediction, draft))
            text.append(draft)
            state = rules.automaton.transitions[state][draft]

    def input_tokens(self) -> list[int]:
        """Return the tokens to compute: those known but not cached, then the drafts."""
        drafts = [position.draft for position in self._positions if position.draft is not None]
        return self._tokens[self.cached :] + drafts

    def verify(self, chosen: Sequence[int], statistics: Statistics) -> None:
        """Append the tokens that the model chose, up to the first that differs from its draft.

        With drafts 5 6 7 and chosen tokens 5 6 8 9, the tokens 5 6 8 are appended, 5 and 6 are
        cached, and 9, which followed the rejected 7, is ignored.

        Raises:
            NonFiniteLogitsError: if the logits for a token are not finite.
        """
        remaining = iter(chosen)
        self.cached = len(self._tokens)
        statistics.proposed.update(
            position.prediction.source
            for position in self._positions
            if position.prediction and position.draft is not None
        )
        for position in self._positions:
            token = self._rules.automaton.single_token[position.state]
            if token is None:
                token = next(remaining)
                if token == NOT_FINITE:
                    raise NonFiniteLogitsError(self.index, len(self.generated))
                self.chosen_places.append(len(self._tokens) - len(self.prompt))
                self._draft_model.observe(position.prediction, self.generated, token)
            if position.prediction:
                self._streaks = next_streaks(self._streaks, position.prediction, token)
            self._append(token)
            if self.done or token != position.draft:
                break
            self.cached += 1
            if position.prediction:
                statistics.accepted[position.prediction.source] += 1
        self._append_forced()

    def _append(self, token: int) -> None:
        if token in self._rules.stop_ids:
            self.done = self.finished = True
            return
        self._tokens.append(token)
        self._state = self._rules.automaton.transitions[self._state][token]
        self.done = len(self._tokens) - len(self.prompt) == self._rules.max_new_tokens

    def _append_forced(self) -> None:
        """Append tokens that are the only allowed ones; the model need not be run for them."""
        single = self._rules.automaton.single_token
        while not self.done and (token := single[self._state]) is not None:
            self._append(token)
