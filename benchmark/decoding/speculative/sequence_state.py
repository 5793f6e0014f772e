"""One prompt being decoded: its tokens so far, and the drafts after them."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmark.decoding.finite_logits import NonFiniteLogitsError
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import NOT_FINITE
from benchmark.decoding.speculative.drafts import DraftFunction
from benchmark.records import TokenIds


class DraftToken(NamedTuple):
    """A source's draft, and how many of its drafts in a row were right before."""

    token: int
    streak: int


class DraftPosition(NamedTuple):
    """A position after the known tokens.

    ``drafts`` are those of all sources. ``draft`` is the one that is computed, by ``source``;
    None at the last position.
    """

    state: int
    drafts: Mapping[str, DraftToken]
    source: str | None
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


_PRIOR_SEEN = 2.0
"""How many drafts the rate after fewer right ones is worth."""

_STREAKS = (0, 1, 2, 3, 8, 16, 32)
"""Runs of right drafts are counted together up to the next of these lengths.

A text that repeats itself is predicted for as long as it does, which drafts after three right ones
in general are not.
"""


class Acceptance:
    """The share of right drafts, by source and by how many in a row were right before.

    Every draft is compared with the token that the model then chose, even if it was not computed.
    """

    def __init__(self) -> None:
        """Start with the prior: a first draft is right with probability 1/2."""
        self.seen: Counter[tuple[str, int]] = Counter()
        self.accepted: Counter[tuple[str, int]] = Counter()

    def rate(self, source: str, streak: int) -> float:
        """Return the estimated probability that the source's next draft is right."""
        rate = 0.5
        for length in _STREAKS[: _class(streak) + 1]:
            key = source, length
            rate = (self.accepted[key] + rate * _PRIOR_SEEN) / (self.seen[key] + _PRIOR_SEEN)
        return rate

    def observe(self, source: str, streak: int, *, right: bool) -> None:
        """Count a draft."""
        key = source, _STREAKS[_class(streak)]
        self.seen[key] += 1
        self.accepted[key] += right


def _class(streak: int) -> int:
    """Return which of :data:`_STREAKS` a run of right drafts belongs to: 4 for 8 to 15."""
    return bisect_right(_STREAKS, streak) - 1


class SequenceState:
    """A prompt without the shared prefix, the tokens generated so far, and drafts after them."""

    def __init__(
        self,
        index: int,
        prompt: TokenIds,
        rules: GenerationRules,
        drafts: Mapping[str, DraftFunction],
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
        self._draft_functions = drafts
        self._tokens = list(prompt)
        self._state = 0
        self._streaks: Counter[str] = Counter()
        self._positions: list[DraftPosition] = []
        self._append_forced()

    @property
    def generated(self) -> TokenIds:
        """The tokens after the prompt."""
        return tuple(self._tokens[len(self.prompt) :])

    def propose(self, acceptance: Acceptance, threshold: float) -> list[DraftPosition]:
        """Draft tokens while the probability that all of them are right exceeds the threshold."""
        rules = self._rules
        text, state = list(self.generated), self._state
        streaks, probability = self._streaks.copy(), 1.0
        self._positions = []
        while True:
            drafts = self._drafts(text, state, streaks)
            source, draft = None, rules.automaton.single_token[state]
            if draft is None and drafts:
                source = max(drafts, key=lambda s: acceptance.rate(s, drafts[s].streak))
                draft = drafts[source].token
                probability *= acceptance.rate(source, drafts[source].streak)
            # The last token within the limit is chosen after the one before it and needs no pass.
            room = len(text) + 1 < rules.max_new_tokens
            likely = probability >= threshold
            if draft is None or draft in rules.stop_ids or not likely or not room:
                self._positions.append(DraftPosition(state, drafts, None, None))
                return self._positions
            self._positions.append(DraftPosition(state, drafts, source, draft))
            text.append(draft)
            state = rules.automaton.transitions[state][draft]
            _update_streaks(streaks, drafts, draft)

    def input_tokens(self) -> list[int]:
        """Return the tokens to compute: those known but not cached, then the drafts."""
        drafts = [position.draft for position in self._positions if position.draft is not None]
        return self._tokens[self.cached :] + drafts

    def verify(self, chosen: Sequence[int], acceptance: Acceptance, statistics: Statistics) -> None:
        """Append the tokens that the model chose, up to the first that differs from its draft.

        With drafts 5 6 7 and chosen tokens 5 6 8 9, the tokens 5 6 8 are appended, 5 and 6 are
        cached, and 9, which followed the rejected 7, is ignored.

        Raises:
            NonFiniteLogitsError: if the logits for a token are not finite.
        """
        remaining = iter(chosen)
        self.cached = len(self._tokens)
        statistics.proposed.update(
            position.source for position in self._positions if position.source
        )
        for position in self._positions:
            token = self._rules.automaton.single_token[position.state]
            if token is None:
                token = next(remaining)
                if token == NOT_FINITE:
                    raise NonFiniteLogitsError(self.index, len(self.generated))
                self.chosen_places.append(len(self._tokens) - len(self.prompt))
            for source, draft in position.drafts.items():
                acceptance.observe(source, draft.streak, right=draft.token == token)
            _update_streaks(self._streaks, position.drafts, token)
            self._append(token)
            if self.done or token != position.draft:
                break
            self.cached += 1
            if position.source:
                statistics.accepted[position.source] += 1
        self._append_forced()

    def _drafts(self, text: list[int], state: int, streaks: Counter[str]) -> dict[str, DraftToken]:
        automaton = self._rules.automaton
        if automaton.single_token[state] is not None:
            return {}
        proposed = {name: draft(text) for name, draft in self._draft_functions.items()}
        proposed["expression"] = automaton.forced_text[state]
        return {
            name: DraftToken(token, streaks[name])
            for name, token in proposed.items()
            if token is not None and token in automaton.transitions[state]
        }

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


def _update_streaks(streaks: Counter[str], drafts: Mapping[str, DraftToken], token: int) -> None:
    """Lengthen the streaks of the sources whose draft was right, end those of the others."""
    for source, draft in drafts.items():
        streaks[source] = draft.streak + 1 if draft.token == token else 0
