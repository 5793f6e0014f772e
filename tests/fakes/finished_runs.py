"""Folders of finished runs without a model: results computed from given answers."""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from benchmark.boxes.baseline import baselines, baselines_as_json
from benchmark.boxes.dataset import generate
from benchmark.boxes.language import parse, statement
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.records import State
from benchmark.runs.model_store import folder_name
from benchmark.scoring.predictions import prediction_line
from benchmark.stats.summary import Scored, scores_as_json
from benchmark.tasks import DEFAULT, task_named

Answers = Callable[[State], str]

HOSTILE = (
    "Statement: Box 0 contains the <script>window.ran=1</script>, Box 1 contains the "
    '</script><script>window.ran=1</script><!--, Box 2 contains the "><img src=x '
    "onerror=window.ran=1>, Box 3 contains the \u202egnitset\u202c, Box 4 contains the "
    "\x00\x07\x1b[31m, Box 5 contains the {{7*7}}${7*7}`\u2028\ud800, Box 6 contains the "
    "' & \u0627\u0644\u0639\u0631\u0628\u064a\u0629 --> ]]>.\n"
    "\u3164\u115f\u034f\ufe0fend"
)
"""Markup, control and direction characters, which are harmful unless treated as text."""


def first_states(count: int) -> list[State]:
    """Return the first states of the generated test split, with 13 states per sequence."""
    return list(islice(generate("test", 0, default_vocabulary()), count))


def initial_contents(description: str) -> list[set[str]]:
    """Return the contents of the boxes in the first sentence, without the project's parser."""
    clauses = description.split(".", maxsplit=1)[0].split(", ")
    texts = [clause.split(" contains ")[1] for clause in clauses]
    return [set() if text == "nothing" else set(text[4:].split(" and the ")) for text in texts]


def correct_answer(state: State) -> str:
    """Return the correct answer."""
    return f"Statement: {statement(tuple(query.gold for query in state.queries))}"


def reversed_answer(state: State) -> str:
    """Return the correct answer with reversed objects in each box: right by ``set`` only."""
    boxes = enumerate(tuple(reversed(query.gold)) for query in state.queries)
    clauses = (
        f"Box {box} contains {' and '.join(f'the {name}' for name in names) or 'nothing'}"
        for box, names in boxes
    )
    return f"Statement: {', '.join(clauses)}."


def initial_answer(state: State) -> str:
    """Return the initial contents as the answer."""
    return f"Statement: {statement(parse(state.description)[0])}"


def mixed_answer(state: State) -> str:
    """Return the correct answer for every other sequence, and the initial contents for the rest."""
    return correct_answer(state) if state.sample_id % 2 else initial_answer(state)


IDENTITY = ("model", "data", "prompts", "constraint", "protocol", "environment")
"""The parts of a result that ``run.json`` has too."""


def write_stored_run(
    store: Path, name: str, answers: Answers, states: int = 26, **changes: object
) -> Path:
    """Write a run of 26 states as the model store does, and return its folder.

    With fewer ``states`` it is not finished.
    """
    own = {"data": {"sha256": "d1", "states": 26}, **changes}
    folder = write_run(store / "new", name, first_states(26)[:states], answers, **own)
    result = json.loads((folder / "result.json").read_text())
    identity = {part: result[part] for part in IDENTITY}
    (folder / "run.json").write_text(json.dumps(identity))
    if states < 26:
        (folder / "result.json").unlink()
    return folder.rename(store / folder_name(name, identity))


def write_run(
    folder: Path, name: str, states: Sequence[State], answers: Answers, **changes: object
) -> Path:
    """Write ``result.json`` and ``predictions.jsonl`` as ``run`` does, and return the folder."""
    texts = [answers(state) for state in states]
    outcomes = task_named(DEFAULT).outcomes(states, texts)
    scores = {by: Scored.of(scored) for by, scored in outcomes.items()}
    document: dict[str, object] = {
        **scores_as_json(scores),
        "baseline": baselines_as_json(baselines(states)),
        "model": {"name": name, "fingerprint": "0123abcd"},
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
    lines = [prediction_line(state.description, text) for state, text in pairs]
    folder.joinpath("predictions.jsonl").write_text("".join(lines))
    return folder
