"""The scheduler on random automata and a fake model, compared with one token at a time."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import (
    Draft,
    Drafter,
    DraftFunction,
    completion_lookup,
    expected_answers,
    prompt_lookup,
)
from benchmark.decoding.speculative.scheduler import DecodedSequence, Scheduler
from benchmark.decoding.speculative.sequence_state import GenerationRules, Statistics
from benchmark.records import TokenIds
from benchmark.speed.figures import distinct_spans
from fakes.fake_runner import FakeRunner

EOS = 0
TOKENS = range(1, 7)

Transitions = Mapping[int, Mapping[int, int]]


def score(context: TokenIds, token: int) -> float:
    """Score a token as a language model with four levels, so that ties are common."""
    return _random(f"{context[-4:]} {len(context) % 3} {token}").randrange(4)


def _random(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311  # not for security


def naive(
    transitions: Transitions, stops: frozenset[int], limit: int, prompt: TokenIds
) -> tuple[TokenIds, bool]:
    """Decode greedily under a constraint, one token at a time."""
    state = 0
    generated: list[int] = []
    while len(generated) < limit:
        best = None
        for token in sorted(transitions[state]):
            value = score((*prompt, *generated), token)
            if best is None or value > best[0]:
                best = (value, token)
        assert best is not None
        if best[1] in stops:
            return tuple(generated), True
        generated.append(best[1])
        state = transitions[state][best[1]]
    return tuple(generated), False


@st.composite
def automata(draw: st.DrawFn) -> dict[int, dict[int, int]]:
    """Up to five states with 1 to 7 allowed tokens each, with or without EOS."""
    states = range(draw(st.integers(1, 5)))
    return {
        state: draw(
            st.dictionaries(
                st.sampled_from([EOS, *TOKENS]), st.sampled_from(states), min_size=1, max_size=7
            )
        )
        for state in states
    }


PROMPTS = st.lists(
    st.lists(st.sampled_from(TOKENS[:3]), min_size=1, max_size=8).map(tuple),
    min_size=1,
    max_size=7,
)
SPELLINGS = st.fixed_dictionaries({i: st.sampled_from([b"a", b"ab", b"abc", b"b"]) for i in TOKENS})


def _noise(seed: int) -> Drafter:
    """Return a drafter of random drafts, some not allowed, some not even tokens."""

    def drafter(prompt: TokenIds) -> DraftFunction:
        def draft(generated: Sequence[int]) -> Draft | None:
            token = _random(f"{seed} {prompt} {tuple(generated)}").randrange(-2, 9)
            return None if token < -1 else Draft(token)

        return draft

    return drafter


def _decode(
    create: Callable[..., Any],
    automaton: Automaton,
    prompts: Sequence[TokenIds],
    drafters: Mapping[str, Drafter],
    cost_model: CostModel,
    limit: int,
    stops: frozenset[int],
) -> tuple[list[DecodedSequence], Statistics, Any]:
    statistics = Statistics()
    runner = create(automaton.transitions, score)
    scheduler = Scheduler(
        runner, GenerationRules(automaton, stops, limit), drafters, cost_model, statistics
    )
    decoded = [one for batch in scheduler.decode(dict(enumerate(prompts))) for one in batch]
    return sorted(decoded), statistics, runner


@given(
    transitions=automata(),
    token_bytes=SPELLINGS,
    prompts=PROMPTS,
    seed=st.integers(0, 99),
    rows=st.integers(1, 4),
    tokens=st.sampled_from([1, 9, 100]),
    eagerness=st.sampled_from([0.0, 1.0, 1e9]),
    limit=st.integers(1, 9),
    stops=st.sets(st.sampled_from(TOKENS), max_size=1),
    true_answers=st.booleans(),
)
@settings(max_examples=300)
def test_drafts_do_not_change_the_output(
    transitions: dict[int, dict[int, int]],
    token_bytes: dict[int, bytes],
    prompts: list[TokenIds],
    seed: int,
    rows: int,
    tokens: int,
    eagerness: float,
    limit: int,
    stops: set[int],
    true_answers: bool,  # noqa: FBT001  # passed by name
) -> None:
    """For any drafts and any batching, tokens are those of the naive loop."""
    ends = frozenset({EOS, *stops})
    answers = [naive(transitions, ends, limit, prompt) for prompt in prompts]
    expected = dict(zip(prompts, [ids for ids, _ in answers], strict=True)) if true_answers else {}
    drafters = {
        "noise": _noise(seed),
        "prompt": prompt_lookup,
        "completion": completion_lookup,
        "expected": expected_answers(expected),
    }
    automaton = Automaton.from_transitions(transitions, 0, token_bytes, EOS)
    cost_model = CostModel(rows, tokens, eagerness, eagerness, few=1, neighbours=1)
    decoded, statistics, _ = _decode(
        FakeRunner, automaton, prompts, drafters, cost_model, limit, ends
    )
    assert decoded == [(i, *answer) for i, answer in enumerate(answers)]
    assert all(statistics.accepted[source] <= n for source, n in statistics.proposed.items())


OPEN = {0: dict.fromkeys([EOS, *TOKENS], 0)}
"""Everything is allowed everywhere."""
SAME_BYTES = dict.fromkeys(TOKENS, b"a")
EAGER, NEVER = CostModel(9, 99, 1e9, 1e9, 1, 1), CostModel(9, 99, -0.5, 0, 1, 1)
"""The first computes every draft; the second none, as its threshold is a probability of 2."""


def _answering(answers: Mapping[TokenIds, TokenIds]) -> Callable[[TokenIds, int], float]:
    """Return the scores of a model with these answers."""

    def scores(context: TokenIds, token: int) -> float:
        for prompt, answer in answers.items():
            generated = context[len(prompt) :]
            if context[: len(prompt)] == prompt and generated == answer[: len(generated)]:
                return float(token == ([*answer, EOS])[len(generated)])
        return 0.0

    return scores


def _decode_answers(
    create: Callable[..., Any],
    transitions: Transitions,
    answers: Mapping[TokenIds, TokenIds],
    drafters: Mapping[str, Drafter],
    cost_model: CostModel,
    token_bytes: Mapping[int, bytes] = SAME_BYTES,
) -> tuple[Statistics, Any]:
    """Decode the answers, check them, and return statistics and runner."""
    automaton = Automaton.from_transitions(transitions, 0, token_bytes, EOS)
    statistics, runner = Statistics(), create(automaton.transitions, _answering(answers))
    rules = GenerationRules(automaton, frozenset({EOS}), 50)
    scheduler = Scheduler(runner, rules, drafters, cost_model, statistics)
    decoded = [one for batch in scheduler.decode(dict(enumerate(answers))) for one in batch]
    assert sorted(decoded) == [(i, answer, True) for i, answer in enumerate(answers.values())]
    return statistics, runner


def test_right_drafts_take_one_pass() -> None:
    """An expected answer is verified in one pass; without drafts each token takes a pass."""
    answers: dict[TokenIds, TokenIds] = {(1, 2): (3, 4, 5, 6, 1), (2, 1): (4, 4, 2)}
    drafters = {"expected": expected_answers(answers)}
    drafted, _ = _decode_answers(FakeRunner, OPEN, answers, drafters, EAGER)
    assert drafted.passes == 1
    assert drafted.tokens == sum(map(len, (*answers, *answers.values())))
    assert drafted.accepted == drafted.proposed == {"expected": 8}
    alone, _ = _decode_answers(FakeRunner, OPEN, answers, drafters, NEVER)
    assert alone.passes == 1 + max(map(len, answers.values()))
    assert alone.tokens == drafted.tokens
    assert not alone.proposed


def test_wrong_drafts_stop() -> None:
    """A source that is never right is soon not used any more: it costs a few tokens in all."""
    answers: dict[TokenIds, TokenIds] = {(1, 2): (3,) * 40}
    wrong = {"noise": lambda prompt: lambda generated: Draft(5)}  # a drafter
    cost_model = CostModel(1, 99, 1.0, 1.0, 1, 1)
    counted, _ = _decode_answers(FakeRunner, OPEN, answers, wrong, cost_model)
    # The answer is a repetition, which the run's own n-grams draft; the last one goes beyond it.
    assert counted.tokens < len((1, 2)) + 40 + 15
    assert 0 < counted.proposed["noise"] < 5
    assert counted.accepted.keys() == {"answers"}


def test_forced_text_is_drafted() -> None:
    """A single allowed token needs no request; text with several spellings is drafted."""
    chain = {state: {1: state + 1} for state in range(1, 6)}
    several = {0: {2: 1, 3: 1}, **chain, 6: {4: 7, 5: 7}, 7: {EOS: 7}}
    token_bytes = {**SAME_BYTES, 2: b"b", 3: b"c", 4: b"a", 5: b"ab"}
    answers: dict[TokenIds, TokenIds] = {(1,): (3, 1, 1, 1, 1, 1, 5)}
    counted, runner = _decode_answers(FakeRunner, several, answers, {}, EAGER, token_bytes)
    assert [len(batch.requests) for batch in runner.batches] == [1, 1]
    assert counted.passes == 2
    assert counted.accepted == counted.proposed == {"expression": 1}
    both: dict[TokenIds, TokenIds] = {(1,): (5, 5)}
    twice = {0: {4: 1, 5: 1}, 1: {4: 2, 5: 2}, 2: {EOS: 2}}
    counted, _ = _decode_answers(FakeRunner, twice, both, {}, EAGER, token_bytes)
    assert counted.passes == 1
    assert counted.accepted == counted.proposed == {"expression": 2}


def test_shared_prefixes_are_computed_once() -> None:
    """The common prefix of two prompts is computed once, in one pass or in two."""
    stem = (1, 2, 3, 1, 2, 3, 1, 2)
    prompts = [(*stem[:n], 6) for n in range(2, 9)] + [(1, *stem), (1, *stem, 5)]
    answers: dict[TokenIds, TokenIds] = dict.fromkeys(prompts, ())
    for rows in (1, 2, 9):
        cost_model = CostModel(rows, 99, 0.0, 0.0, 1, 1)
        counted, runner = _decode_answers(FakeRunner, OPEN, answers, {}, cost_model)
        # The prefix is (1,), computed once.
        assert runner.prefix == (1,)
        # One more for the last token of the prompt that is a prefix of another: it has a request.
        assert counted.tokens == 1 + sum(map(len, distinct_spans(prompts)))
