"""The scheduler on random automata and a fake model, against one token at a time."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.decoding.automaton import Automaton
from benchmark.decoding.drafts import Draft, Drafter, copied, expected
from benchmark.decoding.pace import Pace
from benchmark.decoding.rows import Rules, Statistics
from benchmark.decoding.scheduler import Decoded, Scheduler
from benchmark.records import TokenIds

EOS = 0
TOKENS = range(1, 7)

Transitions = Mapping[int, Mapping[int, int]]


def score(context: TokenIds, token: int) -> float:
    """A language model of four levels, so that ties are common."""
    return _random(f"{context[-4:]} {len(context) % 3} {token}").randrange(4)


def _random(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311  # keeps no secrets


def naive(
    transitions: Transitions, stops: frozenset[int], limit: int, prompt: TokenIds
) -> tuple[TokenIds, bool]:
    """Greedy constrained decoding, one token at a time."""
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
    """Up to five states with 1 to 7 allowed tokens each, EOS among them or not."""
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
    """Guesses of no worth, some not allowed, some not even tokens."""

    def drafter(prompt: TokenIds) -> Draft:
        def draft(generated: Sequence[int]) -> int | None:
            guess = _random(f"{seed} {prompt} {tuple(generated)}").randrange(-2, 9)
            return None if guess < -1 else guess

        return draft

    return drafter


def _decode(
    create: Callable[..., Any],
    automaton: Automaton,
    prompts: Sequence[TokenIds],
    drafters: Mapping[str, Drafter],
    pace: Pace,
    limit: int,
    stops: frozenset[int],
) -> tuple[list[Decoded], Statistics, Any]:
    statistics = Statistics()
    runner = create(automaton.steps, score)
    scheduler = Scheduler(runner, Rules(automaton, stops, limit), drafters, pace, statistics)
    found = [each for batch in scheduler.decode(dict(enumerate(prompts))) for each in batch]
    return sorted(found), statistics, runner


@given(
    transitions=automata(),
    spellings=SPELLINGS,
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
def test_any_draft_gives_the_same_output(
    fake_runner: Callable[..., Any],
    transitions: dict[int, dict[int, int]],
    spellings: dict[int, bytes],
    prompts: list[TokenIds],
    seed: int,
    rows: int,
    tokens: int,
    eagerness: float,
    limit: int,
    stops: set[int],
    true_answers: bool,  # noqa: FBT001  # hypothesis gives it by name
) -> None:
    """Whatever is drafted, and whoever shares a pass, tokens are those of the naive loop."""
    ends = frozenset({EOS, *stops})
    answers = [naive(transitions, ends, limit, prompt) for prompt in prompts]
    known = dict(zip(prompts, [ids for ids, _ in answers], strict=True)) if true_answers else {}
    drafters = {"noise": _noise(seed), "prompt": copied, "expected": expected(known)}
    automaton = Automaton.build(transitions, 0, spellings, EOS)
    pace = Pace(rows, tokens, eagerness, eagerness, few=1, neighbours=1)
    found, statistics, _ = _decode(fake_runner, automaton, prompts, drafters, pace, limit, ends)
    assert found == [(i, *answer) for i, answer in enumerate(answers)]
    assert statistics.accepted <= statistics.proposed
