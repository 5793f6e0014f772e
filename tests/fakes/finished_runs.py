"""Folders of finished runs without a model: the texts are given, the result follows from them."""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from benchmark.boxes.baseline import baseline
from benchmark.boxes.dataset import generate
from benchmark.boxes.language import parse, statement
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.pipeline import evaluate
from benchmark.records import State
from benchmark.scoring.outcomes import outcomes_as_json
from benchmark.scoring.predictions import prediction_line
from benchmark.stats.summary import summarize

Answers = Callable[[State], str]


def some_states(count: int) -> list[State]:
    """The first states of the generated test split: whole sequences of 13 states each."""
    return list(islice(generate("test", 0, default_vocabulary()), count))


def right(state: State) -> str:
    """The correct answer."""
    return f"Statement: {statement(tuple(query.gold for query in state.queries))}"


def copied(state: State) -> str:
    """The initial state, whatever happened since."""
    return f"Statement: {statement(parse(state.description)[0])}"


def mixed(state: State) -> str:
    """Right about every other sequence, copied about the others."""
    return right(state) if state.sample_id % 2 else copied(state)


def write_run(
    folder: Path, model: str, states: Sequence[State], answers: Answers, **changes: object
) -> Path:
    """Write ``result.json`` and ``predictions.jsonl`` as a run would; the folder."""
    texts = [answers(state) for state in states]
    outcomes = evaluate(states, texts)
    document: dict[str, object] = {
        **summarize(outcomes).as_json(),
        "baseline": baseline(states),
        **outcomes_as_json(outcomes),
        "model": {"name": model, "fingerprint": "0123abcd"},
        "data": {"sha256": "d1", "states": len(states)},
        "prompts": {"sha256": "p1"},
        "constraint": {"expression": None},
        "protocol": {"name": "default", "engine": "outlines", "prompt_format": "completion"},
        "environment": {"hardware": {"name": "a machine"}, "versions": {"torch": "2.13.0"}},
        **changes,
    }
    folder.mkdir(parents=True)
    folder.joinpath("result.json").write_text(json.dumps(document))
    pairs = zip(states, texts, strict=True)
    # In another order than the result's, as batches of another order leave them.
    lines = [prediction_line(state.description, text) for state, text in pairs][::-1]
    folder.joinpath("predictions.jsonl").write_text("".join(lines))
    return folder
