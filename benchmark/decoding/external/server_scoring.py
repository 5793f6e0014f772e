"""Decode and score prompts by a server, in any arrangement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import uuid4

import numpy as np

from benchmark.decoding.engines import EngineInputs
from benchmark.decoding.external import server_engine
from benchmark.decoding.external.completions import EngineReply, ReplyCheck
from benchmark.decoding.external.http_client import HttpClient, Patience
from benchmark.decoding.external.open_requests import OpenRequests
from benchmark.decoding.external.server_kinds import CompletionRequest, Document
from benchmark.decoding.external.server_probe import ServerConnection
from benchmark.decoding.external.server_scores import ANSWER_SCORES, PROMPT_SCORES
from benchmark.decoding.log_probs import (
    Arrangement,
    DecodedAnswer,
    ForcedSequence,
    OtherIdsError,
    TokenLogProbs,
)
from benchmark.records import TokenIds

T = TypeVar("T")


def create(inputs: EngineInputs, _: Sequence[TokenIds]) -> "ServerScoring":
    """Return the server of a connection.

    Raises:
        SettingError: without a connection.
    """
    engine = server_engine.create(inputs)
    return ServerScoring(engine.connection, engine.check)


@dataclass
class ServerScoring:
    """A server that is asked in a given order, with a given number of open requests."""

    connection: ServerConnection
    check: ReplyCheck
    patience: Patience | None = None

    @property
    def scores(self) -> bool:
        """Whether the server tells the log-probabilities of given ids."""
        return self.connection.kind.name in PROMPT_SCORES

    def decoded(
        self, prompts: Sequence[TokenIds], arrangement: Arrangement
    ) -> Sequence[DecodedAnswer]:
        """Return the answer to each prompt, in the order of the prompts.

        Raises:
            ServerError: if the server refuses a request, or fails for minutes.
        """
        fresh = self._fresh()
        asks = [partial(self._decoded, prompt, fresh) for prompt in prompts]
        return self._each(arrangement, asks)

    def scored(
        self, rows: Sequence[ForcedSequence], arrangement: Arrangement, others: int
    ) -> Sequence[TokenLogProbs | OtherIdsError]:
        """Return the log-probabilities along each answer.

        Raises:
            ServerError: if the server refuses a request, or fails for minutes.
        """
        fresh = self._fresh()
        return self._each(arrangement, [partial(self._scored, row, others, fresh) for row in rows])

    def _fresh(self) -> Document:
        """Return the fields that keep prefix caches of earlier arrangements out."""
        return self.connection.kind.uncached(uuid4().hex)

    def _each(self, arrangement: Arrangement, asks: Sequence[Callable[[HttpClient], T]]) -> list[T]:
        """Return the result of each request, with a limited number of them open at a time.

        The cache is emptied before if a request cannot leave it out.
        """
        results = dict[int, T]()
        requests, waiting = OpenRequests[T](), iter(arrangement.order)
        with HttpClient(self.connection.address, arrangement.together, self.patience) as client:
            if (path := self.connection.kind.emptied_at) is not None:
                client.empty_cache(path)
            while True:
                while len(requests) < arrangement.together and (
                    (index := next(waiting, None)) is not None
                ):
                    requests.start(index, partial(asks[index], client))
                if not requests:
                    return [results[index] for index in range(len(asks))]
                results.update(requests.finished())

    def _decoded(self, prompt: TokenIds, fresh: Document, client: HttpClient) -> DecodedAnswer:
        connection, scores = self.connection, ANSWER_SCORES[self.connection.kind.name]
        request = CompletionRequest(prompt, self.check.max_new_tokens, connection.expression)
        body = connection.kind.body(request, connection.server) | scores.fields | fresh

        def read(document: dict[str, object]) -> DecodedAnswer:
            reply = connection.kind.read(document, request)
            self.check.completion(reply)
            return decoded_answer(reply, scores.values(document), self.check)

        return client.post(connection.kind.path, body, read)

    def _scored(
        self, row: ForcedSequence, others: int, fresh: Document, client: HttpClient
    ) -> TokenLogProbs | OtherIdsError:
        scores = PROMPT_SCORES[self.connection.kind.name]

        def read(document: dict[str, object]) -> TokenLogProbs | OtherIdsError:
            try:
                return scores.read(document, row, others)
            except OtherIdsError as error:
                return error

        body = scores.body(row, others, self.connection.server) | fresh
        return client.post(self.connection.kind.path, body, read)


def decoded_answer(
    reply: EngineReply, values: Sequence[float] | None, check: ReplyCheck
) -> DecodedAnswer:
    """Return a reply with its log-probabilities, one per token and one for the end."""
    answer, end = check.completion(reply).token_ids, check.tokenizer.eos_id
    last = reply.token_ids[len(answer) : len(answer) + 1] or (end,)
    path = (*answer, *last) if reply.finished else answer
    if values is None:
        return DecodedAnswer(path, reply.finished, None)
    # A server may leave out the end, or its log-probability.
    padded = np.full(len(path), np.nan)
    told = np.array(values[: len(path)], dtype=np.float64)
    padded[: len(told)] = told
    return DecodedAnswer(path, reply.finished, padded)
