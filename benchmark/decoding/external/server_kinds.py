"""How each kind of server is asked for a completion, and how its replies are read.

Prompts and answers are token ids, and every field that changes a choice is sent: a server's own
defaults are often those of a chat. The constraint is sent as each kind takes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmark.decoding.connection import EngineFaultError
from benchmark.decoding.external.completions import EngineReply, FaultyReplyError
from benchmark.decoding.external.gbnf import grammar
from benchmark.decoding.external.http_client import ServerError, ServerReplyError
from benchmark.output import printable
from benchmark.records import TokenIds

Document = dict[str, object]

_VLLM_FLAGS = {
    "model_config": ("dtype", "quantization", "max_logprobs", "seed"),
    "parallel_config": ("tensor_parallel_size", "pipeline_parallel_size"),
    "cache_config": ("cache_dtype", "enable_prefix_caching"),
    "structured_outputs_config": ("backend",),
}


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a server is asked for; ``expression`` is None for a free completion."""

    prompt: TokenIds
    max_new_tokens: int
    expression: str | None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself.

    Attributes:
        version: its version or build.
        model: the name under which it serves the model.
        longest: the largest number of tokens of prompt and answer; None if it does not say.
        slots: how many requests it works on at a time; None if it does not say.
        more: what else is part of a run's identity.
    """

    version: str | None
    model: str
    longest: int | None = None
    slots: int | None = None
    more: Mapping[str, object] = field(default_factory=dict)


class Asks(Protocol):
    """The requests that finding out about a server takes."""

    address: str

    def get(self, path: str) -> Document | None:
        """Return the JSON object at a path, or None."""


class ServerKind(Protocol):
    """One kind of server.

    ``about`` is the path at which a server of this kind is recognized. ``emptied_at`` is the path
    of a request that empties the cache; None if :meth:`uncached` is enough.
    """

    name: str
    about: str
    path: str
    constraint: str
    advice: str
    emptied_at: str | None

    def recognize(self, found: Document, client: Asks, model: str, /) -> ServerFacts | None:
        """Return what a server of this kind says of itself; None if it is of another kind.

        Args:
            found: the document at :attr:`about`.
            client: asks for more.
            model: the name of the model, by which one of several is chosen.

        Raises:
            EngineFaultError: if the server has several models, or none, and not this one.
        """

    def body(self, request: CompletionRequest, facts: ServerFacts, /) -> Document:
        """Return the request as JSON."""

    def uncached(self, salt: str, /) -> Document:
        """Return the fields with which a request uses no cache of requests with another salt."""

    def read(self, document: Document, request: CompletionRequest) -> EngineReply:
        """Return the answer in a reply.

        Raises:
            FaultyReplyError: if the reply is not one to the request.
        """


class Vllm:
    """vLLM's ``/v1/completions``."""

    name = "vllm"
    about = "/version"
    path = "/v1/completions"
    constraint = "regex, as structured_outputs"
    advice = (
        "start vLLM 0.12 or newer with --structured-outputs-config.backend xgrammar and without a "
        "proxy that drops fields"
    )
    emptied_at: str | None = None

    def recognize(self, found: Document, client: Asks, model: str, /) -> ServerFacts | None:
        """Ask for the models and, if the server tells them, its settings."""
        if "version" not in found:
            return None
        served = _served(client, model)
        flags = _vllm_flags(_if_told(client, "/server_info"))  # only in vLLM's development mode
        return ServerFacts(
            version=str(found["version"]),
            model=str(served.get("id", "")),
            longest=_number(served.get("max_model_len")),
            more={"flags": flags} if flags else {},
        )

    def body(self, request: CompletionRequest, facts: ServerFacts, /) -> Document:
        """Return the request as JSON."""
        body: Document = {
            "model": facts.model,
            "prompt": list(request.prompt),
            "max_tokens": request.max_new_tokens,
            "min_tokens": 0,
            "add_special_tokens": False,
            "return_token_ids": True,
            "stream": False,
            "top_k": 0,
            "repetition_penalty": 1.0,
            "n": 1,
            "stop_token_ids": [],
            **_greedy(),
        }
        if request.expression is not None:
            body["structured_outputs"] = {"regex": request.expression}
        return body

    def uncached(self, salt: str, /) -> Document:
        """Return the salt of the prefix cache."""
        return {"cache_salt": salt}

    def read(self, document: Document, request: CompletionRequest) -> EngineReply:
        """Return the only choice; the prompt that comes back must be the one that was sent."""
        choices = document.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            raise FaultyReplyError("not one choice")
        (choice,) = choices
        prompt = choice.get("prompt_token_ids")
        if prompt is not None and _ids(prompt) != request.prompt:
            raise FaultyReplyError(
                f"the reply is about another prompt, of {len(_ids(prompt))} tokens in place of "
                f"{len(request.prompt)}"
            )
        return EngineReply(
            _ids(choice.get("token_ids")), _ended(choice.get("finish_reason"), "stop", "length")
        )


class Sglang:
    """SGLang's ``/generate``, written from its documentation; it was not tried on a real server."""

    name = "sglang"
    about = "/get_model_info"
    path = "/generate"
    constraint = "regex, as a sampling parameter"
    advice = "start SGLang with --grammar-backend xgrammar and without a proxy that drops fields"
    emptied_at: str | None = "/flush_cache"  # refused with 400 while the server is at work

    def recognize(self, found: Document, client: Asks, _: str, /) -> ServerFacts | None:
        """Ask for the server's settings; it has one model."""
        if "model_path" not in found:
            return None
        settings = _if_told(client, "/server_info") or _if_told(client, "/get_server_info") or {}
        names = ("grammar_backend", "dtype", "tp_size", "attention_backend", "sampling_backend")
        flags = {name: settings[name] for name in names if name in settings}
        return ServerFacts(
            version=str(settings["version"]) if "version" in settings else None,
            model=str(found["model_path"]),
            longest=_number(settings.get("context_length")),
            more={"flags": flags} if flags else {},
        )

    def body(self, request: CompletionRequest, _: ServerFacts, /) -> Document:
        """Return the request as JSON."""
        sampling: Document = {
            "max_new_tokens": request.max_new_tokens,
            "min_new_tokens": 0,
            "top_k": -1,
            "repetition_penalty": 1.0,
            "n": 1,
            "stop_token_ids": [],
            **_greedy(),
        }
        if request.expression is not None:
            sampling["regex"] = request.expression
        return {
            "input_ids": list(request.prompt),
            "sampling_params": sampling,
            "return_logprob": True,
            "logprob_start_len": -1,
            "top_logprobs_num": 0,
            "stream": False,
        }

    def uncached(self, _: str, /) -> Document:
        """Return nothing: a request cannot leave out SGLang's radix cache."""
        return {}

    def read(self, document: Document, request: CompletionRequest) -> EngineReply:
        """Return the ids; they are next to their log-probabilities if not by themselves."""
        about = document.get("meta_info")
        if not isinstance(about, dict):
            raise FaultyReplyError("no meta_info")
        _check_count(about.get("prompt_tokens"), request)
        ids = document.get("output_ids")
        if ids is None:
            ids = _second(about.get("output_token_logprobs"))
        reason = about.get("finish_reason")
        kind = reason.get("type") if isinstance(reason, dict) else reason
        return EngineReply(_ids(ids), _ended(kind, "stop", "length"))


class LlamaCpp:
    """llama.cpp's ``/completion``; the expression is sent as a grammar."""

    name = "llama.cpp"
    about = "/props"
    path = "/completion"
    constraint = "GBNF, as grammar"
    advice = "start llama-server of 2025 or newer without a proxy that drops fields"
    emptied_at: str | None = None

    def recognize(self, found: Document, client: Asks, _: str, /) -> ServerFacts | None:
        """Ask for what the model's file says of itself."""
        if "default_generation_settings" not in found:
            return None
        defaults, path = found["default_generation_settings"], str(found.get("model_path", ""))
        if found.get("role") == "router" or path == "none":
            ids = ", ".join(map(_id, _models(_if_told(client, "/v1/models")) or ()))
            raise EngineFaultError(
                f"{client.address}: a router of llama.cpp, which starts a server for each of its "
                f"models ({printable(ids) or 'none'}) and has none itself; start llama-server with "
                "-m FILE and give its address"
            )
        served = (_models(_if_told(client, "/v1/models")) or [{}])[0]  # it has one model
        meta = about if isinstance(about := served.get("meta"), dict) else {}
        names = ("n_params", "size", "n_vocab", "ftype")
        return ServerFacts(
            version=str(found["build_info"]) if "build_info" in found else None,
            model=path.replace("\\", "/").rpartition("/")[2] or _id(served),
            longest=_number(defaults.get("n_ctx")) if isinstance(defaults, dict) else None,
            slots=_number(found.get("total_slots")),
            more={
                "file": {name: meta[name] for name in names if name in meta},
                "cache_prompt": True,  # as :meth:`body` asks for
            },
        )

    def body(self, request: CompletionRequest, _: ServerFacts, /) -> Document:
        """Return the request as JSON; llama.cpp adds no BOS to a prompt of ids."""
        body: Document = {
            "prompt": list(request.prompt),
            "n_predict": request.max_new_tokens,
            "return_tokens": True,
            "stream": False,
            "cache_prompt": True,
            "samplers": ["top_k"],
            "top_k": 1,
            "typical_p": 1.0,
            "repeat_penalty": 1.0,
            "dry_multiplier": 0.0,
            "xtc_probability": 0.0,
            "mirostat": 0,
            "n_probs": 0,
            **_greedy(),
        }
        if request.expression is not None:
            body["grammar"] = grammar(request.expression)
        return body

    def uncached(self, _: str, /) -> Document:
        """Return the field that keeps a slot's earlier prompt out."""
        return {"cache_prompt": False}

    def read(self, document: Document, request: CompletionRequest) -> EngineReply:
        """Return the ids; the number of the prompt's tokens must be that of the request."""
        _check_count(document.get("tokens_evaluated"), request)
        return EngineReply(
            _ids(document.get("tokens")), _ended(document.get("stop_type"), "eos", "limit")
        )


SERVER_KINDS: tuple[ServerKind, ...] = (LlamaCpp(), Vllm(), Sglang())
"""The kinds in the order in which a server is asked."""


def _greedy() -> Document:
    """Return the sampling fields that all kinds of server name alike."""
    return {
        "temperature": 0.0,
        "top_p": 1.0,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop": [],
        "ignore_eos": False,
    }


def _vllm_flags(document: Document | None) -> Document:
    """Return the settings of vLLM that decide on answers; others change with every start."""
    config = document.get("vllm_config") if document else None
    sections = config if isinstance(config, dict) else {}
    flags: Document = {}
    for section, names in _VLLM_FLAGS.items():
        values = sections.get(section)
        if isinstance(values, dict):
            flags |= {f"{section}.{name}": str(values[name]) for name in names if name in values}
    return flags


def _served(client: Asks, model: str) -> Document:
    """Return what a server says of a model; of its only one if it has one.

    A model is listed by the name under which it is served, and ``root`` is where it was loaded
    from. A server that lists nothing at all, as an older one, is asked by no name.

    Raises:
        EngineFaultError: if it has several and none is this one, and if it has none.
    """
    rows = _models(client.get("/v1/models"))
    if rows is None:
        return {}
    if len(rows) == 1:
        return rows[0]
    short = model.replace("\\", "/").rstrip("/").rpartition("/")[2]
    # A LoRA adapter is a row of its own, with the base as its parent.
    roots = [row for row in rows if row.get("parent") is None]
    for name, key, own in (
        *((name, "id", rows) for name in (model, short)),
        *((name, "root", roots) for name in (model, str(Path(model).absolute()))),
    ):
        if row := next((row for row in own if row.get(key) == name), None):
            return row
    ids = printable(", ".join(map(_id, rows)))
    if not rows:
        raise EngineFaultError(f"{client.address}: the server lists no model; start it with one")
    raise EngineFaultError(
        f"{client.address}: the server has several models, {ids}, and none is {printable(model)}; "
        "give --model one of these names, or that of a folder that ends with it"
    )


def _models(document: Document | None) -> list[Document] | None:
    """Return the models that a server lists; None if it has no list."""
    rows = document.get("data") if document else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


def _id(row: Document) -> str:
    return str(row.get("id", ""))


def _if_told(client: Asks, path: str) -> Document | None:
    """Return the document at a path; None if the server has none there, or refuses it."""
    try:
        return client.get(path)
    except ServerReplyError:
        return None


def _second(rows: object) -> object:
    """Return the second item of each row; None if there are no rows.

    Raises:
        FaultyReplyError: for a row without one.
    """
    if not isinstance(rows, list):
        return None
    if not all(isinstance(row, list) and len(row) > 1 for row in rows):
        raise FaultyReplyError("log-probabilities without token ids")
    return [row[1] for row in rows]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _ids(value: object) -> TokenIds:
    if value is None:
        raise ServerError("the server returns no token ids, which a run needs; take a newer one")
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise FaultyReplyError("no list of token ids")
    if not all(type(i) is int and i >= 0 for i in value):
        raise FaultyReplyError("not token ids")
    return tuple(value)


def _ended(reason: object, end: str, limit: str) -> bool:
    """Return whether the model ended an answer, by the server's reason for its end."""
    if reason not in {end, limit}:
        raise FaultyReplyError(f"ended by {str(reason)[:40]!r}")
    return reason == end


def _check_count(count: object, request: CompletionRequest) -> None:
    if count is not None and count != len(request.prompt):
        raise FaultyReplyError(
            f"the reply is about a prompt of {count} tokens in place of {len(request.prompt)}: a "
            "BOS was added or dropped, or it is another request's"
        )
