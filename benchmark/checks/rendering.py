"""``check rendering``: does a server make the prompt ids from text or messages that a run sends?

A run sends token ids. Other users of the same server send text or messages, and a harness may. The
server only tokenizes here, so that one without a model (``vllm launch render``) is enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        kind, facts = identify(client, request.kind or "auto", address)
        progress.say(server_line(address, kind, facts))
        server = _Renderer(client, kind.name, facts)
        theirs = []
        for state, prompt in zip(questions.states, questions.prompts, strict=True):
            role = settings.prompt.instruction_role
            turns = chat(state.description, role, task.demonstrations)
            messages = [{"role": one.role, "content": one.content} for one in turns]
            theirs.append(server.of_messages(messages) if is_chat else server.of_text(prompt.text))
    return Rendered(_result(f"{kind.name}, {location.name}", questions, theirs), tokenizer)


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Asks a server for the ids of a prompt, with the fields that its own users leave out."""

    client: HttpClient
    kind: str
    facts: ServerFacts

    def of_text(self, text: str) -> TokenIds:
        """Return the ids of a text."""
        if self.kind == "vllm":
            return self._ids({"model": self.facts.model, "prompt": text})
        if self.kind == "llama.cpp":
            return self._ids({"content": text, "add_special": True, "parse_special": True})
        raise SettingError(f"check rendering: a server of kind {self.kind} is not asked for ids")

    def of_messages(self, messages: Messages) -> TokenIds:
        """Return the ids of messages, by the server's own chat template."""
        if self.kind == "vllm":
            return self._ids({"model": self.facts.model, "messages": list(messages)})
        body: Document = {"messages": list(messages)}
        text = self.client.post("/apply-template", body, lambda document: document.get("prompt"))
        return self.of_text(str(text))

    def _ids(self, body: Document) -> TokenIds:
        return self.client.post("/tokenize", body, _read_ids)


def _read_ids(document: Document) -> TokenIds:
    ids = document.get("tokens")
    if not isinstance(ids, list) or not all(type(i) is int for i in ids):
        raise FaultyReplyError("no list of token ids")
    return tuple(ids)


def _result(subject: str, questions: Questions, theirs: Sequence[TokenIds]) -> CheckResult:
    pairs = list(zip(questions.prompt_ids, theirs, strict=True))
    differences = [
        _difference(state, ours, other)
        for state, (ours, other) in enumerate(pairs)
        if ours != other
    ]
    return CheckResult(
        check="rendering",
        subject=subject,
        answers=len(pairs),
        places=sum(len(ours) for ours, _ in pairs),
        largest=0.0,
        floor=0.0,
        differences=differences,
        notes=_notes(pairs),
    )


def _difference(state: int, ours: TokenIds, theirs: TokenIds) -> Difference:
    both = zip(ours, theirs, strict=False)
    shorter = min(len(ours), len(theirs))
    place = next((place for place, (a, b) in enumerate(both) if a != b), shorter)
    tokens = (*ours[place : place + 1], *theirs[place : place + 1])
    return Difference(state, place, "rendering", None, tokens, "the server's rendering")


def _notes(pairs: Sequence[tuple[TokenIds, TokenIds]]) -> tuple[str, ...]:
    """Return a line if all prompts differ in their first token alone."""
    different = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    if different and all(ours == theirs[1:] for ours, theirs in different):
        return ("the server puts one more token before the prompt, such as a BOS",)
    if different and all(ours[1:] == theirs for ours, theirs in different):
        return ("the server leaves out the first token of the prompt, such as a BOS",)
    return ()
