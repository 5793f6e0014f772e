"""Decode and score prompts by vLLM's offline engine, in any arrangement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.decoding.engines import EngineInputs
from benchmark.decoding.external import vllm_engine
from benchmark.decoding.external.completions import EngineReply, FaultyReplyError, ReplyCheck
from benchmark.decoding.external.process import EngineProcess, EngineProcessError
from benchmark.decoding.external.server_scoring import decoded_answer
from benchmark.decoding.external.vllm_engine import VllmConnection
from benchmark.decoding.log_probs import (
    Arrangement,
    DecodedAnswer,
    ForcedSequence,
    OtherIdsError,
    TokenLogProbs,
    token_log_probs,
)
from benchmark.records import TokenIds


def create(inputs: EngineInputs, prompts: Sequence[TokenIds]) -> "VllmScoring":
    """Return the engine of a connection for these prompts.

    Raises:
        SettingError: without a connection.
    """
    engine = vllm_engine.create(inputs)
    return VllmScoring(engine.connection, engine.check, prompts)


@dataclass
class VllmScoring:
    """vLLM gets a number of prompts at a time, in the given order; its process is kept.

    Its prefix cache is cleared before each arrangement.
    """

    connection: VllmConnection
    check: ReplyCheck
    prompts: Sequence[TokenIds]
    scores = True

    def decoded(
        self, prompts: Sequence[TokenIds], arrangement: Arrangement
    ) -> Sequence[DecodedAnswer]:
        """Return the answer to each prompt, in the order of the prompts.

        Raises:
            EngineProcessError: if vLLM fails, or returns what is not an answer.
        """
        answers = dict[int, DecodedAnswer]()
        process = self._process()
        for number, part in enumerate(_parts(arrangement)):
            ids = [prompts[i] for i in part]
            for reply in process.stream(ids, values=True, forget=number == 0):
                answer = EngineReply(tuple(reply["token_ids"]), reply["finished"])
                try:
                    decoded = decoded_answer(answer, reply.get("values"), self.check)
                except FaultyReplyError as error:
                    raise EngineProcessError(f"vllm: {error}") from error
                answers[part[reply["index"]]] = decoded
        return [answers[index] for index in range(len(prompts))]

    def scored(
        self, rows: Sequence[ForcedSequence], arrangement: Arrangement, others: int
    ) -> Sequence[TokenLogProbs | OtherIdsError]:
        """Return the log-probabilities along each answer.

        Raises:
            EngineProcessError: if vLLM fails.
        """
        results = dict[int, TokenLogProbs | OtherIdsError]()
        process = self._process()
        for number, part in enumerate(_parts(arrangement)):
            for scored in process.score(
                {
                    "score": [[*rows[i].prompt, *rows[i].answer] for i in part],
                    "starts": [len(rows[i].prompt) for i in part],
                    "likeliest": others,
                    "forget": number == 0,
                }
            ):
                index = part[scored["index"]]
                try:
                    places = map(dict, scored["places"])
                    results[index] = token_log_probs(rows[index].answer, places, others)
                except OtherIdsError as error:
                    results[index] = error
        return [results[index] for index in range(len(rows))]

    def _process(self) -> EngineProcess:
        limit, end = self.check.max_new_tokens, self.check.tokenizer.eos_id
        setup = self.connection.setup(self.prompts, limit, end)
        return self.connection.session.process(self.connection.command, setup)


def _parts(arrangement: Arrangement) -> Iterator[tuple[int, ...]]:
    """Yield the indices that are computed together."""
    for start in range(0, len(arrangement.order), arrangement.together):
        yield arrangement.order[start : start + arrangement.together]
