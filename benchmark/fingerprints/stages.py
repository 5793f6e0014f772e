"""The table of stages of the fingerprint, in the order of the pipeline."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.fingerprints.allowed import (
    constraint_diff,
    constraint_distance,
    constraint_example,
)
from benchmark.fingerprints.digests import digest
from benchmark.fingerprints.examples import (
    dataset_example,
    logits_example,
    outcome_example,
    prompt_example,
    text_example,
    tokens_example,
)
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.record import Allowed, AllowedSet
from benchmark.fingerprints.scores import count_digests, outcome_digests
from benchmark.fingerprints.stage import Stage, StageRow
from benchmark.fingerprints.stage_diffs import (
    counts_diff,
    dataset_diff,
    logits_diff,
    outcomes_diff,
)
from benchmark.models.weights import weights_digest
from benchmark.records import Answer, Completion, Outcome, TokenIds
from benchmark.scoring.counts import Counts, count

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel


def allowed_set(tokens: TokenIds) -> AllowedSet:
    """Return the record of a set of allowed tokens, given in ascending order."""
    return AllowedSet(digest(tokens), len(tokens), sum(tokens))


def _of_allowed(allowed: Allowed) -> Iterator[str]:
    """Return a digest per state of the sets along its path."""
    names = ("-", *(one.digest for one in allowed.sets))
    return (digest(names[number + 1] for number in numbers) for numbers in allowed.along)


def _of_model(model: "LanguageModel") -> list[str]:
    return [weights_digest(model)]


def _of_logits(logits: Logits) -> Iterator[str]:
    states = map(logits.state, range(len(logits.lengths)))
    return (digest([ids.tolist(), steps.tolist()]) for ids, steps in states)


def _of_answers(answers: Sequence[Answer]) -> Iterator[str]:
    return (
        digest(None if box is None else sorted(box) for box in answer.contents)
        for answer in answers
    )


DATASET = Stage[Sequence[Sequence[str]]](
    name="dataset",
    what="the rows of the state: text, gold contents, numops",
    make=lambda run: [list(run.task.rows(state)) for state in run.states],
    digests=lambda states: map(digest, states),
    difference=dataset_diff,
    example=dataset_example,
)
PROMPT = Stage[Sequence[str]](
    name="prompt",
    what="the prompt's text",
    make=lambda run: run.texts(),
    digests=lambda texts: (digest([text]) for text in texts),
    example=prompt_example,
)
PROMPT_IDS = Stage[Sequence[TokenIds]](
    name="prompt_ids",
    what="its token ids",
    make=lambda run: run.prompts(),
    digests=lambda prompts: map(digest, prompts),
    example=tokens_example,
)
CONSTRAINT = Stage[Allowed](
    name="constraint",
    what="the set of allowed tokens at each token of the recorded answer",
    make=lambda run: run.allowed(),
    digests=_of_allowed,
    difference=constraint_diff,
    example=constraint_example,
    distance=constraint_distance,
)
WEIGHTS = Stage["LanguageModel"](
    name="weights",
    what="one for all: shapes, dtypes and values of the parameters as they were loaded",
    whole=True,
    of_weights=True,
    make=lambda run: run.model(),
    digests=_of_model,
)
LOGITS = Stage[Logits](
    name="logits",
    what="log-probabilities of the recorded token and the three likeliest others, at each token",
    portable=False,
    of_scores=True,
    make=lambda run: run.logits(),
    digests=_of_logits,
    difference=logits_diff,
    example=logits_example,
)
GENERATED_IDS = Stage[Sequence[Completion]](
    name="generated_ids",
    what="the generated tokens",
    excusable=True,
    portable=False,
    make=lambda run: run.decoded(),
    digests=lambda completions: (
        digest([*one.token_ids, one.finished, one.text]) for one in completions
    ),
    example=text_example,
)
ANSWER = Stage[Sequence[Answer]](
    name="answer",
    what="the contents of each box, as parsed from the text",
    excusable=True,
    portable=False,
    make=lambda run: [run.task.parse(one.text) for one in run.value(GENERATED_IDS)],
    digests=_of_answers,
    example=text_example,
)
OUTCOME = Stage[Mapping[str, tuple[Outcome, ...]]](
    name="outcome",
    what="right or wrong by query, by both scores (`set` and `exact`)",
    excusable=True,
    portable=False,
    make=lambda run: run.task.score(run.value(ANSWER), run.states),
    digests=outcome_digests,
    difference=outcomes_diff,
    example=outcome_example,
)
COUNTS = Stage[Sequence[Counts]](
    name="counts",
    what="one per score: counts by numops",
    whole=True,
    excusable=True,
    portable=False,
    decisive=True,
    make=lambda run: list(map(count, run.value(OUTCOME).values())),
    digests=count_digests,
    difference=counts_diff,
)

_ROWS: tuple[StageRow, ...] = (
    *(DATASET, PROMPT, PROMPT_IDS, CONSTRAINT, WEIGHTS),
    *(LOGITS, GENERATED_IDS, ANSWER, OUTCOME, COUNTS),
)
STAGES: dict[str, StageRow] = {row.name: row for row in _ROWS}
"""The stages by name, in the order of the pipeline."""


def stage_index(stage: str) -> int:
    """Return the number of a stage in the order of the pipeline, from 0."""
    return list(STAGES).index(stage)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of stages in the order of the pipeline, unknown ones last."""
    unsorted = list(names)
    return [name for name in STAGES if name in unsorted] + [n for n in unsorted if n not in STAGES]


def own_libraries() -> list[str]:
    """Return the libraries named by the rows themselves, in addition to ``suspects.toml``."""
    return [name for row in STAGES.values() for name in row.reached_by.get("library", {})]
