"""Which token is drafted, and how likely it is said to be right."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.draft_model import DraftModel, Prediction, Rates, next_streaks
from benchmark.decoding.speculative.drafts import Draft, DraftFunction

EOS = 0
OPEN = Automaton.from_transitions({0: dict.fromkeys(range(5), 0)}, 0, {}, EOS)
"""Tokens 0 to 4 are allowed everywhere, and spell nothing."""

Says = Mapping[str, Draft | None]
"""What each source drafts."""


def _functions(says: Says) -> dict[str, DraftFunction]:
    def saying(draft: Draft | None) -> DraftFunction:
        return lambda generated: draft

    return {source: saying(draft) for source, draft in says.items()}


def _model(*sources: str) -> DraftModel:
    return DraftModel(OPEN, dict.fromkeys(sources, lambda prompt: lambda text: None))


def _learn(
    model: DraftModel, says: Callable[[int], Says], tokens: Sequence[int]
) -> list[Prediction | None]:
    """Let a model predict tokens one after the other, and tell it each; return what it predicted.

    Each token is at the start of an answer, where no n-gram is known.
    """
    streaks: dict[str, int] = {}
    predictions = []
    for place, token in enumerate(tokens):
        prediction = model.predict(_functions(says(place)), [], 0, streaks)
        model.observe(prediction, [], token)
        if prediction:
            streaks = next_streaks(streaks, prediction, token)
        predictions.append(prediction)
    return predictions


class Naive:
    """The same from its definition: everything is computed again from what was seen so far."""

    def __init__(self, sources: Sequence[str]) -> None:
        """Begin without a draft."""
        self.sources = [*sources, "answers", "expression"]
        self.seen: list[tuple[str, int, int, bool]] = []
        self.weights = [0.6] * len(self.sources) + [0.0]

    def rate(self, source: str, basis: int, streak: int) -> float:
        """Return the rate of the narrowest class, within each wider one."""
        step = sum(streak >= least for least in (0, 1, 2, 3, 8, 16, 32))
        same_source = [one for one in self.seen if one[0] == source]
        same_basis = [one for one in same_source if one[1] == basis]
        same_streak = [one for one in same_basis if one[2] == step]
        rate = 0.5
        # There is one set of allowed tokens, which makes no narrower class.
        for group in (same_source, same_basis, same_basis, same_streak):
            rate = (sum(right for *_, right in group) + 2 * rate) / (len(group) + 2)
        return rate

    def inputs(self, token: int, says: Says, streaks: Mapping[str, int]) -> list[float]:
        """Return a logit per source, and 1."""
        result = []
        for source in self.sources:
            draft = says.get(source)
            if draft is None:
                result.append(0.0)
            else:
                rate = self.rate(source, draft.basis, streaks.get(source, 0))
                share = rate if draft.token == token else (1 - rate) / 2
                result.append(min(7.0, max(-7.0, math.log(share / (1 - share)))))
        return [*result, 1.0]

    def probability(self, inputs: Sequence[float]) -> float:
        """Return that of the regression."""
        total = sum(weight * number for weight, number in zip(self.weights, inputs, strict=True))
        return 1 / (1 + math.exp(-total))

    def step(self, says: Says, streaks: dict[str, int], token: int) -> tuple[int, float] | None:
        """Return the likeliest token with its probability, and learn the chosen one."""
        tokens = list(dict.fromkeys(draft.token for draft in says.values() if draft))
        if not tokens:
            return None
        all_inputs = {one: self.inputs(one, says, streaks) for one in tokens}
        best = max(tokens, key=lambda one: self.probability(all_inputs[one]))
        probability = self.probability(all_inputs[best])
        for place, number in enumerate(all_inputs[best]):
            self.weights[place] += 0.02 * ((token == best) - probability) * number
        for source, draft in says.items():
            if draft:
                streak = streaks.get(source, 0)
                step = sum(streak >= least for least in (0, 1, 2, 3, 8, 16, 32))
                self.seen.append((source, draft.basis, step, draft.token == token))
                streaks[source] = streak + 1 if draft.token == token else 0
        return best, probability


DRAFTS = st.one_of(st.none(), st.builds(Draft, st.integers(0, 4), st.integers(0, 2)))


@given(
    st.lists(
        st.tuples(st.fixed_dictionaries({"a": DRAFTS, "b": DRAFTS}), st.integers(0, 4)),
        max_size=40,
    )
)
@settings(max_examples=60)
def test_predictions_are_those_of_the_definition(steps: list[tuple[Says, int]]) -> None:
    """For any drafts and tokens, choice and probability are those of a naive computation."""
    predictions = _learn(
        _model("a", "b"), lambda place: steps[place][0], [token for _, token in steps]
    )
    naive = Naive("ab")
    streaks: dict[str, int] = {}
    for prediction, (says, token) in zip(predictions, steps, strict=True):
        expected = naive.step(says, streaks, token)
        assert (prediction is None) == (expected is None)
        if prediction and expected:
            assert prediction.token == expected[0]
            assert prediction.probability == pytest.approx(expected[1], rel=1e-9)


def test_sets_of_allowed_tokens_are_learned_apart() -> None:
    """A source that is right in one state is believed there, and where the same is allowed."""
    transitions = {0: {1: 0, 2: 0}, 1: {1: 0, 3: 0}, 2: {2: 0, 1: 0}}
    automaton = Automaton.from_transitions(transitions, 0, {}, EOS)
    assert automaton.token_sets == ((1, 2), (1, 3))
    assert automaton.set_of_state == (0, 1, 0)
    model = DraftModel(automaton, {"a": lambda prompt: lambda text: None})
    says = _functions({"a": Draft(1)})
    for _ in range(200):
        for state, token in ((0, 1), (1, 3)):
            model.observe(model.predict(says, [], state, {}), [], token)
    predictions = [model.predict(says, [], state, {}) for state in (0, 1, 2)]
    probabilities = [one.probability for one in predictions if one]
    assert probabilities[0] == probabilities[2] > 0.9
    assert probabilities[1] < 0.1


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_probabilities_are_calibrated(rate: float) -> None:
    """What is said to be right with some probability is right about as often."""
    random = Random(0)  # noqa: S311
    tokens = [1 if random.random() < rate else 2 for _ in range(3000)]
    predictions = _learn(_model("a"), lambda place: {"a": Draft(1)}, tokens)
    late = [one.probability for one in predictions[1000:] if one]
    right = [token == 1 for token in tokens[1000:]]
    assert sum(late) / len(late) == pytest.approx(sum(right) / len(right), abs=0.03)


def test_sources_that_agree_are_believed_more() -> None:
    """Two sources of 80 % that err independently are right more often where they agree."""
    random = Random(1)  # noqa: S311
    steps = []
    for _ in range(4000):
        truth = random.randint(1, 4)
        says = {
            name: Draft(truth if random.random() < 0.8 else random.randint(1, 4)) for name in "ab"
        }
        steps.append((says, truth))
    predictions = _learn(_model("a", "b"), lambda place: steps[place][0], [t for _, t in steps])
    by_agreement: dict[bool, list[tuple[float, bool]]] = {True: [], False: []}
    for prediction, (says, token) in list(zip(predictions, steps, strict=True))[1000:]:
        assert prediction
        agrees = says["a"].token == says["b"].token
        by_agreement[agrees].append((prediction.probability, prediction.token == token))
    for outcomes in by_agreement.values():
        said = sum(probability for probability, _ in outcomes) / len(outcomes)
        assert said == pytest.approx(sum(right for _, right in outcomes) / len(outcomes), abs=0.05)
    means = {agrees: sum(p for p, _ in one) / len(one) for agrees, one in by_agreement.items()}
    assert means[True] > 0.9
    assert means[False] < 0.6


def test_the_better_source_is_drafted() -> None:
    """Of sources that disagree, the token of the one that was right is taken; it is named."""
    predictions = _learn(_model("a", "b"), lambda place: {"a": Draft(1), "b": Draft(2)}, [2] * 30)
    assert predictions[-1]
    assert (predictions[-1].token, predictions[-1].source) == (2, "b")
    assert predictions[-1].probability > 0.9


def test_only_allowed_tokens_are_drafted() -> None:
    """A draft that the automaton does not allow does not count, nor does one of none."""
    model = _model("a", "b")
    assert model.predict(_functions({"a": Draft(9), "b": None}), [], 0, {}) is None
    prediction = model.predict(_functions({"a": Draft(9), "b": Draft(3)}), [], 0, {})
    assert prediction
    assert prediction.token == 3
    assert list(prediction.drafts) == ["b"]


def test_answers_of_the_run_are_drafted() -> None:
    """What followed twice in earlier answers is drafted in the next one, without a prompt."""
    model = _model()
    for _ in range(2):
        model.observe(None, [1, 2], 3)
    prediction = model.predict(model.functions((7,)), [4, 1, 2], 0, {})
    assert prediction
    assert (prediction.token, prediction.source) == (3, "answers")


def test_rates_are_shares_within_wider_classes() -> None:
    """Without a draft a class has the rate of the wider one; the widest has one half."""
    rates = Rates()
    wide, narrow = ("a",), ("a", 1)
    assert rates.rate(narrow) == 0.5
    for right in (True, True, False):
        rates.observe(narrow, right=right)
    assert rates.rate(wide) == (2 + 2 * 0.5) / (3 + 2)
    assert rates.rate(("a", 2)) == pytest.approx((0 + 2 * 0.6) / (0 + 2))
    assert rates.rate(narrow) == (2 + 2 * 0.6) / (3 + 2)


def test_streaks_end_with_a_wrong_draft() -> None:
    """A source without a draft keeps its streak."""
    prediction = _model("a", "b").predict(
        _functions({"a": Draft(1), "b": Draft(2)}), [], 0, {"a": 3, "c": 5}
    )
    assert prediction
    assert next_streaks({"a": 3, "c": 5}, prediction, 1) == {"a": 4, "b": 0, "c": 5}
    assert Counter(next_streaks({"a": 3}, prediction, 2)) == {"a": 0, "b": 1}
