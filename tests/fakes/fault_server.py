"""A server of completions with faults: it answers as vLLM, SGLang or llama.cpp do.

``sglang`` is written from SGLang's documentation; no real one was compared with it.
"""

import json
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.records import TokenIds

Body = dict[str, Any]

FAULTS = (
    *("slow", "dies", "duplicate", "wrong order", "malformed", "half a character"),
    *("429", "500", "503", "broken constraint", "cut", "not an object"),
    *("chunked", "closes", "more ends"),
)
"""Faults of one reply, after which the next one is right.

``chunked`` is a right reply in parts; after ``closes`` the connection is closed without a word.
"""


class FaultServer:
    """A server that knows the answers to some prompts.

    Attributes:
        answers: the answer's ids by prompt, without the end.
        faults: the faults of a prompt's first replies, by the number of the prompt in ``answers``.
        requests: the bodies of all requests for completions, in order.
        keys: the values of the header Authorization.
        ignores_constraint: whether a constraint changes no answer.
        status: a status with which every request for a known prompt fails, for good.
        redirect: where requests for completions are redirected to.
        adds_bos: whether it puts a BOS before the ids of a text.
        version: what a vLLM server says of itself.
        answers_by_position: whether every other reply to a known prompt is another known answer.
        untold: whether log-probabilities are ``null`` one by one, or ``absent``; or neither.
        prefill: the fault of its log-probabilities of given ids: ``shifted`` by one place,
            ``re-encoded`` from their text, or none.
        caches: whether log-probabilities of a prompt that was asked for before are others, until
            the cache is emptied.
        busy: how many requests to empty the cache are refused.
        emptied: how often the cache was emptied.
        renders_only: whether it has no weights, as ``vllm launch render``.
        chat_prefix: what its chat endpoint alone puts before a chat.
        models: the models that it lists, in place of ``served``.
        pages: the status and content of replies by path, before anything else.
        router: whether it is a router of llama.cpp.
    """

    def __init__(
        self,
        kind: str,
        tokenizer: TransformersTokenizer,
        answers: Mapping[TokenIds, TokenIds],
        faults: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        """Listen on a free port."""
        self.kind, self.tokenizer, self.answers = kind, tokenizer, dict(answers)
        self.faults = defaultdict(list, {n: list(names) for n, names in (faults or {}).items()})
        self.requests: list[Body] = []
        self.keys: list[str | None] = []
        self.ignores_constraint = self.returns_no_ids = False
        self.status: int | None = None
        self.fails_after = 0
        self.redirect: str | None = None
        self.longest = 4096
        self.answers_by_position = False
        self.prefill = self.untold = self.chat_prefix = ""
        self.caches = self.renders_only = self.router = False
        self.models: list[Body] | None = None
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.busy = self.emptied = 0
        self._cached: set[TokenIds] = set()
        self.version = "0.32.0"
        self.adds_bos = True
        self.replies = 0
        self.asked: Counter[TokenIds] = Counter()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Serve in a thread."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def about(self, path: str) -> Body | None:
        """Return what the server says of itself at a path."""
        documents: dict[str, dict[str, Body]] = {
            "vllm": {
                "/version": {"version": self.version},
                "/v1/models": {"data": [{"id": "served", "max_model_len": self.longest}]},
            },
            "sglang": {
                "/get_model_info": {"model_path": "served"},
                "/server_info": {
                    "version": "0.5.9",
                    "grammar_backend": "xgrammar",
                    "context_length": self.longest,
                    "api_key": "never stored",
                },
            },
            "llama.cpp": {
                "/props": {
                    "default_generation_settings": {"n_ctx": self.longest},
                    "build_info": "b9999",
                    "model_path": "/somewhere/served.gguf",
                    "total_slots": 2,
                },
                "/v1/models": {"data": [{"id": "x", "meta": {"n_params": 5, "size": 20}}]},
            },
        }
        if self.router:
            defaults = {"params": {}, "n_ctx": 0}
            router: Body = {"role": "router", "model_path": "none"}
            documents["llama.cpp"]["/props"] = {**router, "default_generation_settings": defaults}
        document = documents[self.kind].get(path)
        if path == "/v1/models" and document and self.models is not None:
            return {"data": self.models}
        return document

    def rendered(self, path: str, body: Body) -> Body | None:
        """Return the reply of an endpoint that renders or tokenizes; None for another one."""
        is_chat = path.startswith("/v1/chat/completions")
        text = body.get("prompt", body.get("content"))
        if "messages" in body:
            text = (self.chat_prefix if is_chat else "") + chat_text(body["messages"])
        if path == "/apply-template" and self.kind == "llama.cpp":
            return {"prompt": text}
        if not isinstance(text, str):
            return None
        bos = self.tokenizer.bos_id
        first = [bos] if self.adds_bos and bos is not None else []
        ids = [*first, *self.tokenizer.encode(text)]
        replies: dict[str, Body] = {
            "/tokenize": {"tokens": ids, "count": len(ids)},
            "/v1/completions": {"choices": [{"prompt_token_ids": ids}]},
            "/v1/chat/completions": {"usage": {"prompt_tokens": len(ids)}},
            "/v1/chat/completions/render": {"token_ids": ids},
            "/completion": {"tokens_evaluated": len(ids)},
        }
        if self.kind == "vllm":
            replies["/v1/chat/completions"]["prompt_token_ids"] = ids
        return replies.get(path)

    def has(self, path: str) -> bool:
        """Return whether there is something at the path of a request with a body."""
        only = {
            "/v1/completions": "vllm",
            "/v1/chat/completions/render": "vllm",
            "/completion": "llama.cpp",
            "/apply-template": "llama.cpp",
            "/flush_cache": "sglang",
        }
        generates = path in {"/v1/completions", "/v1/chat/completions"}
        return only.get(path, self.kind) == self.kind and not (self.renders_only and generates)

    def empty_cache(self) -> bool:
        """Forget the prompts that were asked for; return False while the server is at work."""
        with self._lock:
            if self.busy:
                self.busy -= 1
                return False
            self.emptied += 1
            self._cached.clear()
            return True

    def take(self, prompt: TokenIds, body: Body) -> str | None:
        """Record a request, and return the fault of its reply."""
        with self._lock:
            self.requests.append(body)
            self.asked[prompt] += 1
            if prompt not in self.answers:
                return None
            faults = self.faults[list(self.answers).index(prompt)]
            return faults.pop(0) if faults else None

    def fails(self, prompt: TokenIds) -> bool:
        """Return whether a known prompt fails for good."""
        known = [asked for asked in self.asked if asked in self.answers]
        return self.status is not None and prompt in self.answers and len(known) > self.fails_after

    def reply(self, prompt: TokenIds, body: Body, fault: str | None) -> Body:
        """Return the reply to a request."""
        if "prompt_logprobs" in body or body.get("logprob_start_len", -1) >= 0:
            return self._scored(prompt)
        constrained = "structured_outputs" in body or "grammar" in body
        constrained |= "regex" in body.get("sampling_params", {})
        if prompt in self.answers:
            ids = (*self._answer(prompt), self.tokenizer.eos_id)
        elif constrained and not self.ignores_constraint:
            ids = self.tokenizer.encode("Statement: Box 0 contains")
        else:
            ids = self.tokenizer.encode("Box Box Box")
        finished = prompt in self.answers
        if fault == "more ends":
            ids = (*ids, self.tokenizer.eos_id, self.tokenizer.eos_id)
        if fault == "broken constraint":
            ids = (*ids[:3], *ids[:3])
        if fault == "cut":
            ids, finished = ids[:5], False
        if fault == "wrong order":  # that of another prompt
            other = next(known for known in self.answers if len(known) != len(prompt))
            return self._document(
                other, (*self.answers[other], self.tokenizer.eos_id), finished=True
            )
        document = self._document(prompt, ids, finished=finished)
        if fault == "duplicate" and "choices" in document:
            document["choices"] *= 2
        return document

    def _answer(self, prompt: TokenIds) -> TokenIds:
        """Return the answer to a known prompt, which may depend on the other requests."""
        with self._lock:
            self.replies += 1
            position = self.replies % 2
        answers = list(self.answers.values())
        index = list(self.answers).index(prompt)
        return answers[index - 1 if self.answers_by_position and position else index]

    def _scored(self, ids: TokenIds) -> Body:
        """Return the reply with the log-probabilities of given ids."""
        if self.prefill == "re-encoded":
            ids = self.tokenizer.encode(detokenize(self.tokenizer.token_bytes, ids))
        values = [log_prob(ids, place) for place in range(len(ids))]
        if self.prefill == "shifted":
            values = [values[-1], *values[:-1]]
        values = [value + self._error(ids) for value in values]
        if self.kind == "sglang":
            rows: list[Any] = [[v, i, None] for v, i in zip(values, ids, strict=True)]
            return {
                "meta_info": {
                    "prompt_tokens": len(ids),
                    "input_token_logprobs": [[None, *rows[0][1:]], *rows[1:]],
                    "input_top_logprobs": [None, *([row] for row in rows[1:])],
                }
            }
        places = [
            {str(i): {"logprob": v}, str(i + 1): {"logprob": v - 1}}
            for v, i in zip(values, ids, strict=True)
        ]
        return {"choices": [{"prompt_logprobs": [None, *places[1:]], "finish_reason": "length"}]}

    def _document(self, prompt: TokenIds, ids: TokenIds, *, finished: bool) -> Body:
        text = detokenize(self.tokenizer.token_bytes, ids)
        if self.kind == "vllm":
            tokens = {"token_ids": list(ids), "prompt_token_ids": list(prompt)}
            reason = "stop" if finished else "length"
            choice = {"index": 0, "text": text, "finish_reason": reason}
            choice["logprobs"] = {"token_logprobs": self._values(prompt, ids)}
            return {"choices": [{**choice, **({} if self.returns_no_ids else tokens)}]}
        if self.kind == "sglang":
            about: Body = {
                "prompt_tokens": len(prompt),
                "finish_reason": {"type": "stop" if finished else "length"},
                "output_token_logprobs": [
                    [value, i, None]
                    for value, i in zip(self._values(prompt, ids), ids, strict=True)
                ],
            }
            return {"text": text, "meta_info": about}
        return {
            "content": text,
            "tokens": list(ids),
            "tokens_evaluated": len(prompt),
            "stop_type": "eos" if finished else "limit",
            "completion_probabilities": [{"logprob": v} for v in self._values(prompt, ids)],
        }

    def _values(self, prompt: TokenIds, ids: TokenIds) -> list[float]:
        whole, error = (*prompt, *ids), self._error(prompt)
        return [log_prob(whole, place) + error for place in range(len(prompt), len(whole))]

    def _error(self, prompt: TokenIds) -> float:
        """Return what a cached prompt adds to log-probabilities."""
        with self._lock:
            cached = self.caches and prompt in self._cached
            self._cached.add(prompt)
        return CACHED_ERROR if cached else 0.0


CACHED_ERROR = 0.5
"""What a cached prompt adds to log-probabilities, in nats."""


def chat_text(messages: Sequence[Mapping[str, str]]) -> str:
    """Return a chat as the server's template writes it."""
    turns = "".join(f"[{one['role']}] {one['content']}\n" for one in messages)
    return f"{turns}[assistant] "


CHAT_TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
"""The server's template, as a model has it."""


def log_prob(ids: TokenIds, place: int) -> float:
    """Return the server's log-probability of an id after those before it: any fixed number."""
    return -0.5 - zlib.crc32(repr(ids[: place + 1]).encode()) / 2**32


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing about clients that have left."""


class _Handler(BaseHTTPRequestHandler):
    """Replies to one request; a subclass has the server's description."""

    owner: FaultServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:  # http.server's name
        if self.path in self.owner.pages:
            self._send(*self.owner.pages[self.path])
            return
        document = self.owner.about(self.path)
        self._send(404 if document is None else 200, json.dumps(document or {}).encode())

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"] or 0))
        body: Body = json.loads(content or b"{}")
        self.owner.keys.append(self.headers["authorization"])
        if not self.owner.has(self.path):
            self._send(404, b"{}")
            return
        if (document := self.owner.rendered(self.path, body)) is not None:
            self._send(200, json.dumps(document).encode())
            return
        if self.path == "/flush_cache":
            self._send(200 if self.owner.empty_cache() else 400, b"Cache flushed.\n")
            return
        if self.path == "/detokenize":
            text = detokenize(self.owner.tokenizer.token_bytes, body["tokens"])
            self._send(200, json.dumps({"prompt": text, "content": text}).encode())
            return
        prompt = _prompt(body)
        fault = self.owner.take(prompt, body)
        if self.owner.redirect is not None and prompt in self.owner.answers:
            self._send(307, b"{}", {"location": self.owner.redirect})
        elif self.owner.fails(prompt):
            key = self.headers["authorization"] or ""
            self._send(self.owner.status or 500, json.dumps({"error": key}).encode())
        else:
            told = self.owner.untold
            self._reply(fault, lambda: _without(self.owner.reply(prompt, body, fault), told))

    def _reply(self, fault: str | None, reply: Callable[[], Body]) -> None:
        if fault in {"429", "500", "503"}:
            self._send(int(fault), b"later", {"retry-after": "0"} if fault == "429" else {})
            return
        if fault == "slow":
            time.sleep(0.05)
        content = json.dumps(reply(), ensure_ascii=False).encode()
        if fault == "malformed":
            content = content[:-3]
        if fault == "half a character":
            content = '{"text": "é'.encode()[:-1]
        if fault == "not an object":
            content = b"[1]"
        if fault == "dies":
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        if fault == "chunked":
            self._send_chunks(content)
            return
        self._send(200, content)
        self.close_connection = fault == "closes"  # without a word about it, as after a time-out

    def _send_chunks(self, content: bytes) -> None:
        """Send a right reply in parts, the ends of which are within characters and numbers."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for start in range(0, len(content), 7):
            part = content[start : start + 7]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


_LOG_PROBS = ("logprobs", "prompt_logprobs", "completion_probabilities")


def _without(reply: Any, untold: str) -> Any:  # noqa: ANN401  # any JSON
    """Return a reply with null for its log-probabilities, its only floats, or without them."""
    if isinstance(reply, dict):
        kept = [name for name in reply if untold != "absent" or name not in _LOG_PROBS]
        return {name: _without(reply[name], untold) for name in kept}
    if isinstance(reply, list):
        return [_without(item, untold) for item in reply]
    return None if isinstance(reply, float) and untold == "null" else reply


def _prompt(body: Body) -> TokenIds:
    return tuple(body["input_ids"] if "input_ids" in body else body["prompt"])
