"""What drafts are worth, without a model: `python docs/engine_replay.py TOKENIZER [PREDICTIONS]`.

The default engine decodes the evaluated states of seed 0 with a runner that knows the answers: the
correct ones, or those of a run's predictions.jsonl. Prints passes, tokens and choices a state by
batch size at the pace of a GPU and of a CPU; `plan` reckons with those of a GPU.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.decoding.engines import compiled
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import copied, expected
from benchmark.decoding.speculative.scheduler import Scheduler
from benchmark.decoding.speculative.sequence_state import Rules, Statistics
from benchmark.models.loading import load_tokenizer
from benchmark.models.location import locate
from benchmark.models.tokenizer import Tokenizer
from benchmark.records import TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named

_BATCHES = (1, 8, 16, 32)
_LIMIT = 256


class Replay:
    """A runner that says what was said: by the place of a token after its prompt."""

    def __init__(self, answers: Mapping[TokenIds, TokenIds], end: int) -> None:
        """Take answers by prompt, and the token that ends them."""
        self._answers = answers
        self._end = end
        self._prefix: TokenIds = ()
        self._held: list[list[int]] = []
        self._known: dict[int, TokenIds] = {}

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Empty slots."""
        self._prefix = prefix
        self._held = [[0] * length for _ in range(slots)]
        self._known = {}

    def run(self, batch: Batch) -> list[int]:
        """The answer's token after each token that is asked about."""
        for source, target, length in batch.copies:
            self._held[target][:length] = self._held[source][:length]
        for token, slot, position in batch.writes:
            self._held[slot][position] = batch.tokens[token]
        return list(self._answered(batch))

    def _answered(self, batch: Batch) -> Iterator[int]:
        of = {
            place: span.slot
            for span in batch.spans
            for place in range(span.start, span.start + span.length)
        }
        for token, _ in batch.questions:
            text = (*self._prefix, *self._held[of[token]])[: batch.positions[token] + 1]
            asked = self._prompt(of[token], text)
            # After a wrong draft, which may be beyond the answer, nobody listens.
            yield [*self._answers[asked], self._end][: len(text) - len(asked) + 1][-1]

    def _prompt(self, slot: int, text: TokenIds) -> TokenIds:
        known = self._known.get(slot, ())
        if not known or text[: len(known)] != known:
            known = next(text[:n] for n in range(len(text) + 1) if text[:n] in self._answers)
            self._known[slot] = known
        return known


def replayed(
    tokenizer: Tokenizer,
    correct: Mapping[TokenIds, TokenIds],
    said: Mapping[TokenIds, TokenIds],
    pace: CostModel,
) -> Statistics:
    """What decoding takes of a model that says this, with the correct answers as drafts."""
    constraint = compiled(task_named(DEFAULT).expression, tokenizer)
    rules = Rules(
        Automaton.of(constraint, tokenizer.token_bytes), frozenset({tokenizer.eos_id}), _LIMIT
    )
    drafters = {"prompt": copied, "expected": expected(correct)}
    statistics = Statistics()
    scheduler = Scheduler(Replay(said, tokenizer.eos_id), rules, drafters, pace, statistics)
    prompts = list(said)
    for some in scheduler.decode(dict(enumerate(prompts))):
        for one in some:
            if one.token_ids != said[prompts[one.prompt]]:
                raise AssertionError(f"state {one.prompt}: another answer than was said")
    return statistics


def main(name: str, predictions: str | None = None) -> None:
    """Print a line a pace and batch size."""
    tokenizer = load_tokenizer(locate(name))
    states = load_states(DataRequest())
    settings = resolve(RunRequest(name, Path("unused"), device="cpu"))
    questions = Questions(task_named(DEFAULT), settings, tokenizer, states)
    descriptions = [state.description for state in states]
    prompts = dict(zip(descriptions, questions.prompt_ids, strict=True))
    correct = questions.drafts
    said = correct
    if predictions:
        lines = map(json.loads, Path(predictions).read_text(encoding="utf-8").splitlines())
        said = {prompts[line["input"]]: tokenizer.encode(line["prediction"]) for line in lines}
    for device in ("cuda", "cpu"):
        for rows in _BATCHES:
            took = replayed(tokenizer, correct, said, CostModel.on(device, rows))
            counts = (took.passes, took.tokens, took.questions)
            passes, tokens, choices = (count / len(said) for count in counts)
            print(
                f"{device} {rows:3}: {passes:.2f} passes, {tokens:.1f} tokens, {choices:.1f} open"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
