"""The engine ``server``: completions of a server behind an address."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial

from benchmark.decoding.engines import EngineInputs
from benchmark.decoding.external.completions import ReplyCheck
from benchmark.decoding.external.concurrency import Concurrency
from benchmark.decoding.external.http_client import HttpClient, Patience, ServerError
from benchmark.decoding.external.open_requests import OpenRequests
from benchmark.decoding.external.server_kinds import CompletionRequest
from benchmark.decoding.external.server_probe import ServerConnection
from benchmark.errors import SettingError
from benchmark.records import Completion, TokenIds


def create(inputs: EngineInputs) -> "ServerEngine":
    """Return the engine.

    Raises:
        SettingError: without a connection, as in a verb that does not make one.
    """
    if not isinstance(inputs.connection, ServerConnection) or inputs.constraint is None:
        raise SettingError("engine server: not in this verb; use run with --base-url")
    check = ReplyCheck(inputs.tokenizer, inputs.constraint, inputs.limits.max_new_tokens)
    return ServerEngine(inputs.connection, check)


@dataclass
class ServerEngine:
    """Sends prompts in tree order, so that a server finds their prefixes cached.

    A reply that is not an answer to its prompt under the constraint is asked for again, like one
    that breaks off. Each answer is yielded as soon as it is finished.
    """

    connection: ServerConnection
    check: ReplyCheck
    patience: Patience | None = None
    composition: dict[str, object] = field(default_factory=dict)

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield one completion at a time, in the order in which the server finishes.

        Raises:
            SettingError: if prompt and answer are longer than the server takes.
            ServerError: if the server refuses a request, or fails for minutes. The answers that
                were finished meanwhile are yielded first.
        """
        self._check_length(prompts)
        answers = False
        try:
            for answer in self._answered(prompts, done):
                answers = True
                yield answer
        except ServerError as error:
            if not answers:
                raise
            kept = "finished answers are kept, rerun to resume"
            raise type(error)(f"{error}; {kept}") from error

    def _answered(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int]
    ) -> Iterator[list[tuple[int, Completion]]]:
        order = sorted((i for i in range(len(prompts)) if i not in done), key=prompts.__getitem__)
        slots = self.connection.server.slots
        fixed = self.connection.concurrency
        concurrency = Concurrency(fixed, slots) if slots else Concurrency(fixed)
        most = concurrency.fixed or concurrency.most
        with HttpClient(self.connection.address, most, self.patience) as client:
            requests, waiting = OpenRequests[Completion](), iter(order)
            while True:
                while len(requests) < concurrency.number and (
                    (index := next(waiting, None)) is not None
                ):
                    requests.start(index, partial(self._answer, client, prompts[index]))
                if not requests:
                    return
                for index, completion in requests.finished():
                    concurrency.answered()
                    self.composition = self._composition(concurrency)
                    yield [(index, completion)]

    def _composition(self, concurrency: Concurrency) -> dict[str, object]:
        return {"server": self.connection.kind.name, "requests at a time": concurrency.number}

    def _check_length(self, prompts: Sequence[TokenIds]) -> None:
        longest = max(map(len, prompts)) + self.check.max_new_tokens
        limit = self.connection.server.longest
        if limit is not None and longest > limit:
            raise SettingError(
                f"{self.connection.address}: prompt and answer take up to {longest} tokens, the "
                f"server takes {limit}; start it with a longer context, or lower --max-new-tokens"
            )

    def _answer(self, client: HttpClient, prompt: TokenIds) -> Completion:
        connection = self.connection
        request = CompletionRequest(prompt, self.check.max_new_tokens, connection.expression)

        def read(document: dict[str, object]) -> Completion:
            return self.check.completion(connection.kind.read(document, request))

        return client.post(
            connection.kind.path, connection.kind.body(request, connection.server), read
        )
