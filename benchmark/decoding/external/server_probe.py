"""Find out, before a run, what a server is and whether it does what it is asked."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from benchmark.decoding.connection import ConnectInputs, EngineFaultError
from benchmark.decoding.external.completions import EngineReply, accepts_start
from benchmark.decoding.external.http_client import (
    HttpClient,
    Patience,
    ServerReplyError,
    base_url,
)
from benchmark.decoding.external.server_kinds import (
    SERVER_KINDS,
    Asks,
    CompletionRequest,
    ServerFacts,
    ServerKind,
)
from benchmark.errors import ModelError, SettingError
from benchmark.models.tokenizer import Tokenizer, detokenize
from benchmark.records import TokenIds

_PROBES = ("The", "1", "Once upon a time", "Box")
"""Beginnings after which a model hardly answers in the task's form by itself."""

_PROBE_TOKENS = 12

_TEXT = "Box 0 contains the bag and the map."


@dataclass(frozen=True, slots=True)
class ServerConnection:
    """A server that was found and tried.

    Attributes:
        address: where it is.
        kind: how it is asked.
        server: what it says of itself.
        expression: what answers must match.
        concurrency: how many requests are open at a time; None to find it by trying.
        enforced: whether a constraint was seen to change an answer; None if no free answer
            broke it.
        libraries: the versions of libraries where it runs, as far as they are known.
        weights: where its weights come from.
    """

    address: str
    kind: ServerKind
    server: ServerFacts
    expression: str
    concurrency: int | None
    enforced: bool | None
    libraries: Mapping[str, str] = field(default_factory=dict)
    weights: str = "unknown: behind an address, without a digest"

    @property
    def facts(self) -> Mapping[str, object]:
        """What a run's result depends on, as far as the server tells it."""
        return {
            "kind": self.kind.name,
            "version": self.server.version,
            "model": self.server.model,
            "weights": self.weights,
            "constraint": self.kind.constraint,
            **self.server.more,
        }

    def held(self) -> AbstractContextManager[None]:
        """Do nothing: each request has what it needs."""
        return nullcontext()


def connect(inputs: ConnectInputs, patience: Patience | None = None) -> ServerConnection:
    """Return the server at ``--base-url``, after asking what it is and trying it.

    Raises:
        SettingError: if there is no address.
        EngineFaultError: if the server does not do what a run needs.
        ServerError: if it does not answer.
        ModelError: if it has another tokenizer.
    """
    settings = inputs.settings
    if settings.base_url is None:
        raise SettingError("--engine server needs --base-url, such as http://127.0.0.1:8000")
    address = base_url(settings.base_url)
    # A server that is not there is an error at once; one that restarts during a run is waited for.
    with HttpClient(address, 2, patience or Patience(1.0)) as client:
        kind, facts = identify(client, settings.kind, inputs.location.name)
        inputs.say(server_line(address, kind, facts))
        _check_tokenizer(client, kind, facts, inputs.tokenizer)
        try:
            enforced = _enforced(_asking(client, kind, facts), inputs)
        except ConstraintIgnoredError as error:
            raise EngineFaultError(
                f"{address}: the server ignores the constraint: with it the answer to {error} was "
                f"still free; {kind.advice}"
            ) from error
    if enforced is None:
        inputs.say("no free answer broke the constraint, so that it could not be tested")
    libraries = {kind.name: facts.version} if facts.version else {}
    return ServerConnection(
        address, kind, facts, inputs.expression, settings.concurrency, enforced, libraries
    )


def identify(client: Asks, kind: str, model: str) -> tuple[ServerKind, ServerFacts]:
    """Return the kind of a server, and what it says of itself.

    With ``auto`` each kind is asked for in turn. A gateway may refuse the path of one kind, or
    answer it with a page, and pass on that of another.

    Args:
        client: the connection.
        kind: one of :data:`benchmark.decoding.connection.KINDS`.
        model: the name of the model, by which one of several is chosen.

    Raises:
        SettingError: if it is not of this kind, or with ``auto`` of none.
        EngineFaultError: if it has several models, and not this one.
        ServerError: if it does not answer.
    """
    refused: ServerReplyError | None = None
    for one in SERVER_KINDS:
        if kind not in {"auto", one.name}:
            continue
        try:
            found = client.get(one.about)
        except ServerReplyError as error:
            if kind != "auto":
                raise
            refused = refused or error
            continue
        if found is not None and (facts := one.recognize(found, client, model)) is not None:
            return one, facts
    if refused is not None:
        raise ServerReplyError(f"{refused}; if you know the server's kind, give --kind")
    if kind == "auto":
        names = ", ".join(one.name for one in SERVER_KINDS)
        raise SettingError(
            f"{client.address}: not a server of {names}, or behind something that hides it"
        )
    raise SettingError(f"{client.address}: does not answer as {kind} does; leave out --kind to see")


def server_line(address: str, kind: ServerKind, facts: ServerFacts) -> str:
    """Return which server was found at an address, in one line."""
    return f"{address}: {kind.name} {facts.version or ''} with {facts.model}".rstrip()


class ConstraintIgnoredError(Exception):
    """A server answers with a constraint as without one."""


Asking = Callable[[TokenIds, "str | None"], EngineReply]


def _asking(client: HttpClient, kind: ServerKind, facts: ServerFacts) -> Asking:
    def ask(prompt: TokenIds, expression: str | None) -> EngineReply:
        request = CompletionRequest(prompt, _PROBE_TOKENS, expression)
        body = kind.body(request, facts)
        return client.post(kind.path, body, lambda document: kind.read(document, request))

    return ask


def _enforced(ask: Asking, inputs: ConnectInputs) -> bool | None:
    """Return whether the constraint is enforced; None if no free answer breaks it.

    Raises:
        ConstraintIgnoredError: if it is not.
    """
    from benchmark.decoding.engines import compile_constraint

    constraint = compile_constraint(inputs.expression, inputs.tokenizer)
    for text in _PROBES:
        prompt = inputs.tokenizer.encode(text)
        if accepts_start(constraint, ask(prompt, None).token_ids):
            continue
        reply = ask(prompt, inputs.expression)
        # Every answer has text: one that is empty or ends at once breaks the constraint too.
        if not reply.token_ids or not accepts_start(constraint, reply.token_ids):
            answer = detokenize(inputs.tokenizer.token_bytes, reply.token_ids)
            raise ConstraintIgnoredError(f"{text!r} ({answer[:40]!r})")
        return True
    return None


def _check_tokenizer(
    client: HttpClient, kind: ServerKind, facts: ServerFacts, tokenizer: Tokenizer
) -> None:
    """Check the text of some ids, if the server tells it.

    How it splits a text does not matter, as it is never given one.

    Raises:
        ModelError: if ids mean another text there than to the tokenizer.
    """
    field = {"vllm": "prompt", "llama.cpp": "content"}.get(kind.name)
    if field is None:
        return
    ids = tokenizer.encode(_TEXT)
    body: dict[str, object] = {"model": facts.model, "tokens": list(ids)}
    text = client.post("/detokenize", body, lambda document: str(document.get(field)))
    if text.strip() != _TEXT:
        raise ModelError(
            f"{client.address}: {facts.model} has another vocabulary than --model "
            f"{tokenizer.name}; name the model that the server has"
        )
