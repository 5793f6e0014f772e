"""Answers against gold."""

from benchmark.records import Answer, Outcome, State


def score(answer: Answer, state: State) -> Outcome:
    """Right where the set of objects given for the box is the gold set, whole words compared."""
    correct = tuple(answer.contents[query.box] == frozenset(query.gold) for query in state.queries)
    return Outcome(state.sample_id, tuple(query.numops for query in state.queries), correct)
