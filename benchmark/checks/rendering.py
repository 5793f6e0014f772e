"""``check rendering``: does a server make the prompt ids from text or messages that a run sends?

A run sends token ids. Other users of the same server send text or messages, and a harness may. What
the endpoints that generate make of them is asked for with one new token; a server without weights
(``vllm launch render``) is asked for ids alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from benchmark.checks.findings import CheckResult, Difference
from benchmark.decoding.external.completions import FaultyReplyError
from benchmark.decoding.external.http_client import HttpClient, Patience, base_url
from benchmark.decoding.external.server_kinds import Document, ServerFacts
from benchmark.decoding.external.server_probe import identify, server_line
from benchmark.errors import SettingError
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.prompts.rendering import chat
from benchmark.records import TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.loading import Loaders
from benchmark.runs.requests import RunRequest, Speaker
from benchmark.runs.resolution import located, registered_bos, resolve
from benchmark.tasks import task_named

_PATIENCE = 1.0
_CHAT = "/v1/chat/completions"

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The result of the check, and the tokenizer that describes its tokens."""

    result: CheckResult
    tokenizer: TransformersTokenizer


def check_rendering(request: RunRequest, progress: Speaker) -> Rendered:
    """Return where a server's prompt ids differ from those of a run.

    Raises:
        SettingError: without an address, and for a kind of server that does not tokenize.
        ServerError: if the server does not answer.
    """
    if request.base_url is None:
        raise SettingError("check rendering needs --base-url, such as http://127.0.0.1:8000")
    task, settings = task_named(request.data.task), resolve(request)
    location = located(request)
    tokenizer = Loaders().tokenizer(location, registered_bos(request))
    questions = Questions(task, settings, tokenizer, load_states(request.data))
    address = base_url(request.base_url)
    is_chat = settings.prompt.prompt_format == "chat"
    with HttpClient(address, 1, Patience(_PATIENCE)) as client:
        kind, facts = identify(client, request.kind or "auto", location.name)
        progress.say(server_line(address, kind, facts))
        server = _Renderer(client, kind.name, facts)
        compared = []
        for state, prompt in zip(questions.states, questions.prompts, strict=True):
            role = settings.prompt.instruction_role
            turns = chat(state.description, role, task.demonstrations)
            messages = [{"role": one.role, "content": one.content} for one in turns]
            compared.append(
                server.of_messages(messages) if is_chat else server.of_text(prompt.text)
            )
    return Rendered(_result(f"{kind.name}, {location.name}", questions, compared), tokenizer)


@dataclass(frozen=True, slots=True)
class ServerIds:
    """What a server makes of a prompt: by which endpoint, how many ids, and which if it tells."""

    endpoint: str
    count: int
    ids: TokenIds | None

    @classmethod
    def of(cls, endpoint: str, ids: TokenIds) -> Self:
        """Return the ids of an endpoint."""
        return cls(endpoint, len(ids), ids)

    def differs_from(self, ours: TokenIds) -> bool:
        """Return whether the ids, or their number alone if that is known, are others."""
        return self.count != len(ours) if self.ids is None else self.ids != ours


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Asks a server for the ids of a prompt, with the fields that its own users leave out."""

    client: HttpClient
    kind: str
    facts: ServerFacts

    def of_text(self, text: str) -> list[ServerIds]:
        """Return the ids of a text, from each endpoint that tells them or their number."""
        if self.kind == "vllm":
            body: Document = {"model": self.facts.model, "prompt": text}
            own = self._generating(body, {"/v1/completions": _prompt_ids_of_choice})
            return [*own, self._tokenized(body)]
        if self.kind == "llama.cpp":
            body = {"content": text, "add_special": True, "parse_special": True}
            count = self._number("/completion", {"prompt": text, "n_predict": 1}, _evaluated)
            return [self._tokenized(body), *count]
        raise SettingError(f"check rendering: a server of kind {self.kind} is not asked for ids")

    def of_messages(self, messages: Messages) -> list[ServerIds]:
        """Return the ids of messages by the server's own chat template, from each endpoint.

        One of vLLM without weights has no chat endpoint but one that renders for it.
        """
        if self.kind == "vllm":
            body: Document = {"model": self.facts.model, "messages": list(messages)}
            readers = {_CHAT: _prompt_ids, f"{_CHAT}/render": _rendered_ids}
            return [*self._generating(body, readers), self._tokenized(body)]
        body = {"messages": list(messages)}
        text = self.client.post("/apply-template", body, lambda d: str(d.get("prompt")))
        template = replace(self.of_text(text)[0], endpoint="/apply-template")
        return [template, *self._number(_CHAT, {**body, "max_tokens": 1}, _used)]

    def _generating(self, body: Document, readers: Mapping[str, "_ReadIds"]) -> list[ServerIds]:
        """Return the ids from the first endpoint that tells them; older releases have none."""
        asked = {**body, "max_tokens": 1, "return_token_ids": True}
        for path, read in readers.items():
            if (ids := self.client.post_if_there(path, asked, read)) is not None:
                return [ServerIds.of(path, ids)]
        return []

    def _number(
        self, path: str, body: Document, read: Callable[[Document], object]
    ) -> list[ServerIds]:
        """Return the number of ids from an endpoint that tells no more, if it tells that."""
        count = self.client.post_if_there(path, body, read)
        return [ServerIds(path, count, None)] if isinstance(count, int) else []

    def _tokenized(self, body: Document) -> ServerIds:
        def read(document: Document) -> TokenIds:
            if (ids := _ids(document.get("tokens"))) is None:
                raise FaultyReplyError("no list of token ids")
            return ids

        return ServerIds.of("/tokenize", self.client.post("/tokenize", body, read))


_ReadIds = Callable[[Document], TokenIds | None]


def _ids(value: object) -> TokenIds | None:
    """Return a list of token ids; None for what is none."""
    if not isinstance(value, list) or not all(type(i) is int for i in value):
        return None
    return tuple(value)


def _prompt_ids(document: Document) -> TokenIds | None:
    return _ids(document.get("prompt_token_ids"))


def _rendered_ids(document: Document) -> TokenIds | None:
    return _ids(document.get("token_ids"))


def _prompt_ids_of_choice(document: Document) -> TokenIds | None:
    match document.get("choices"):
        case [{"prompt_token_ids": ids}]:
            return _ids(ids)
    return None


def _evaluated(document: Document) -> object:
    return document.get("tokens_evaluated")


def _used(document: Document) -> object:
    match document.get("usage"):
        case {"prompt_tokens": count}:
            return count
    return None


def _result(
    subject: str, questions: Questions, compared: Sequence[Sequence[ServerIds]]
) -> CheckResult:
    pairs = list(zip(questions.prompt_ids, compared, strict=True))
    differences = [
        _difference(state, ours, theirs)
        for state, (ours, endpoints) in enumerate(pairs)
        for theirs in endpoints
        if theirs.differs_from(ours)
    ]
    known = [(ours, one.ids) for ours, endpoints in pairs for one in endpoints if one.ids]
    return CheckResult(
        check="rendering",
        subject=subject,
        answers=len(pairs),
        places=sum(len(ours) for ours, _ in known),
        largest=0.0,
        floor=0.0,
        differences=differences,
        notes=_notes(known),
    )


def _difference(state: int, ours: TokenIds, theirs: ServerIds) -> Difference:
    if theirs.ids is None:
        where = f"{theirs.endpoint}: {theirs.count} ids in place of {len(ours)}"
        return Difference(state, min(theirs.count, len(ours)), "rendering", None, (), where)
    both = zip(ours, theirs.ids, strict=False)
    shorter = min(len(ours), len(theirs.ids))
    place = next((place for place, (a, b) in enumerate(both) if a != b), shorter)
    tokens = (*ours[place : place + 1], *theirs.ids[place : place + 1])
    return Difference(state, place, "rendering", None, tokens, theirs.endpoint)


def _notes(pairs: Sequence[tuple[TokenIds, TokenIds]]) -> tuple[str, ...]:
    """Return a line if all prompts differ in their first token alone."""
    different = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    if different and all(ours == theirs[1:] for ours, theirs in different):
        return ("the server puts one more token before the prompt, such as a BOS",)
    if different and all(ours[1:] == theirs for ours, theirs in different):
        return ("the server leaves out the first token of the prompt, such as a BOS",)
    return ()
