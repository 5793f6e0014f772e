"""One prompt on its way to a completion: what is known, what is guessed, what is settled."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmark.decoding.speculative.acceptance import Acceptance
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.drafts import Draft
from benchmark.records import TokenIds


class Guess(NamedTuple):
    """A source's guess, after so many right ones in a row."""

    token: int
    streak: int


class Choice(NamedTuple):
    """A position after the known tokens.

    ``draft`` is the token that is computed on trial, by ``source``; None where drafting ends.
    """

    state: int
    guesses: Mapping[str, Guess]
    source: str | None
    draft: int | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What all rows of a run share: the automaton, what ends a completion, and its limit."""

    automaton: Automaton
    stops: frozenset[int]
    max_new_tokens: int


@dataclass(slots=True)
class Statistics:
    """What decoding took.

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
        rules: Rules,
        drafts: Mapping[str, Draft],
    ) -> None:
        """Begin with a prompt of at least one token."""
        self.index = index
        self.prompt = prompt
        self.slot = -1
        self.questions = range(0)
        """Which questions of the present pass are the row's."""
        self.cached = 0
        """How many of the known tokens have their keys and values in the slot."""
        self.finished = False
        """An end was generated, rather than cut off at the limit."""
        self.done = False
        self._rules = rules
        self._drafts = drafts
        self._known = list(prompt)
        self._state = 0
        self._streaks: Counter[str] = Counter()
        self._choices: list[Choice] = []
        self._follow()

    @property
    def generated(self) -> TokenIds:
        """The tokens after the prompt."""
        return tuple(self._known[len(self.prompt) :])

    def propose(self, acceptance: Acceptance, threshold: float) -> list[Choice]:
        """Guess on while the drafts together are likelier right than the threshold says."""
        rules = self._rules
        text, state = list(self.generated), self._state
        streaks, chance = self._streaks.copy(), 1.0
        self._choices = []
        while True:
            guesses = self._guesses(text, state, streaks)
            source, draft = None, rules.automaton.only[state]
            if draft is None and guesses:
                source = max(guesses, key=lambda s: acceptance.rate(s, guesses[s].streak))
                draft = guesses[source].token
                chance *= acceptance.rate(source, guesses[source].streak)
            # The last token that fits is an answer to the token before it: no need to compute it.
            room = len(text) + 1 < rules.max_new_tokens
            if draft is None or draft in rules.stops or chance < threshold or not room:
                self._choices.append(Choice(state, guesses, None, None))
                return self._choices
            self._choices.append(Choice(state, guesses, source, draft))
            text.append(draft)
            state = rules.automaton.steps[state][draft]
            _update(streaks, guesses, draft)

    def fed(self) -> list[int]:
        """The tokens to compute: those known and not cached, then the drafts."""
        drafts = [choice.draft for choice in self._choices if choice.draft is not None]
        return self._known[self.cached :] + drafts

    def settle(
        self, answers: Sequence[int], acceptance: Acceptance, statistics: Statistics
    ) -> None:
        """Take the answers to the open choices, up to the first that differs from its draft."""
        answer = iter(answers)
        self.cached = len(self._known)
        statistics.proposed.update(choice.source for choice in self._choices if choice.source)
        for choice in self._choices:
            token = self._rules.automaton.only[choice.state]
            if token is None:
                token = next(answer)
            for source, guess in choice.guesses.items():
                acceptance.observe(source, guess.streak, right=guess.token == token)
            _update(self._streaks, choice.guesses, token)
            self._append(token)
            if self.done or token != choice.draft:
                break
            self.cached += 1
            if choice.source:
                statistics.accepted[choice.source] += 1
        self._follow()

    def _guesses(self, text: list[int], state: int, streaks: Counter[str]) -> dict[str, Guess]:
        automaton = self._rules.automaton
        if automaton.only[state] is not None:
            return {}
        proposed = {name: draft(text) for name, draft in self._drafts.items()}
        proposed["expression"] = automaton.forced[state]
        return {
            name: Guess(token, streaks[name])
            for name, token in proposed.items()
            if token is not None and token in automaton.steps[state]
        }

    def _append(self, token: int) -> None:
        if token in self._rules.stops:
            self.done = self.finished = True
            return
        self._known.append(token)
        self._state = self._rules.automaton.steps[self._state][token]
        self.done = len(self._known) - len(self.prompt) == self._rules.max_new_tokens

    def _follow(self) -> None:
        """Append what is the only allowed token: no model need be asked."""
        while not self.done and (token := self._rules.automaton.only[self._state]) is not None:
            self._append(token)


def _update(streaks: Counter[str], guesses: Mapping[str, Guess], token: int) -> None:
    """Right guesses lengthen a source's streak, wrong ones end it."""
    for source, guess in guesses.items():
        streaks[source] = guess.streak + 1 if guess.token == token else 0
