"""What drafts save, without a model: `python docs/engine_replay.py TOKENIZER [PREDICTIONS]`.

The default engine decodes the evaluated states of seed 0 with a runner that knows the answers: the
correct ones, or those of a run's predictions.jsonl. Prints passes, tokens and choices per state by
batch size with the costs of a GPU and of a CPU; `plan` uses those of a GPU.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import completion_lookup, expected_answers, prompt_lookup
from benchmark.decoding.speculative.scheduler import Scheduler
from benchmark.decoding.speculative.sequence_state import GenerationRules, Statistics
from benchmark.models.location import locate
from benchmark.models.tokenizer import Tokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.records import TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.scoring.predictions import read_answers
from benchmark.tasks import DEFAULT, task_named

_BATCHES = (1, 8, 16, 32, 64)
_LIMIT = 256


class Replay:
    """A runner that replays given answers, identified by the tokens in the slots."""

    def __init__(self, answers: Mapping[TokenIds, TokenIds], end: int) -> None:
        """Take answers by prompt, and the token that ends them."""
        self._answers = answers
        self._end = end
        self._prefix: TokenIds = ()
        self._slots: list[list[int]] = []
        self._lengths = sorted({len(prompt) for prompt in answers}, reverse=True)

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Empty all slots."""
        self._prefix = prefix
        self._slots = [[0] * length for _ in range(slots)]

    def run(self, batch: Batch) -> list[int]:
        """Return the answer's next token for each request."""
        for source, target, length in batch.copies:
            self._slots[target][:length] = self._slots[source][:length]
        for token, slot, position in batch.writes:
            self._slots[slot][position] = batch.tokens[token]
        return list(self._next_tokens(batch))

    def _next_tokens(self, batch: Batch) -> Iterator[int]:
        slot_of = {
            index: span.slot
            for span in batch.spans
            for index in range(span.start, span.start + span.length)
        }
        for token, _ in batch.requests:
            text = (*self._prefix, *self._slots[slot_of[token]])[: batch.positions[token] + 1]
            prompt = self._prompt(text)
            # The next token is answer[len(text) - len(prompt)]. After a wrong draft the text may be
            # longer than the answer; then the result is ignored.
            answer = [*self._answers[prompt], self._end]
            yield answer[: len(text) - len(prompt) + 1][-1]

    def _prompt(self, text: TokenIds) -> TokenIds:
        """Return the longest prompt that the text begins with: prompts may begin alike."""
        lengths = (length for length in self._lengths if text[:length] in self._answers)
        return text[: next(lengths)]


def replayed(
    tokenizer: Tokenizer,
    correct: Mapping[TokenIds, TokenIds],
    answers: Mapping[TokenIds, TokenIds],
    cost_model: CostModel,
) -> Statistics:
    """Return what decoding takes if a model gives these answers, with the correct ones as drafts.

    Raises:
        AssertionError: if a completion is not the given answer.
    """
    constraint = compile_constraint(task_named(DEFAULT).expression, tokenizer)
    automaton = Automaton.from_constraint(constraint, tokenizer.token_bytes)
    rules = GenerationRules(automaton, frozenset({tokenizer.eos_id}), _LIMIT)
    drafters = {
        "prompt": prompt_lookup,
        "completion": completion_lookup,
        "expected": expected_answers(correct),
    }
    statistics = Statistics()
    runner = Replay(answers, tokenizer.eos_id)
    scheduler = Scheduler(runner, rules, drafters, cost_model, statistics)
    prompts = list(answers)
    for batch in scheduler.decode(dict(enumerate(prompts))):
        for sequence in batch:
            if sequence.token_ids != answers[prompts[sequence.prompt]]:
                raise AssertionError(f"state {sequence.prompt}: not the given answer")
    return statistics


def main(name: str, predictions: str | None = None) -> None:
    """Print one line per device and batch size."""
    tokenizer = load_tokenizer(locate(name))
    states = load_states(DataRequest())
    settings = resolve(RunRequest(name, Path("unused"), device="cpu"))
    questions = Questions(task_named(DEFAULT), settings, tokenizer, states)
    descriptions = [state.description for state in states]
    prompts = dict(zip(descriptions, questions.prompt_ids, strict=True))
    correct = questions.drafts
    answers = correct
    if predictions:
        answers = {
            prompts[answer.description]: answer.token_ids or tokenizer.encode(answer.text)
            for answer in read_answers(Path(predictions))
        }
    for device in ("cuda", "cpu"):
        for rows in _BATCHES:
            statistics = replayed(tokenizer, correct, answers, CostModel.on(device, rows))
            counts = (statistics.passes, statistics.tokens, statistics.questions)
            passes, tokens, choices = (count / len(answers) for count in counts)
            print(
                f"{device} {rows:3}: {passes:.2f} passes, {tokens:.1f} tokens, {choices:.1f} open"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
